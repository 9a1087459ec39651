"""Pictures of spectra: the histogram with its theory, outliers against width, the map of step sizes, directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from numpy.typing import NDArray

from linnet.report.figures import SERIES_COLORS, drawing
from linnet.report.marks import GRID
from linnet.spectra import LRMap, MeanField

MEASURED, THEORY, BULK = SERIES_COLORS[0], SERIES_COLORS[1], SERIES_COLORS[2]
_BINS = 48


def eigenvalue_histogram(values: Sequence[float], theory: MeanField | None = None, *, title: str = "") -> Figure:
    """Counts of eigenvalues in logarithmic bins, log counts; lines of the theory, the measured bulk as a band.

    Args:
        values: Non-zero eigenvalues.
        theory: Of a network of this shape; None for no lines.
        title: Above the picture.
    """
    with drawing():
        fig = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = fig.subplots()
        found = np.asarray([v for v in values if v > 0])
        high = max(found.max(), theory.max if theory else 0.0)
        edges = np.geomspace(max(found.min(), high * 1e-9) * 0.8, high * 1.3, _BINS)
        axes.hist(np.clip(found, edges[0], None), bins=list(edges), color=MEASURED, label="measured")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        if theory is not None:
            _theory_lines(axes, found, theory)
        axes.set_xlabel("eigenvalue")
        axes.set_ylabel("number in each bin")
        axes.set_title(title)
        axes.grid(visible=True, **GRID)
        _legend(fig)
    return fig


def _theory_lines(axes: Axes, found: NDArray[np.float64], theory: MeanField) -> None:
    rest = np.sort(found)[::-1][theory.classes :]
    if theory.loss == "mse":
        if len(rest):
            axes.axvspan(rest.min(), rest.max(), color=BULK, alpha=0.15, label="bulk, measured band")
        axes.axvline(theory.bulk, color=BULK, linestyle=":", linewidth=2, label="bulk, mean in theory")
        axes.axvline(theory.max, color=THEORY, linestyle="--", linewidth=2, label="outliers in theory, C-fold")
        return
    for number, value in enumerate(theory.outliers):
        label = "outliers in theory, C - 1" if number == 0 else None
        axes.axvline(float(value), color=THEORY, linestyle="--", linewidth=1.2, label=label)


def against_width(
    widths: Sequence[float],
    series: Mapping[str, Sequence[Sequence[float]]],
    theory: Mapping[str, Sequence[float]] | None = None,
    *,
    ylabel: str = "largest eigenvalue",
    meant: Mapping[str, str] | None = None,
) -> Figure:
    """Several quantities against the width: means over networks with their range, theory as lines.

    Args:
        widths: M.
        series: Name -> for each width the values of several networks.
        theory: Name -> for each width the value of the theory.
        ylabel: Of the axis.
        meant: Name -> what its line of the theory is; "theory" where it isn't there.
    """
    with drawing():
        fig = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = fig.subplots()
        colors = dict(zip(series, SERIES_COLORS, strict=False))
        for number, (name, values) in enumerate(series.items()):
            mean = np.asarray([np.mean(v) for v in values])
            spread = np.asarray([[np.mean(v) - np.min(v), np.max(v) - np.mean(v)] for v in values]).T
            mark = "so^vD"[number % 5]
            axes.errorbar(widths, mean, yerr=spread, fmt=mark, color=colors[name], capsize=3, label=name)
            if theory and name in theory:
                said = f"{name}, {(meant or {}).get(name, 'theory')}"
                axes.plot(widths, theory[name], "--", color=colors[name], linewidth=1.6, label=said)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xticks(list(widths), [f"{w:g}" for w in widths])
        axes.set_xlabel("width M")
        axes.set_ylabel(ylabel)
        axes.grid(visible=True, **GRID)
        _legend(fig)
    return fig


def lr_heatmap(found: LRMap) -> Figure:
    """The loss after training over step sizes and widths; the line is 2 / lambda_max of each width.

    Args:
        found: Of `lr_map`.
    """
    with drawing():
        fig = Figure(figsize=(7.2, 3.8), layout="constrained")
        axes = fig.subplots()
        shown = found.peaks.clamp(max=1e6).log10().numpy()
        lrs, widths = np.asarray(found.lrs), np.arange(len(found.widths))
        scale = {"cmap": "cividis", "vmin": 0, "vmax": 6, "rasterized": True}  # as vectors, its cells show seams
        image = axes.pcolormesh(_edges(lrs), np.arange(len(widths) + 1) - 0.5, shown, **scale)
        axes.plot(found.limits, widths, "o--", color=THEORY, linewidth=2, label="2 / lambda_max, measured at the start")
        axes.set_xscale("log")
        axes.set_yticks(list(widths), [str(w) for w in found.widths])
        axes.set_xlabel("step size")
        axes.set_ylabel("width M")
        bar = fig.colorbar(image, ax=axes)
        bar.set_label("log10 of the highest loss over the first")
        _legend(fig)
    return fig


def kappa_curves(variances: Sequence[float], curves: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """kappa_1 (lines) and kappa_2 (dashed) against the weight variance for several activations.

    Args:
        variances: sigma_w^2.
        curves: Activation -> (kappa_1, kappa_2) at each.
    """
    with drawing():
        fig = Figure(figsize=(7.2, 3.6), layout="constrained")
        axes = fig.subplots()
        for color, (name, pairs) in zip(SERIES_COLORS, curves.items(), strict=False):
            axes.plot(
                variances,
                [p[0] for p in pairs],
                "-",
                color=color,
                linewidth=1.8,
                label=f"{name}: kappa_1, dashed kappa_2",
            )
            axes.plot(variances, [p[1] for p in pairs], "--", color=color, linewidth=1.8)
        axes.set_yscale("log")
        axes.set_xlabel("weight variance")
        axes.set_ylabel("kappa")
        axes.grid(visible=True, **GRID)
        _legend(fig)
    return fig


def direction_images(images: NDArray[np.floating], directions: NDArray[np.floating], values: Sequence[float]) -> Figure:
    """Inputs above, the direction of each that moves the outputs most below.

    Args:
        images: (N, H, W) or (N, C, H, W); channels are averaged.
        directions: As `images`.
        values: Singular value of each direction.
    """
    shown = [array.mean(1) if array.ndim == 4 else array for array in (images, directions)]
    with drawing():
        fig = Figure(figsize=(1.25 * len(values), 2.9), layout="constrained")
        axes = np.asarray(fig.subplots(2, len(values))).reshape(2, -1)
        for column, value in enumerate(values):
            size = float(np.abs(shown[1][column]).max()) or 1.0
            axes[0, column].imshow(shown[0][column], cmap="gray")
            axes[1, column].imshow(shown[1][column], cmap="PuOr", vmin=-size, vmax=size)
            axes[1, column].set_xlabel(f"{value:.3g}")
            for ax in axes[:, column]:
                ax.set_xticks([])
                ax.set_yticks([])
        axes[0, 0].set_ylabel("input")
        axes[1, 0].set_ylabel("steepest")
    return fig


def _legend(fig: Figure) -> None:
    """Beside the data, where it hides nothing and its text stands on the page's own ground."""
    fig.legend(loc="outside upper center", ncols=2)


def _edges(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Borders between values on a logarithmic axis."""
    if len(values) == 1:
        return np.asarray([values[0] / 1.1, values[0] * 1.1])
    middle = np.sqrt(values[1:] * values[:-1])
    return np.concatenate([[values[0] ** 2 / middle[0]], middle, [values[-1] ** 2 / middle[-1]]])
