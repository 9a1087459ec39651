"""The tables of the study."""

from __future__ import annotations

import math
import statistics

from papers.simons2021_jets.networks import JETS, KINDS
from papers.simons2021_jets.report.findings import SEEDS_NEEDED, Study, difference, kinds, kinds_p, spread_p
from papers.table import Table
from papers.verdict import Claim, table_of_claims

NAMES = {
    "float": "float", "binary": "binary", "jet_free": "jet, free taps", "jet_first_one": "jet, first tap +1",
    "jet_shift": "jet, free taps, equal gains", "one_hot": "jet, one of nine", "jet_frozen": "random frozen jets",
}  # fmt: skip


def claims(study: Study) -> Table:
    """The abstract's three sentences beside what was measured."""
    widest = study.scale.widths[-1]
    return table_of_claims(
        "The abstract's claims",
        [
            _kernels(study, widest),
            *(_parity(study, w) for w in study.scale.widths),
            _fewer(study),
            _stable(study, widest),
        ],
    )


def _kernels(study: Study, width: int) -> Claim:
    records = study.seeds("jet_free", width)
    counts = kinds(records)
    p = kinds_p(counts)
    shares = " / ".join(f"{n / max(1, counts.sum()):.2f}" for n in counts)
    verdict = (
        "inconclusive" if p is None or len(records) < SEEDS_NEEDED else "supported" if p < 0.05 else "not supported"
    )
    told = (
        "not run" if p is None else f"axes with 0 / 1 / 2 differences {shares} (chance 0.25 / 0.50 / 0.25), p = {p:.2g}"
    )
    text = "It learns well-known classic kernels (every jet is one by construction; does training prefer some?)"
    return Claim(text, "stated", told, len(records), verdict)


def _parity(study: Study, width: int) -> Claim:
    found = difference(*study.pairs("jet_free", "binary", width))
    told, verdict, n = "not run", "inconclusive", 0
    if found is not None:
        low, high = found.interval
        told = f"{100 * found.mean:+.1f} points [{100 * low:+.1f}, {100 * high:+.1f}]"
        verdict, n = found.parity(), found.n
    where = f"{study.scale.data}, width {width}"
    return Claim(
        f"It performs comparably to binarized convolution ({where}; within 1 point)", "stated", told, n, verdict
    )


def _fewer(study: Study) -> Claim:
    width = study.scale.widths[-1]
    records = [study.seeds(kind, width) for kind in ("binary", "jet_free")]
    if not all(records):
        return Claim("With fewer computational resources", "stated", "not run", 0, "inconclusive")
    binary, jet = (statistics.fmean(float(r.context["bit_adds"]) for r in part) for part in records)
    adds = [statistics.fmean(float(r.context["adds"]) for r in part) for part in records]
    told = f"bit-weighted additions {jet / binary:.2f} of binary's, additions {adds[1] / adds[0]:.2f} (width {width})"
    verdict = "supported" if jet < binary else "not supported"
    return Claim("With fewer computational resources", "stated", told, len(records[1]), verdict)


def _stable(study: Study, width: int) -> Claim:
    ours, theirs = study.pairs("jet_free", "binary", width)
    p = spread_p(ours, theirs)
    if p is None:
        return Claim("It tends to be more stable in small models", "stated", "not run", len(ours), "inconclusive")
    sd = [100 * statistics.stdev(values) for values in (ours, theirs)]
    told = f"sd over seeds {sd[0]:.2f} against {sd[1]:.2f} points, Brown-Forsythe p = {p:.2g}"
    decided = p < 0.05 and len(ours) >= SEEDS_NEEDED
    verdict = ("supported" if sd[0] < sd[1] else "not supported") if decided else "inconclusive"
    return Claim("It tends to be more stable in small models", "stated", told, len(ours), verdict)


def accuracies(study: Study) -> Table:
    """Every type at every width."""
    rows = []
    for width in study.scale.widths:
        for kind in KINDS:
            values = study.accuracies(kind, width)
            if not values:
                continue
            records = study.seeds(kind, width)
            sd = statistics.stdev(values) if len(values) > 1 else math.nan
            epochs = statistics.fmean(float(r.context["epoch_sd"]) for r in records)
            loss = statistics.fmean(float(r.context["loss"]) for r in records)
            bits = records[0].context.get("bit_adds")
            rows.append([
                str(width), NAMES[kind], f"{study.rate(kind, width):g}", str(len(values)),
                f"{100 * statistics.fmean(values):.1f}", f"{100 * sd:.2f}", f"{100 * min(values):.1f}",
                f"{100 * epochs:.2f}", f"{loss:.3f}", "" if bits is None else f"{int(bits):,}",
            ])  # fmt: skip
    heads = [
        "width",
        "layers",
        "rate found",
        "n",
        "mean %",
        "sd",
        "worst",
        "epoch to epoch sd",
        "loss",
        "bit-weighted adds",
    ]
    return Table("Test accuracy, each with its own learning rate", heads, rows)


def kernel_table(study: Study) -> Table:
    """How many differences the axes of the learned kernels have."""
    rows = []
    for width in study.scale.widths:
        for kind in JETS:
            counts = kinds(study.seeds(kind, width))
            p = kinds_p(counts)
            if p is not None:
                shares = [f"{n / counts.sum():.3f}" for n in counts]
                rows.append([str(width), NAMES[kind], *shares, f"{int(counts.sum()):,}", f"{p:.2g}"])
    heads = ["width", "layers", "0 (smooth)", "1 (first)", "2 (second)", "axes", "p against 1/4, 1/2, 1/4"]
    return Table("Differences an axis in the learned kernels", heads, rows)
