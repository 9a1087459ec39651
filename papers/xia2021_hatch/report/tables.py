"""The tables: every arm on every set, the paired differences behind (a) and (b), and the claims of the abstract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from linnet.results import Record
from papers.study import Finished
from papers.table import Table
from papers.verdict import Paired, Verdict, all_of, paired
from papers.xia2021_hatch.arms import ARMS, HATCHED
from papers.xia2021_hatch.scales import Scale
from papers.xia2021_hatch.trials import arms_of, chosen

NAMES = {
    "full": "Deep Ensemble, full (4)",
    "two": "2 of its 4 members",
    "one": "1 of its 4 members",
    "short": "Deep Ensemble, short (4)",
    "long": "one network, twice as long",
    "mc_dropout": "MC-dropout (4 passes)",
    "snapshot": "Snapshot (4 cycles)",
    "batch_ensemble": "BatchEnsemble (4)",
    "packed": "Packed (4 of half the width)",
    "narrow": "many narrow members",
    "hatch_late": "hatch: narrow seeds, each hatched late",
    "hatch_one": "hatch: one seed, 4 members",
    "chain": "hatch: chain of 4",
}
RIVALS = ("two", "short", "mc_dropout", "snapshot", "batch_ensemble", "packed", "long", "narrow")
# (a): measure -> what the interval of ours - theirs must stay within, and whether more is better
MARGINS = {"accuracy": (0.003, True), "calibrated_nll": (0.01, False), "shifted_ece": (0.005, False)}
BETTER = ("calibrated_nll", "shifted_ece")  # (b)
LEAST_SEEDS = 5
SHOWN = (
    "accuracy",
    "calibrated_nll",
    "ece",
    "disagreement",
    "shifted_accuracy",
    "shifted_calibrated_nll",
    "shifted_ece",
)


def runs(finished: Finished, name: str) -> dict[str, dict[int, Record]]:
    """Arm -> seed -> record of a set."""
    found: dict[str, dict[int, Record]] = {}
    for record in finished.values():
        if record.name == "hatch.run" and record.context["set"] == name and record.rng_seed is not None:
            found.setdefault(str(record.method), {})[record.rng_seed] = record
    return found


def sets_of(finished: Finished, scale: Scale) -> list[str]:
    """The sets that have a record."""
    return [name for name in scale.sets if runs(finished, name)]


def number(record: Record, measure: str) -> float:
    """A measure of a record."""
    return float(record.context[measure])  # type: ignore[arg-type]


def difference(
    found: Mapping[str, Mapping[int, Record]], ours: str, theirs: str, measure: str, *, more: bool = False
) -> Paired | None:
    """How much better ours is than theirs, over the seeds that both have."""
    seeds = sorted(found.get(ours, {}).keys() & found.get(theirs, {}).keys())
    left = [number(found[ours][seed], measure) for seed in seeds]
    right = [number(found[theirs][seed], measure) for seed in seeds]
    return paired(left, right) if more else paired(right, left)


def as_good(found: Mapping[str, Mapping[int, Record]], arm: str) -> Verdict:
    """(a): not worse than the full Deep Ensemble in all three measures."""
    verdicts: list[Verdict] = []
    for measure, (margin, more) in MARGINS.items():
        gap = difference(found, arm, "full", measure, more=more)
        verdicts.append(_verdict(gap, at_least=-margin))
    return all_of(verdicts)


def better(found: Mapping[str, Mapping[int, Record]], arm: str, rival: str) -> Verdict:
    """(b): a better calibrated NLL and shifted ECE than a rival."""
    gaps = [difference(found, arm, rival, measure) for measure in BETTER]
    return all_of([_verdict(gap) for gap in gaps])


def _verdict(gap: Paired | None, *, at_least: float = 0.0) -> Verdict:
    """What an interval says; with fewer than five seeds nothing is decided."""
    if gap is None:
        return "not run"
    return gap.verdict(at_least=at_least) if gap.n >= LEAST_SEEDS else "not decided"


def first_line(finished: Finished, scale: Scale) -> str:
    """What became of (a) and (b) on each set, for the hatch that does best there: the first line of the page."""
    said = []
    for name, found, best in _best_of(finished, scale):
        rivals, beaten = _rivals(found, best)
        full = "holds" if as_good(found, best) == "holds" else "fails"
        all_of_them = "holds" if len(beaten) == len(rivals) else "fails"
        said.append(
            f"{name}: (a) {full}, (b) {all_of_them}, better than {len(beaten)} of {len(rivals)} rivals "
            f"in both measures (n = {len(found[best])} of {scale.seeds} seeds; best hatch: {_own(best)})"
        )
    return "; ".join(said) + "." if said else "Not run."


def verdicts(finished: Finished, scale: Scale) -> str:
    """The verdict on (a), and on (b) for each rival that isn't beaten, as a list for each set."""
    parts = []
    for name, found, best in _best_of(finished, scale):
        rivals, beaten = _rivals(found, best)
        full = as_good(found, best)
        said = "holds" if full == "holds" else f"fails ({full})"
        lines = [f"- (a) {said}: {_told(found, best, 'full', MARGINS)}"]
        lines += [
            f"- (b) not beaten: {NAMES[rival]} ({better(found, best, rival)}: {_told(found, best, rival, BETTER)})"
            for rival in rivals
            if rival not in beaten
        ]
        lines += [f"- (b) beaten: {', '.join(NAMES[rival] for rival in beaten)}"] if beaten else []
        parts.append("\n".join([f"{name}, {_own(best)}, positive where the hatch is better:", "", *lines, ""]))
    return "\n".join(parts) or "Not run."


