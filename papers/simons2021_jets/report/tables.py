"""The tables of the study."""

from __future__ import annotations

import math
import statistics

from papers.simons2021_jets.networks import FROZEN, JETS, KINDS
from papers.simons2021_jets.report.findings import (
    SEEDS_NEEDED,
    Study,
    at_equal_lut,
    difference,
    kinds,
    kinds_p,
    mean_interval,
    spread_p,
)
from papers.table import Table
from papers.verdict import Claim, table_of_claims

NAMES = {
    "float": "float", "binary": "binary", "jet_free": "jet, free taps", "jet_first_one": "jet, first tap +1",
    "jet_shift": "jet, free taps, equal gains", "jet_first": "jet first, binary second",
    "one_hot": "jet, one of nine", "jet_frozen": "random frozen jets",
}  # fmt: skip


def claims(study: Study) -> Table:
    """The abstract's three sentences beside what was measured."""
    sets, widths = study.scale.sets, study.scale.widths
    rows = [_kernels(study, data, widths[-1]) for data in sets]
    rows += [_parity(study, data, width) for data in sets for width in widths]
    rows += [_fewer(study, data) for data in sets]
    rows += [_fewer_lut(study, data) for data in sets if study.scale.mapped]
    return table_of_claims(
        "The abstract's claims", [*rows, *(_stable(study, data, w) for data in sets for w in widths)]
    )


def _kernels(study: Study, data: str, width: int) -> Claim:
    records = study.seeds(data, width, "jet_free")
    counts = kinds(records)
    p = kinds_p(counts)
    shares = " / ".join(f"{n / max(1, counts.sum()):.2f}" for n in counts)
    verdict = (
        "inconclusive" if p is None or len(records) < SEEDS_NEEDED else "supported" if p < 0.05 else "not supported"
    )
    told = (
        "not run" if p is None else f"axes with 0 / 1 / 2 differences {shares} (chance 0.25 / 0.50 / 0.25), p = {p:.2g}"
    )
    text = (
        "It learns well-known classic kernels (every jet is one by construction; does training prefer some? "
        f"{data}, width {width})"
    )
    return Claim(text, "stated", told, len(records), verdict)


def _parity(study: Study, data: str, width: int) -> Claim:
    found = difference(*study.pairs(data, width, "jet_free", "binary"))
    told, verdict, n = "not run", "inconclusive", 0
    if found is not None:
        told, verdict, n = _points(found.mean, found.interval), found.parity(), found.n
    text = f"It performs comparably to binarized convolution ({data}, width {width}; within 1 point)"
    return Claim(text, "stated", told, n, verdict)


def _points(mean: float, interval: tuple[float, float]) -> str:
    return f"{100 * mean:+.1f} points [{100 * interval[0]:+.1f}, {100 * interval[1]:+.1f}]"


def _fewer(study: Study, data: str) -> Claim:
    width = study.scale.widths[-1]
    text = f"With fewer computational resources ({data}, width {width})"
    records = [study.seeds(data, width, kind) for kind in ("binary", "jet_free")]
    if not all(records):
        return Claim(text, "stated", "not run", 0, "inconclusive")
    binary, jet = (statistics.fmean(float(r.context["bit_adds"]) for r in part) for part in records)
    adds = [statistics.fmean(float(r.context["adds"]) for r in part) for part in records]
    told = f"bit-weighted additions {jet / binary:.2f} of binary's, additions {adds[1] / adds[0]:.2f}"
    verdict = "supported" if jet < binary else "not supported"
    return Claim(text, "stated", told, len(records[1]), verdict)


def _fewer_lut(study: Study, data: str) -> Claim:
    """Area of the same widths, and the score at equal area."""
    width = study.scale.widths[-1]
    text = f"With fewer computational resources ({data}, width {width}: LUTs of the network, ECP5, learned kernels)"
    binary, jet = (study.area(data, width, kind) for kind in ("binary", "jet_free"))
    if binary is None or jet is None or not binary.value or not jet.value:
        return Claim(text, "stated", "not run", 0, "inconclusive")
    told = f"{jet.value:,.0f} against {binary.value:,.0f} LUT, {jet.value / binary.value:.2f} of binary's"
    gain = equal_lut(study, data, "jet_free")
    if gain is not None:
        told += f"; at the jets' {jet.value:,.0f} LUT {100 * gain:+.1f} points against binary between its widths"
    return Claim(text, "stated", told, 1, "supported" if jet.value < binary.value else "not supported")


