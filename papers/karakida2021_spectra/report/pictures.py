"""The pictures that can be drawn from the records."""

from __future__ import annotations

from functools import cache
from statistics import fmean

import torch
from matplotlib.figure import Figure

from linnet.report.figures import SERIES_COLORS, drawing
from linnet.report.marks import GRID
from linnet.report.spectra.figures import against_width, eigenvalue_histogram, kappa_curves, lr_heatmap
from linnet.spectra import LRMap, theory
from papers.karakida2021_spectra.problems import CLASSES, KINDS
from papers.karakida2021_spectra.report.claims import by_width, fact, of_stage
from papers.karakida2021_spectra.trials import MOMENTS, numbers
from papers.page import Picture
from papers.study import Finished


def drawable(finished: Finished) -> dict[str, Picture]:
    """File name -> picture, of the stages that have records."""
    found: dict[str, Picture] = {
        "kappa": Picture("kappa_1 and kappa_2 against the weight variance, bias variance 0.1", _kappa)
    }
    if of_stage(finished, "regression"):
        found["regression"] = Picture(
            "Eigenvalues of one network beside the theory (regression)", lambda: _regression(finished)
        )
    if of_stage(finished, "softmax"):
        found["softmax"] = Picture(
            "Largest eigenvalue with cross entropy against the width", lambda: _softmax(finished)
        )
        found["outliers"] = Picture(
            "Softmax outliers of one network: predicted and measured", lambda: _outliers(finished)
        )
    if of_stage(finished, "centred"):
        found["centred"] = Picture("Largest eigenvalue at N = M, with and without centring", lambda: _centred(finished))
    if of_stage(finished, "training"):
        found["training"] = Picture("Largest eigenvalues while cross entropy is trained", lambda: _training(finished))
    if of_stage(finished, "map"):
        found["map"] = Picture("Highest loss near a zero of it, over step size and width", lambda: _map(finished))
    if of_stage(finished, "real"):
        found["real"] = Picture(
            "A convolutional classifier's largest eigenvalues along its training", lambda: _real(finished)
        )
    return found


def _kappa() -> Figure:
    variances = [0.5 + 0.25 * k for k in range(11)]
    return kappa_curves(
        variances, {name: [_kappas(name, v) for v in variances] for name in ("relu", "tanh", "erf", "linear")}
    )


@cache
def _kappas(activation: str, weight_variance: float) -> tuple[float, float]:
    found = theory(3, activation, weight_variance, 0.1, 100, 10, 1)
    return found.kappa1, found.kappa2


def _regression(finished: Finished) -> Figure:
    record = next(r for r in of_stage(finished, "regression") if len(numbers(r.context["eigenvalues"])) > CLASSES)
    values = numbers(record.context["eigenvalues"])
    width = round(_width(record, len(values) // CLASSES))
    return eigenvalue_histogram(values, theory(3, "tanh", *KINDS["tanh"], width, len(values) // CLASSES, CLASSES))


def _width(record: object, samples: int) -> float:
    """M from the theory's largest eigenvalue, which is proportional to it."""
    return fact(record, "theory_max") / _per_width(samples)  # pyright: ignore[reportArgumentType]


@cache  # each page draws the picture again
def _per_width(samples: int) -> float:
    return theory(3, "tanh", *KINDS["tanh"], 1000, samples, CLASSES).max / 1000


def _softmax(finished: Finished) -> Figure:
    widths = sorted({int(r.context["width"]) for r in of_stage(finished, "softmax")})
    series, lines = {}, {}
    for kind in KINDS:
        rows = [of_stage(finished, "softmax", activation=kind, width=m) for m in widths]
        series[kind] = [[float(r.value or 0) for r in row] for row in rows]
        lines[kind] = [fmean(numbers(r.context["predicted"])[0] for r in row) for row in rows]
    return against_width(widths, series, lines)


def _outliers(finished: Finished) -> Figure:
    widest = max(int(r.context["width"]) for r in of_stage(finished, "softmax"))
    record = of_stage(finished, "softmax", activation="relu", width=widest)[0]
    with drawing():
        fig = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = fig.subplots()
        measured = numbers(record.context["outliers"])
        axes.plot(range(1, len(measured) + 1), measured, "s", color=SERIES_COLORS[0], label="measured")
        predicted = numbers(record.context["predicted"])
        axes.plot(
            range(1, len(predicted) + 1),
            predicted,
            "o--",
            color=SERIES_COLORS[1],
            fillstyle="none",
            label="predicted from its p",
        )
        drawn = numbers(record.context["a_priori"])
        axes.plot(
            range(1, len(drawn) + 1), drawn, ":", color=SERIES_COLORS[2], linewidth=2, label="mean of random networks"
        )
        axes.set_yscale("log")
        axes.set_xlabel("number of the eigenvalue")
        axes.set_ylabel("eigenvalue")
        axes.grid(visible=True, **GRID)
        fig.legend(loc="outside upper center", ncols=3)
    return fig


def _centred(finished: Finished) -> Figure:
    widths = sorted({int(r.context["width"]) for r in of_stage(finished, "centred")})
    rows = by_width(finished, "centred", {"as it is": "raw", "centred": ""})
    known = by_width(finished, "centred", {"as it is": "theory_raw", "centred": "theory"})
    lines = {name: [v[0] for v in values] for name, values in known.items()}
    return against_width(widths, rows, lines, meant={"centred": "mean of the bulk in theory"})


def _training(finished: Finished) -> Figure:
    record = of_stage(finished, "training")[0]
    steps = [int(fact(record, "every")) * k for k in range(len(numbers(record.context["mse"])))]
    with drawing():
        fig = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = fig.subplots()
        axes.fill_between(
            steps,
            numbers(record.context["lower"]),
            numbers(record.context["upper"]),
            color=SERIES_COLORS[1],
            alpha=0.15,
            label="bounds from its p",
        )
        axes.plot(steps, numbers(record.context["mse"]), "s-", color=SERIES_COLORS[0], label="regression F")
        axes.plot(steps, numbers(record.context["softmax"]), "o--", color=SERIES_COLORS[1], label="softmax F")
        axes.set_yscale("log")
        axes.set_xlabel("step")
        axes.set_ylabel("largest eigenvalue")
        axes.grid(visible=True, **GRID)
        fig.legend(loc="outside upper center", ncols=3)
    return fig


def _map(finished: Finished) -> Figure:
    context = of_stage(finished, "map")[0].context
    widths, lrs = tuple(int(m) for m in numbers(context["widths"])), tuple(numbers(context["lrs"]))
    shape = (len(widths), len(lrs))
    grids = [torch.tensor(numbers(context[name])).view(shape) for name in ("losses", "peaks")]
    return lr_heatmap(LRMap(widths, lrs, grids[0], grids[1], tuple(numbers(context["limits"]))))


def _real(finished: Finished) -> Figure:
    record = of_stage(finished, "real")[0]
    with drawing():
        fig = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = fig.subplots()
        for color, sign, when in zip(SERIES_COLORS, "so^", MOMENTS, strict=False):
            values = numbers(record.context[f"{when}_top"])
            axes.plot(
                range(1, len(values) + 1), values, f"{sign}-", color=color, markersize=4, label=f"{when} of training"
            )
        axes.set_yscale("log")
        axes.set_xlabel("number of the eigenvalue")
        axes.set_ylabel("eigenvalue")
        axes.grid(visible=True, **GRID)
        fig.legend(loc="outside upper center", ncols=3)
    return fig
