"""The claims of the abstract, and what was measured for each."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from linnet.results import Record
from papers.karakida2021_spectra.trials import MOMENTS, numbers
from papers.study import Finished
from papers.table import Table
from papers.verdict import Claim, Verdict, table_of_claims


def of_stage(finished: Finished, stage: str, **settings: object) -> list[Record]:
    """The records of a stage with these settings."""
    found = [record for record in finished.values() if record.context.get("stage") == stage]
    return [r for r in found if all(r.context.get(key) == value for key, value in settings.items())]


def value(record: Record) -> float:
    """Its number."""
    assert record.value is not None
    return record.value


def fact(record: Record, name: str) -> float:
    """A fact that is a number."""
    return float(record.context[name])


def claims(finished: Finished) -> Table:
    """Claim, theirs, ours, n, verdict."""
    rows = [_scale(finished), _few(finished), _softmax(finished), _outliers(finished), _kernel(finished)]
    rows += [_metric(finished), _centred(finished), _line(finished), _training(finished)]
    return table_of_claims(
        "What the abstract claims, what follows from it by our formulas, and what was measured", rows
    )


def regression(finished: Finished) -> Table:
    """Mean, second moment, max and bulk beside the theory."""
    found = of_stage(finished, "regression")
    rows = []
    for name, ours, theirs in (
        ("mean", "mean", "theory_mean"),
        ("second moment", "second_moment", "theory_second_moment"),
        ("max", "", "theory_max"),
        ("bulk (mean)", "bulk", "theory_bulk"),
    ):
        measured = [fact(r, ours) if ours else value(r) for r in found]
        if measured:
            rows.append([name, f"{fmean(measured):.5g}", f"{fact(found[0], theirs):.5g}", str(len(measured))])
    return Table(
        "Regression, tanh, three weight layers: means over networks", ["quantity", "measured", "theory", "n"], rows
    )


def softmax(finished: Finished) -> Table:
    """The largest eigenvalue and the outliers against the width."""
    rows = []
    settings = sorted({(str(r.context["activation"]), int(r.context["width"])) for r in of_stage(finished, "softmax")})
    for kind, width in settings:
        found = of_stage(finished, "softmax", activation=kind, width=width)
        gaps = [gap for r in found for gap in outlier_gaps(r)]
        predicted = [numbers(r.context["predicted"])[0] for r in found]
        rows.append([
            kind, str(width), f"{fmean(map(value, found)):.4g}", f"{fmean(predicted):.4g}",
            f"{fmean(fact(r, 'lower') for r in found):.4g}", f"{fmean(fact(r, 'upper') for r in found):.4g}",
            f"{fmean(map(abs, gaps)):.1%}", str(len(found)),
        ])  # fmt: skip
    columns = [
        "activation",
        "M",
        "max",
        "largest outlier predicted",
        "lower bound",
        "upper bound",
        "gap of the first 5",
        "n",
    ]
    return Table("Cross entropy: the largest eigenvalue beside the prediction from each network's own p", columns, rows)


def real(finished: Finished) -> Table:
    """The classifier on images along its training."""
    rows = []
    for record in of_stage(finished, "real"):
        for when in MOMENTS:
            facts = [f"{fact(record, f'{when}_{name}'):.4g}" for name in ("loss", "max", "centred", "lr")]
            rows.append([f"{when} of training", *facts])
    columns = ["when", "loss", "largest eigenvalue", "with centred outputs", "safe step size"]
    return Table("A convolutional classifier (eval mode, cross entropy)", columns, rows)


def outlier_gaps(record: Record, count: int = 5) -> list[float]:
    """Predicted over measured, less 1, of the largest outliers."""
    pairs = zip(numbers(record.context["predicted"])[:count], numbers(record.context["outliers"])[:count], strict=True)
    return [predicted / measured - 1 for predicted, measured in pairs]


def _said(*, holds: bool, known: bool) -> Verdict:
    return "not run" if not known else "holds" if holds else "does not hold"


def _scale(finished: Finished) -> Claim:
    found = of_stage(finished, "regression")
    gap = (
        max(
            (
                abs(fmean(fact(r, k) for r in found) / fact(found[0], f"theory_{k}") - 1)
                for k in ("mean", "second_moment")
            ),
            default=1.0,
        )
        if found
        else 1.0
    )
    return Claim(
        "the scale depends on width, depth and sample size in a known way (regression)", "stated",
        f"mean and second moment within {gap:.1%} of the formulas", len(found),
        _said(holds=gap < 0.2, known=bool(found)),
    )  # fmt: skip


def _few(finished: Finished) -> Claim:
    found = of_stage(finished, "regression")
    ratio = fmean(numbers(r.context["eigenvalues"])[9] / fact(r, "bulk") for r in found) if found else 0.0
    return Claim(
        "a few outliers, the rest much smaller", "stated", f"the tenth eigenvalue is {ratio:.1f} times the bulk's mean",
        len(found), _said(holds=ratio > 3, known=bool(found)),
    )  # fmt: skip


def _softmax(finished: Finished) -> Claim:
    found = of_stage(finished, "softmax")
    spreads = [numbers(r.context["outliers"]) for r in found]
    ratio = fmean(row[0] / row[7] for row in spreads) if spreads else 0.0
    return Claim(
        "softmax disperses the outliers and makes a tail", "stated",
        f"the first outlier is {ratio:.1f} times the eighth; all stay below regression's", len(found),
        _said(holds=ratio > 2 and all(value(r) < fact(r, "theory_mse_max") for r in found), known=bool(found)),
    )  # fmt: skip


def _outliers(finished: Finished) -> Claim:
    widest = max((int(r.context["width"]) for r in of_stage(finished, "softmax")), default=0)
    found = of_stage(finished, "softmax", width=widest)
    gap = fmean(abs(g) for r in found for g in outlier_gaps(r)) if found else 1.0
    return Claim(
        "ours: the outliers are alpha M kappa_2 eig(E Q), C - 1 of them", "-",
        f"the first five within {gap:.1%} on average at M = {widest}", len(found),
        _said(holds=gap < 0.2, known=bool(found)),
    )  # fmt: skip


def _kernel(finished: Finished) -> Claim:
    found = of_stage(finished, "ntk")
    gaps = [abs(value(r) / fact(r, "theory_max") - 1) for r in found]
    sizes = sorted({int(r.context["samples"]) for r in found})
    growth = 0.0
    if len(sizes) > 1:
        ends = [fmean(map(value, of_stage(finished, "ntk", samples=n))) for n in (sizes[0], sizes[-1])]
        growth = ends[1] / ends[0] / (sizes[-1] / sizes[0])
    return Claim(
        "the NTK shows the same pathology", "stated",
        f"its largest eigenvalue grows {growth:.2f} times as much as N and lies {fmean(gaps) if gaps else 1:.1%} from "
        "the formula",
        len(found), _said(holds=growth > 0.6, known=bool(found)),
    )  # fmt: skip


def _metric(finished: Finished) -> Claim:
    found = of_stage(finished, "metric")
    ratio = fmean(value(r) / fact(r, "input_mean") for r in found) if found else 0.0
    return Claim(
        "the metrics of input and feature space show it too", "stated",
        f"the input metric's largest eigenvalue is {ratio:.0f} times its mean", len(found),
        _said(holds=ratio > 3, known=bool(found)),
    )  # fmt: skip


def by_width(finished: Finished, stage: str, pick: Mapping[str, str]) -> dict[str, list[list[float]]]:
    """Name -> for each width the values; a pick of "" is the record's own value."""
    widths = sorted({int(r.context["width"]) for r in of_stage(finished, stage)})
    return {
        name: [[fact(r, key) if key else value(r) for r in of_stage(finished, stage, width=m)] for m in widths]
        for name, key in pick.items()
    }