def _best_of(finished: Finished, scale: Scale) -> list[tuple[str, Mapping[str, Mapping[int, Record]], str]]:
    """Each set with its records and the hatch that does best there."""
    found = {name: runs(finished, name) for name in sets_of(finished, scale)}
    hatched = {name: [arm for arm in arms_of(scale) if arm in HATCHED and arm in arms] for name, arms in found.items()}
    return [(name, found[name], best_hatch(found[name], arms)) for name, arms in hatched.items() if arms]


def _rivals(found: Mapping[str, Mapping[int, Record]], hatch: str) -> tuple[list[str], list[str]]:
    """The rivals that have records, and those of them that the hatch beats."""
    rivals = [rival for rival in RIVALS if rival in found]
    return rivals, [rival for rival in rivals if better(found, hatch, rival) == "holds"]


def _own(arm: str) -> str:
    return NAMES[arm].removeprefix("hatch: ")


def best_hatch(found: Mapping[str, Mapping[int, Record]], arms: Sequence[str]) -> str:
    """The hatch that beats most rivals; among equals the one with the smallest calibrated NLL over all its seeds."""

    def rank(arm: str) -> tuple[int, float]:
        wins = sum(better(found, arm, rival) == "holds" for rival in RIVALS)
        scores = [number(record, "calibrated_nll") for record in found[arm].values()]
        return -wins, sum(scores) / len(scores)

    return min(arms, key=rank)


def _told(
    found: Mapping[str, Mapping[int, Record]], arm: str, other: str, measures: Mapping[str, object] | Sequence[str]
) -> str:
    """How much better an arm is in some measures, with the intervals."""
    cells = dict(zip(MARGINS, _cells(found, arm, other), strict=True))
    return ", ".join(f"{measure.replace('_', ' ')} {cells[measure]}" for measure in measures)


def results(finished: Finished, scale: Scale, name: str) -> Table:
    """Means of each arm over the seeds."""
    found = runs(finished, name)
    full = next(iter(found.get("full", {}).values()), None)
    rows = []
    for arm in (arm for arm in arms_of(scale) if arm in found):
        records = list(found[arm].values())
        mean = {m: sum(number(r, m) for r in records) / len(records) for m in (*SHOWN, "macs_train", "macs_inference")}
        seconds = sum(number(r, "train_s") for r in records) / len(records)
        share = "-" if full is None else f"{mean['macs_train'] / number(full, 'macs_train'):.0%}"
        rows.append(
            [
                NAMES[arm],
                str(len(records)),
                share,
                f"{mean['macs_train']:.2e}",
                f"{seconds:.0f}",
                f"{mean['macs_inference']:.2e}",
                *(f"{mean[measure]:.4f}" for measure in SHOWN),
            ]
        )
    columns = [
        "arm",
        "n",
        "compute",
        "MACs, training",
        "CPU s",
        "MACs, one answer",
        *(m.replace("_", " ") for m in SHOWN),
    ]
    return Table(
        f"Means over the seeds on {name}; compute is the share of the full Deep Ensemble's MACs", columns, rows
    )