def equal_lut(study: Study, data: str, kind: str) -> float | None:
    """Mean score of a type at the widest, less what binary layers reach at as many LUTs; None where not measured."""
    curve = lut_curve(study, data, "binary")
    own = study.area(data, study.scale.widths[-1], kind)
    scores = study.scores(data, study.scale.widths[-1], kind)
    theirs = None if own is None or not own.value else at_equal_lut(curve, float(own.value))
    return None if theirs is None or not scores else statistics.fmean(scores) - theirs


def lut_curve(study: Study, data: str, kind: str) -> list[tuple[float, float]]:
    """(LUTs, mean score) of each width."""
    found = []
    for width in study.scale.widths:
        area, scores = study.area(data, width, kind), study.scores(data, width, kind)
        if area is not None and area.value is not None and scores:
            found.append((float(area.value), statistics.fmean(scores)))
    return found


def _stable(study: Study, data: str, width: int) -> Claim:
    text = f"It tends to be more stable in small models ({data}, width {width})"
    ours, theirs = study.pairs(data, width, "jet_free", "binary")
    p = spread_p(ours, theirs)
    if p is None:
        return Claim(text, "stated", "not run", len(ours), "inconclusive")
    sd = [100 * statistics.stdev(values) for values in (ours, theirs)]
    told = f"sd over seeds {sd[0]:.2f} against {sd[1]:.2f} points, Brown-Forsythe p = {p:.2g}"
    decided = p < 0.05 and len(ours) >= SEEDS_NEEDED
    verdict = ("supported" if sd[0] < sd[1] else "not supported") if decided else "inconclusive"
    return Claim(text, "stated", told, len(ours), verdict)


def accuracies(study: Study) -> Table:
    """Every type at every width on every set."""
    rows = []
    for data in study.scale.sets:
        for width in study.scale.widths:
            rows += [row for kind in KINDS if (row := _row(study, data, width, kind))]
    heads = [
        "set", "width", "layers", "rate found", "n", "mean % [95 %]", "sd", "worst", "epoch to epoch sd", "AUROC",
        "loss", "bit-weighted adds", "LUT",
    ]  # fmt: skip
    return Table("Test score, each with its own learning rate", heads, rows)


def _row(study: Study, data: str, width: int, kind: str) -> list[str]:
    records = study.seeds(data, width, kind)
    values = study.scores(data, width, kind)
    if not values:
        return []
    sd = statistics.stdev(values) if len(values) > 1 else math.nan
    low, high = mean_interval(values)
    epochs, loss = (statistics.fmean(float(r.context[name]) for r in records) for name in ("epoch_sd", "loss"))
    auroc = [float(r.context["auroc"]) for r in records if "auroc" in r.context]
    bits, area = records[0].context.get("bit_adds"), study.area(data, width, kind)
    return [
        data, str(width), NAMES[kind], f"{study.rate(data, width, kind):g}", str(len(values)),
        f"{100 * statistics.fmean(values):.1f} [{100 * low:.1f}, {100 * high:.1f}]", f"{100 * sd:.2f}",
        f"{100 * min(values):.1f}", f"{100 * epochs:.2f}", f"{statistics.fmean(auroc):.3f}" if auroc else "",
        f"{loss:.3f}", "" if bits is None else f"{int(bits):,}",
        "" if area is None or area.value is None else f"{area.value:,.0f}",
    ]  # fmt: skip


def equal_area(study: Study) -> Table:
    """Scores at equal LUTs: each type at the widest beside binary layers of as many LUTs."""
    rows = []
    width = study.scale.widths[-1]
    for data in study.scale.sets:
        for kind in FROZEN[1:]:
            area, gain = study.area(data, width, kind), equal_lut(study, data, kind)
            if area is not None and area.value is not None:
                told = "outside binary's widths" if gain is None else f"{100 * gain:+.1f} points"
                rows.append([data, NAMES[kind], f"{area.value:,.0f}", told])
    return Table(
        f"Width {width} against binary layers of as many LUTs, between binary's widths",
        ["set", "layers", "LUT", "against binary"],
        rows,
    )


def kernel_table(study: Study) -> Table:
    """How many differences the axes of the learned kernels have."""
    rows = []
    for data in study.scale.sets:
        for width in study.scale.widths:
            for kind in JETS:
                counts = kinds(study.seeds(data, width, kind))
                p = kinds_p(counts)
                if p is not None:
                    shares = [f"{n / counts.sum():.3f}" for n in counts]
                    rows.append([data, str(width), NAMES[kind], *shares, f"{int(counts.sum()):,}", f"{p:.2g}"])
    heads = ["set", "width", "layers", "0 (smooth)", "1 (first)", "2 (second)", "axes", "p against 1/4, 1/2, 1/4"]
    return Table("Differences an axis in the learned kernels", heads, rows)
