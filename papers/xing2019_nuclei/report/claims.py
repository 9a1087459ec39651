"""The paper's findings, and what this study's records say about them: same direction, opposite, or no evidence."""

from __future__ import annotations

from collections.abc import Sequence

from linnet.nuclei.transfer.estimate import Estimate, difference, mean_of
from linnet.nuclei.transfer.findings import BySeed, Findings
from linnet.nuclei.transfer.plan import MIXTURES
from linnet.nuclei.transfer.report.tables import MIXTURE_NAMES, shown
from papers.verdict import Claim

NEEDED = 3  # seeds below which nothing is decided
SAME, OPPOSITE, NONE = "same direction", "opposite", "no evidence"
_START = {
    SAME: "; the other group's weights help too",
    NONE: "; the target's images do it: no evidence that the other group's weights help",
    OPPOSITE: "; the target's images do it: the other group's weights are worse than random ones",
}
"""What fine-tuning less training from random weights on the same images adds to the verdict on fine-tuning."""


def claims(found: Findings) -> list[Claim]:
    """One row for each finding of the abstract, in its order."""
    return [_network(found), _necessary(found), _similar(found), _mixture(found)]


def _network(found: Findings) -> Claim:
    own = [cell for target in found.groups if (cell := found.cell(target, target)) is not None]
    mean = mean_of(own)
    told = "not run" if mean is None else f"F1 {shown(mean)} on the target's test images, after training on it alone"
    verdict = "not run" if mean is None else "shown, not compared: their images are not to be had"
    return Claim(
        "(1) a fully convolutional pixel-to-pixel regression network detects nuclei of 23 organs",
        "no figure is known to us",
        told,
        _seeds(own),
        verdict,
    )


def _necessary(found: Findings) -> Claim:
    differences = {target: found.own_less_best_other(target) for target in found.groups}
    known = [one for one in differences.values() if one is not None]
    mean, margin = mean_of(known), found.study.settings["margin"]
    clear = sum(one.standing(margin) == "better" for one in known)
    told = "not run"
    if mean is not None:
        told = (
            f"own training less the best other group: {shown(mean, signed=True)} over {len(known)} targets; "
            f"clearly better on {clear}, clearly worse on {sum(one.standing(margin) == 'worse' for one in known)}"
            f"; {_hindsight(found, margin)}"
        )
    return Claim(
        "(2) for one target, training images of the same organ may usually be necessary",
        "usually",
        told,
        _seeds(known),
        direction(mean),
    )


def _hindsight(found: Findings, margin: float) -> str:
    """The same against the other group that the test images, not the validation images, would choose."""
    known = {}
    for target in found.groups:
        others = [found.own_less_other(name, target) for name in found.groups if name != target]
        least = min((one for one in others if one is not None), key=lambda one: one.mean, default=None)
        if least is not None:
            known[target] = least
    mean = mean_of(list(known.values()))
    if mean is None:
        return "no other group was run"
    worse = [target for target, one in known.items() if one.standing(margin) == "worse"]
    names = f" ({', '.join(worse)})" if worse else ""
    return (
        f"less the group that the test images would choose, with hindsight: {shown(mean, signed=True)}, clearly better "
        f"on {sum(one.standing(margin) == 'better' for one in known.values())}, clearly worse on {len(worse)}{names}"
    )


def _similar(found: Findings) -> Claim:
    """Looking similar falls short and fine-tuning gains; whether its start beats random weights is told beside it."""
    similar = [one for t in found.groups if (one := found.own_less_best_other(t, alike=True)) is not None]
    tuned = [one for t in found.study.targets if (one := _gain(found, t)) is not None]
    short, gain = mean_of(similar), mean_of(tuned)
    level = mean_of([one for t in found.study.targets if (one := _less_own(found, t)) is not None])
    start = mean_of([one for t in found.study.targets if (one := _less_random(found, t)) is not None])
    told = "not run"
    if short is not None:
        told = (
            f"own training less the best group of the same stain: {shown(short, signed=True)} over {len(similar)} "
            f"targets; on the most target images, over {len(tuned)} targets: fine-tuned less as it was "
            f"{shown(gain, signed=True)}"
        )
        told += "" if level is None else f", less own training {shown(level, signed=True)}"
        told += "" if start is None else f", less random weights on the same images {shown(start, signed=True)}"
    both = [direction(short), direction(gain)]
    verdict = SAME if both == [SAME, SAME] else OPPOSITE if OPPOSITE in both else NONE
    if verdict == SAME and start is not None:
        verdict += _START[direction(start)]
    return Claim(
        "(3) images that look similar but come from other organs may not do and need fine-tuning to be on a par",
        "may not",
        told,
        _seeds([*similar, *tuned]),
        verdict if short is not None and gain is not None else "not run" if short is None else NONE,
    )