def differences(finished: Finished, scale: Scale, name: str) -> Table:
    """Each hatch against the full ensemble and each rival: how much better it is, with its 95 % interval."""
    found = runs(finished, name)
    rows = []
    for arm in (arm for arm in arms_of(scale) if arm in HATCHED and arm in found):
        if "full" in found:
            rows.append([NAMES[arm], "(a) " + NAMES["full"], *_cells(found, arm, "full"), as_good(found, arm)])
        rows += [
            [NAMES[arm], "(b) " + NAMES[rival], *_cells(found, arm, rival), better(found, arm, rival)]
            for rival in RIVALS
            if rival in found
        ]
    columns = ["hatch", "against", "accuracy", "calibrated NLL", "shifted ECE", "verdict"]
    return Table(
        f"Paired differences on {name}, positive where the hatch is better, with Student's 95 % interval", columns, rows
    )


def _cells(found: Mapping[str, Mapping[int, Record]], arm: str, other: str) -> list[str]:
    cells = []
    for measure, (_, more) in MARGINS.items():
        gap = difference(found, arm, other, measure, more=more)
        if gap is None:
            cells.append("-")
        else:
            span = "" if gap.interval is None else f" [{gap.interval[0]:+.4f}, {gap.interval[1]:+.4f}]"
            cells.append(f"{gap.mean:+.4f}{span}")
    return cells


def dials(finished: Finished, scale: Scale) -> Table:
    """The candidates of each arm, and how they were chosen."""
    rows = [
        [
            NAMES[arm],
            "; ".join(map(_words, candidates)),
            *(_words(candidates[chosen(finished, scale, name, arm)]) for name in sets_of(finished, scale)),
        ]
        for arm, (_, candidates) in ARMS.items()
        if arm in arms_of(scale)
    ]
    search = [record for record in finished.values() if record.name == "hatch.search"]
    spent = sum(float(record.context["macs_train"]) for record in search)  # type: ignore[arg-type]
    seconds = sum(number(record, "train_s") for record in search)
    how = (
        f"chosen on validation images, which cost {spent:.2e} MACs and {seconds:.0f} s in {len(search)} trainings"
        if search
        else "nothing was searched: the first candidate of each arm was used"
    )
    columns = ["arm", "candidates", *(f"chosen on {name}" for name in sets_of(finished, scale))]
    return Table(f"Candidates of the dials, as many for each arm; {how}", columns, rows)


def _words(dials: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in dials.items())


def claims(finished: Finished, scale: Scale) -> Table:
    """What the abstract claims, and what we found."""
    found = {name: runs(finished, name) for name in sets_of(finished, scale)}
    n = min((len(seeds) for arms in found.values() for seeds in arms.values()), default=0)
    hatched = [(arms, arm) for arms in found.values() for arm in arms if arm in HATCHED]
    a = all_of([as_good(arms, arm) for arms, arm in hatched]) if hatched else "not run"
    b = all_of([better(arms, arm, rival) for arms, arm in hatched for rival in RIVALS if rival in arms])
    tests = "tests/property/test_widening.py"
    rows = [
        ["(1) widening keeps what the seed knows", "functions equal to 1e-10 in float64", tests, "holds"],
        ["(2) members of the same and of different architectures", "`widths`", "tests/unit/ensemble/hatching", "holds"],
        ["(3) noise makes the members diverse", "see the disagreement below", str(n), "see the tables"],
        ["(4) competitive in less time: (a) at half the compute not worse than the full ensemble", "below", str(n), a],
        ["(4) better calibrated: (b) than each rival at equal compute", "below", str(n), b if hatched else "not run"],
    ]
    return Table(
        "Claims of the abstract; theirs in numbers is not known to us", ["claim", "ours", "n", "verdict"], rows
    )
