"""The pictures of the study."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from linnet.report.jet.feature_maps import draw_image, draw_map
from linnet.results import Record
from papers.page import Picture, bare
from papers.simons2021_jets.maps import kept
from papers.simons2021_jets.networks import FROZEN, KINDS
from papers.simons2021_jets.plan import mapped_cells
from papers.simons2021_jets.report.findings import Study, kinds
from papers.simons2021_jets.report.tables import NAMES

COLOURS = dict(
    zip(KINDS, ("#666666", "#b5452c", "#1f6f8b", "#5a9e6f", "#7c5aa0", "#2b3a67", "#c49a2c", "#9aa5ad"), strict=True)
)
CHANCE = (0.25, 0.5, 0.25)
COLUMNS = 8  # feature maps side by side


def drawable(study: Study) -> dict[str, Picture]:
    """The pictures for which there are records."""
    if not any(study.scores(*cell) for cell in _cells(study)):
        return {}
    shown = {
        "accuracy_cost": Picture(
            "Test score of every seed against bit-weighted additions of one frame; lines join the widths",
            lambda: _pareto(study, _additions, "bit-weighted additions a frame"),
        ),
        "kinds": Picture(
            "Differences an axis in the learned kernels of free taps; grey: what fair bits would give",
            lambda: _kinds(study),
        ),
    }
    if any(study.area(*cell) for cell in _cells(study)):
        shown["accuracy_lut"] = Picture(
            "Test score of every seed against LUTs of the network on ECP5; lines join the widths",
            lambda: _pareto(study, _luts, "LUTs on ECP5, one pixel a clock"),
        )
        shown["lut_layers"] = Picture(
            f"Where the LUTs go, by layer, width {study.scale.widths[-1]}, each layer mapped alone",
            lambda: _layers(study),
        )
    for cell in mapped_cells(study.scale):
        if (found := study.maps(*cell)) is not None:
            shown["feature_maps"] = _feature_maps(found)
    return shown


def _feature_maps(found: Record) -> Picture:
    context = found.context
    layers = f"{NAMES[str(context['kind'])]}, width {context['width']}, first seed"
    told = (
        f"Sign maps of {layers}, on a held-out patch of board {context['board']}, white +1; the box marks the defect, "
        f"to which the network gives a chance of {found.value:.2f}"
    )
    return Picture(told, lambda: _maps(found))


def _maps(found: Record) -> Figure:
    image, layers, box = kept(found.context)
    lines = [(maps, k) for maps in layers for k in range(0, len(maps.values), COLUMNS)]
    figure = Figure(figsize=(1.15 * (COLUMNS + 1), 1.25 * len(lines)), layout="constrained")
    axes = figure.subplots(len(lines), COLUMNS + 1, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    draw_image(axes[0, 0], image, [box])
    axes[0, 0].set_title("image", fontsize=8, pad=2)
    for row, (maps, first) in zip(axes, lines, strict=True):
        for channel, ax in enumerate(row[1:], first):
            if channel < len(maps.values):
                draw_map(ax, maps, channel, image.shape[1:], [box])
                ax.set_title(f"layer {maps.name}, {channel}", fontsize=8, pad=2)
    return figure


def _cells(study: Study) -> list[tuple[str, int, str]]:
    return [(data, width, kind) for data in study.scale.sets for width in study.scale.widths for kind in KINDS]


def _additions(study: Study, data: str, width: int, kind: str) -> float | None:
    found = [float(r.context["bit_adds"]) for r in study.seeds(data, width, kind) if "bit_adds" in r.context]
    return statistics.fmean(found) if found else None


def _luts(study: Study, data: str, width: int, kind: str) -> float | None:
    found = study.area(data, width, kind)
    return None if found is None else found.value


def _panels(study: Study) -> tuple[Figure, list[Axes]]:
    count = len(study.scale.sets)
    figure = Figure(figsize=(1.2 + 3.6 * count, 3.8), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def _legend(panels: list[Axes]) -> None:
    """In the last panel that shows anything."""
    shown = [ax for ax in panels if ax.get_legend_handles_labels()[0]]
    if shown:
        shown[-1].legend(frameon=False, fontsize=7)


def _pareto(study: Study, cost: Callable[[Study, str, int, str], float | None], label: str) -> Figure:
    figure, panels = _panels(study)
    for ax, data in zip(panels, study.scale.sets, strict=True):
        for kind in KINDS:
            line = []
            for width in study.scale.widths:
                place, scores = cost(study, data, width, kind), study.scores(data, width, kind)
                if place is not None and scores:
                    values = [100 * score for score in scores]
                    ax.scatter([place] * len(values), values, s=12, color=COLOURS[kind], alpha=0.5)
                    line.append((place, statistics.fmean(values)))
            if line:
                ax.plot(*zip(*line, strict=True), color=COLOURS[kind], label=NAMES[kind], linewidth=1.4)
        ax.set_xscale("log")
        _few_ticks(ax)
        ax.set_title(data, fontsize=10)
        ax.set_xlabel(label)
        bare(ax)
    panels[0].set_ylabel("test score, %")
    _legend(panels)
    return figure


def _few_ticks(ax: Axes) -> None:
    """Few numbers along a logarithmic axis, such as 1.5k, so that they don't run into each other."""
    low, high = ax.get_xlim()
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2) if high < 10 * low else (1, 3)))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.xaxis.set_minor_locator(NullLocator())


def _kinds(study: Study) -> Figure:
    figure, panels = _panels(study)
    for ax, data in zip(panels, study.scale.sets, strict=True):
        ax.bar(range(3), CHANCE, width=0.9, color="#d5d9dd", label="fair bits")
        for n, width in enumerate(study.scale.widths):
            counts = kinds(study.seeds(data, width, "jet_free"))
            if counts.sum():
                own = 0.8 / len(study.scale.widths)
                places = [k - 0.4 + own * (n + 0.5) for k in range(3)]
                ax.bar(places, counts / counts.sum(), width=0.9 * own, color=f"C{n}", label=f"width {width}")
        ax.set_xticks(range(3), ["smooth", "first", "second"])
        ax.set_title(data, fontsize=10)
        bare(ax)
    panels[0].set_ylabel("share of axes")
    _legend(panels)
    return figure


def _layers(study: Study) -> Figure:
    figure, panels = _panels(study)
    width = study.scale.widths[-1]
    for ax, data in zip(panels, study.scale.sets, strict=True):
        shown = [(kind, found) for kind in FROZEN if (found := study.area(data, width, kind)) is not None]
        lefts = [0.0] * len(shown)
        for n, name in enumerate(_names([record for _, record in shown])):
            values = [float(json.loads(str(record.context["layers"])).get(name, 0)) for _, record in shown]
            ax.barh([NAMES[kind] for kind, _ in shown], values, left=lefts, color=f"C{n}", label=name)
            lefts = [a + b for a, b in zip(lefts, values, strict=True)]
        ax.set_title(data, fontsize=10)
        ax.set_xlabel("LUT")
        bare(ax)
        if ax is not panels[0]:
            ax.set_yticklabels([])
    panels[-1].legend(
        frameon=False, fontsize=7, title="layer", title_fontsize=7, loc="upper left", bbox_to_anchor=(1, 1)
    )
    return figure


def _names(records: list[Record]) -> list[str]:
    return list(dict.fromkeys(name for r in records for name in json.loads(str(r.context["layers"]))))