def _centred(finished: Finished) -> Claim:
    rows = by_width(finished, "centred", {"raw": "raw", "centred": ""})
    n = len(of_stage(finished, "centred"))
    if not n:
        return Claim("ours: centring the outputs removes the outliers", "-", "-", 0, "not run")
    raw, centred = ([fmean(v) for v in rows[name]] for name in ("raw", "centred"))
    growth, flat = raw[-1] / raw[0], centred[-1] / centred[0]
    return Claim(
        "ours: centring the outputs removes the outliers, O(M) to O(1) at N = M", "-",
        f"from the least to the largest width: raw {growth:.1f} times, centred {flat:.2f} times", n,
        _said(holds=flat < 1.5 < growth, known=True),
    )  # fmt: skip


def _line(finished: Finished) -> Claim:
    found = of_stage(finished, "map")
    gap = max(map(value, found), default=99.0)
    return Claim(
        "the landscape is sharp in a few directions: the step size is bounded by 2 / lambda_max", "follows",
        f"the edge of training lies within {gap:.2f} steps of the grid (25 %) of the line", len(found),
        _said(holds=gap < 1.5, known=bool(found)),
    )  # fmt: skip


def _training(finished: Finished) -> Claim:
    found = of_stage(finished, "training")
    mse = [numbers(r.context["mse"])[-1] / numbers(r.context["mse"])[0] for r in found]
    soft = [numbers(r.context["softmax"])[-1] / numbers(r.context["softmax"])[0] for r in found]
    holds = bool(found) and fmean(soft) < 0.5 * fmean(mse)
    return Claim(
        "ours: in training with cross entropy its lambda_max falls, regression's stays", "-",
        f"softmax F to {fmean(soft) if soft else 0:.2f}, regression F to {fmean(mse) if mse else 0:.2f} of the start",
        len(found), _said(holds=holds, known=bool(found)),
    )  # fmt: skip