def _gain(found: Findings, target: str) -> Estimate | None:
    """Fine-tuned on the most images from the best other group, less that group's network as it is."""
    return difference(_tuned(found, target), found.shot_counts(target, "best", 0), target=target)


def _less_own(found: Findings, target: str) -> Estimate | None:
    """Fine-tuned likewise, less training on all of the target."""
    return found.less_own(_tuned(found, target), target)


def _less_random(found: Findings, target: str) -> Estimate | None:
    """Fine-tuned likewise, less training on the same images from random weights."""
    return difference(_tuned(found, target), found.shot_counts(target, "scratch", max(found.shots)), target=target)


def _tuned(found: Findings, target: str) -> BySeed:
    return found.shot_counts(target, "best", max(found.shots))


def _mixture(found: Findings) -> Claim:
    """Not always higher: contradicted where every target gains, upheld where one clearly loses."""
    margin = found.study.settings["margin"]
    pooled = {t: one for t in found.groups if (one := found.mixture_less_own("pooled", t)) is not None}
    standing = {target: one.standing(margin) for target, one in pooled.items()}
    losers = [target for target, word in standing.items() if word == "worse"]
    if not pooled:
        verdict, told = "not run", "not run"
    else:
        seeds = _seeds(list(pooled.values()))
        verdict = SAME if losers and seeds >= NEEDED else NONE
        if all(word == "better" for word in standing.values()) and seeds >= NEEDED:
            verdict = OPPOSITE
        names = f" ({', '.join(losers)})" if losers else ""
        told = (
            f"pooling all groups less the target alone: clearly worse on {len(losers)} of {len(pooled)} targets"
            f"{names}, clearly better on {sum(word == 'better' for word in standing.values())}; {_manipulation(found)}"
        )
    return Claim(
        "(4) a mixture of target and other data is not always better; it may need proper data manipulation",
        "not always",
        told,
        _seeds(list(pooled.values())),
        verdict,
    )


def _manipulation(found: Findings) -> str:
    """Each other weighting less pooling in proportion, as the mean over the targets."""
    told = []
    for weights in MIXTURES[1:]:
        pairs = (_against_pooled(found, weights, target) for target in found.groups)
        known = [one for one in pairs if one is not None]
        mean = mean_of(known)
        if mean is not None:
            of = f" (on {len(known)} of {len(found.groups)} targets)" if len(known) < len(found.groups) else ""
            told.append(f"{MIXTURE_NAMES[weights]}{of} {shown(mean, signed=True)}")
    return "against pooling in proportion: " + "; ".join(told) if told else "no other weighting was run"


def _against_pooled(found: Findings, weights: str, target: str) -> Estimate | None:
    return difference(found.mixture_counts(weights, target), found.mixture_counts("pooled", target), target=target)


def direction(mean: Estimate | None) -> str:
    """Of a mean difference that the paper's finding expects above 0."""
    if mean is None:
        return "not run"
    interval = mean.interval()
    if interval is None or mean.seeds < NEEDED:
        return NONE
    return SAME if interval[0] > 0 else OPPOSITE if interval[1] < 0 else NONE


def _seeds(found: Sequence[Estimate]) -> int:
    return min((one.seeds for one in found), default=0)


def not_run(found: Findings) -> list[tuple[str, str]]:
    """Parts of the study that have fewer records than trainings."""
    done = found.done
    return [(stage, f"{done[stage]} of {count}") for stage, count in found.planned.items() if done[stage] < count]
