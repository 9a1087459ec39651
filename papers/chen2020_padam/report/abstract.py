"""The claims of the paper's abstract, and what the runs say about each."""

from __future__ import annotations

from collections.abc import Mapping

from papers.chen2020_padam.plan import joins_trial
from papers.chen2020_padam.report.findings import REFERENCE, Result, difference, speed_difference
from papers.study import Finished
from papers.verdict import Claim, Paired, all_of, in_words, shown

MARGIN = 0.005
"""As accurate: at most so much below. Half a point is about the spread of one seed here; ours, set before the runs."""
LOSS_MARGIN = 0.02
"""As fast: mean training loss at most so much above, in nats; ours, set before the runs."""
SEEDS_NEEDED = 5
JOINED = 1e-10
"""At the ends of p the steps are equal when float64 weights differ by less after 200 steps."""

Results = Mapping[str, Result]


def claims(finished: Finished, results: Results) -> list[Claim]:
    """All claims, measured or not."""
    return [
        _over_adapted(results, "adam", "Adam"),
        _over_adapted(results, "amsgrad", "Amsgrad"),
        _joins(finished),
        _converges(results),
        *(_as_good(results, row) for row in ("padam_4", "padam_8", "padam_16")),
        *(_as_fast(results, row) for row in ("padam_4", "padam_8", "padam_16")),
    ]


def _over_adapted(results: Results, row: str, name: str) -> Claim:
    found = _difference(results, REFERENCE, row)
    words = f"(1) {name} is over-adapted: it generalizes worse than SGD with momentum, each tuned"
    said = f"test accuracy of SGDM - {name}: {shown(found)}"
    return _claim(words, '"sometimes"; no figure', said, found, 0.0)


def _joins(finished: Finished) -> Claim:
    words = "(2) p joins Amsgrad (p = 1/2) with SGD with momentum (p = 0)"
    record = finished.get(joins_trial().key)
    if record is None or record.value is None:
        return Claim(words, "by construction", "not run", 0, "not run")
    verdict = "holds" if record.value <= JOINED else "does not hold"
    said = (
        f"largest relative difference of weights after {record.n} steps, float64: {record.value:.1e} "
        '(p = 1/2, eps = 0 against Amsgrad; p = 0, "none" against SGD at lr (1 - b1))'
    )
    return Claim(words, "by construction", said, 2, verdict)


def _converges(results: Results) -> Claim:
    words = "(3) It converges to a stationary point in stochastic non-convex optimization"
    falls = [
        (curve[0], curve[-1])
        for row in results
        if row.startswith("padam")
        for curve in results[row].curves("loss_curve")
    ]
    fell = sum(last < first for first, last in falls)
    said = "a theorem, not tested by runs"
    if falls:
        said += f"; the training loss of {fell} of {len(falls)} runs of Padam fell from the first epoch to the last"
    return Claim(words, "a theorem", said, len(falls), "not tested")


def _as_good(results: Results, row: str) -> Claim:
    found = _difference(results, row, REFERENCE)
    label = _label(results, row)
    words = f"(4) {label} generalizes as well as SGD with momentum (margin {MARGIN:g})"
    return _claim(words, "no figure available", f"difference of test accuracy: {shown(found)}", found, -MARGIN)


def _as_fast(results: Results, row: str) -> Claim:
    label = _label(results, row)
    words = f"(4) {label} converges as fast as Adam and Amsgrad (margin {LOSS_MARGIN:g} nat)"
    rivals = [name for name in ("adam", "amsgrad") if name in results]
    found = {name: speed_difference(results[row], results[name]) for name in rivals} if row in results else {}
    verdicts = [pair.verdict(at_least=-LOSS_MARGIN) for pair in found.values() if pair is not None]
    told = "; ".join(f"{results[name].label} - Padam: {shown(pair, digits=3)}" for name, pair in found.items())
    said = f"mean training loss over the epochs, {told}" if told else "not run"
    n = min((pair.n for pair in found.values() if pair is not None), default=0)
    return Claim(words, "no figure available", said, n, in_words(all_of(verdicts), n, needed=SEEDS_NEEDED))


def _label(results: Results, row: str) -> str:
    return results[row].label if row in results else f"Padam, p = 1/{row.removeprefix('padam_')}"


def _difference(results: Results, ours: str, theirs: str) -> Paired | None:
    return difference(results[ours], results[theirs]) if {ours, theirs} <= results.keys() else None


def _claim(words: str, theirs: str, ours: str, found: Paired | None, at_least: float) -> Claim:
    if found is None:
        return Claim(words, theirs, "not run", 0, "not run")
    return Claim(words, theirs, ours, found.n, in_words(found.verdict(at_least=at_least), found.n, needed=SEEDS_NEEDED))
