"""The claims of the paper's abstract and the bar of our own, and what the runs say about each."""

from __future__ import annotations

from collections.abc import Sequence

from papers.qi2021_pruning.arms import RIVALS
from papers.qi2021_pruning.report.findings import Study, difference, label
from papers.verdict import Claim, Paired, in_words
from papers.verdict import shown as shown_difference

MARGIN = 0.004
"""The drop that is allowed to our own dense network: 0.4 points, ours, set before the runs."""
SEEDS_NEEDED = 3
EXACT = 1e-5
"""Logits of the trained and of the finished network are equal in float32 when they differ by less."""


def claims(study: Study, headlines: Sequence[Study] = ()) -> list[Claim]:
    """All claims, measured or not; that on VGG from the headline's first scale, where the study has no such budget."""
    return [
        _one_training(study),
        _rate(study),
        _headline([study, *headlines]),
        _iot(),
        *_drops(study),
        *(_above(study, rival) for rival in RIVALS),
    ]


def shown(found: Paired | None) -> str:
    """A paired difference in points of accuracy with its interval: "-0.3 [-1.1, +0.5]"."""
    return shown_difference(found, digits=1, factor=100)


def decided(found: Paired | None, *, at_least: float = 0.0) -> str:
    """The verdict in words; too few seeds decide nothing."""
    return "not run" if found is None else in_words(found.verdict(at_least=at_least), found.n, needed=SEEDS_NEEDED)


def _pruned(study: Study) -> list:
    return [
        run
        for name in study.scale.sets
        for target in study.scale.budgets
        for arm in ("ours", "random", "per_layer")
        for run in study.arm(name, target.name, arm).values()
    ]


def _one_training(study: Study) -> Claim:
    words = "(1) A more compact structure is uncovered and its weights are learned in one end-to-end training"
    runs = _pruned(study)
    worst = max((float(run.context[name]) for run in runs for name in ("difference", "proof_error")), default=0.0)
    said = (
        "one training, no fine-tuning; the small network computes what the masked one does: largest relative "
        f"difference {worst:.1e} (float32)"
    )
    verdict = ("holds" if worst <= EXACT else "does not hold") if runs else "not run"
    return Claim(words, "by construction", said if runs else "not run", len(runs), verdict)


def _rate(study: Study) -> Claim:
    words = "(2) A specifically targeted compression rate is reached directly"
    runs = _pruned(study)
    names = [name for run in runs for name in run.context if name.startswith("used_")]
    used = [float(run.context[name]) for run in runs for name in set(names) if name in run.context]
    most = max((float(run.context["most_used"]) for run in runs), default=0.0)
    if not runs:
        return Claim(words, "no figure for the deviation", "not run", 0, "not run")
    said = (
        f"of the tightest limit {min(used):.3f} to {max(used):.3f} used at the end, counted anew; at most {most:.3f} "
        "at any step from the first mask on"
    )
    return Claim(words, "no figure for the deviation", said, len(runs), _yes(max(*used, most) <= 1))


def _yes(holds: bool) -> str:  # noqa: FBT001
    return "holds" if holds else "does not hold"


def _headline(studies: Sequence[Study]) -> Claim:
    words = "(3) VGG on CIFAR-10: 76.2 % fewer FLOPs and 94.1 % fewer parameters at satisfactory accuracy"
    theirs = "no accuracy is given"
    for study in studies:
        target = next((target for target in study.scale.budgets if target.params is not None), None)
        found = None if target is None else _drop(study, study.scale.sets[-1], target.name)
        if found is not None:
            said = f"scale `{study.scale.name}`, points to dense: {shown(found)}"
            return Claim(words, theirs, said, found.n, decided(found, at_least=-MARGIN))
    return Claim(words, theirs, "not run here: scale `gpu`", 0, "not run")


def _iot() -> Claim:
    words = "(4) Fits the ML-based IoT framework and helps distributed training in cloud and edge"
    said = "not a matter of this study: see docs, `linnet.prune.extract` and `scatter`"
    return Claim(words, "no figure", said, 0, "not tested")


def _drop(study: Study, data: str, budget: str) -> Paired | None:
    return difference(study.arm(data, budget, "ours"), study.arm(data, budget, "dense"))


def places(study: Study) -> list[tuple[str, str]]:
    """(set, budget) of each comparison, large budgets first."""
    targets = sorted(study.scale.budgets, key=lambda target: -target.macs)
    return [(name, target.name) for name in study.scale.sets for target in targets]


def against(study: Study, rival: str) -> list[str]:
    """The verdict on "ours is above this arm" for each place where both were run."""
    found = [decided(difference(study.arm(*place, "ours"), study.arm(*place, rival))) for place in places(study)]
    return [verdict for verdict in found if verdict != "not run"]


def _drops(study: Study) -> list[Claim]:
    """Our own bar against the dense network, at each place."""
    rows = []
    for data, budget in places(study):
        found = _drop(study, data, budget)
        words = f"our bar: `{data}`, {budget} of the MACs: at most {100 * MARGIN:g} points below our dense network"
        said = "not run" if found is None else f"points: {shown(found)}"
        rows.append(Claim(words, "-", said, found.n if found else 0, decided(found, at_least=-MARGIN)))
    return rows


def _above(study: Study, rival: str) -> Claim:
    """Our own bar against one rival, over all places."""
    words, found = f"our bar: above {label(rival)}, everywhere", against(study, rival)
    if not found:
        return Claim(words, "-", "not run", 0, "not run")
    above, below = found.count("holds"), found.count("does not hold")
    said = f"of {len(found)} places (set and budget): above in {above}, below in {below}, not decided in the rest"
    verdict = "does not hold" if below else "holds" if above == len(found) else "not decided"
    return Claim(words, "-", said, len(found), verdict)
