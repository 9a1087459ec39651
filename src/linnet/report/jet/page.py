"""A program of integers as one page: its layers, its cost, the kernels that its jet layers have learned, and maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from linnet.errors import InputError
from linnet.jet import kernel_family
from linnet.jet.integer.cost import SENTENCE
from linnet.jet.integer.nodes import Conv
from linnet.report.figures import SERIES_COLORS, drawing, figure
from linnet.report.html_page import Section, code, note, page, tiles
from linnet.report.jet.drawn_board import drawn_board
from linnet.report.jet.feature_maps import MOST, Box, image_figure, maps_figure, sign_maps
from linnet.report.tables import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from linnet.jet import Program

SMALLEST = 8  # pixels of a side from which on a drawn board shows anything
_COUNTS = ("xnor", "adds", "bit_adds", "weight_bits", "table_bits", "line_buffer_bits")


@dataclass(frozen=True, eq=False)
class Inspected:
    """An image whose feature maps are shown.

    Attributes:
        frame: (C, H, W) whole pixels.
        boxes: Of defects.
        told: What it is, a sentence.
    """

    frame: NDArray[np.integer]
    boxes: Sequence[Box]
    told: str


def jet_page(program: Program, name: str, inspected: Inspected | None = None) -> str:
    """One self-contained page about a program.

    Args:
        program: Any.
        name: What it is called.
        inspected: An image for the feature maps; None: a drawn circuit board with a broken track.

    Returns:
        HTML: tiles, the table of layers, cost beside the same net with binary kernels, for each jet layer its
        kernels with names and counts, and the histogram of kinds against chance, and for each layer its sign maps.

    Raises:
        InputError: an image is given to a network without sign maps.
    """
    cost = program.cost()
    graph = program.graph
    facts = [
        ("layers", str(len(graph.nodes) - 1)),
        ("input", "x".join(map(str, graph.input_shape))),
        ("output", f"{'x'.join(map(str, graph.output.shape))} {graph.output.kind}"),
        ("weight bits", f"{cost.total('weight_bits'):,}"),
        ("hash", program.hash[:12]),
    ]
    rows = [[n.replace("_", " "), f"{cost.total(n):,}", f"{cost.total(n, binary=True):,}"] for n in _COUNTS]
    costs = [table(["one frame", "this program", "all binary"], rows, caption="Cost of one frame"), note(SENTENCE)]
    sections = [Section("Layers", [code(str(program))]), Section("Cost", costs)]
    for node in graph.nodes:
        if isinstance(node.operation, Conv) and node.operation.kinds is not None:
            sections.append(Section(f"Kernels of {node.name}", _kernels(node.operation)))
    shown = _drawn(program) if inspected is None else inspected
    maps = [] if shown is None else _feature_maps(program, shown)
    if maps:
        sections.append(Section("Feature maps", maps))
    elif inspected is not None:
        raise InputError("`image` must be for a network with sign maps; this one has vectors alone. Leave it out.")
    return page(f"Jets of {name}", sections, lead=tiles(facts))


def kind_counts(conv: Conv) -> list[tuple[str, int, int, int]]:
    """(name, differences down, differences across, how many pairs) of each kernel of a jet layer, the commonest first.

    Args:
        conv: A jet convolution.
    """
    assert conv.kinds is not None
    places = conv.kinds[..., 0].astype(int) * conv.size + conv.kinds[..., 1]
    counts = np.bincount(places.ravel(), minlength=conv.size**2)
    order = np.argsort(-counts, kind="stable")
    pairs = [divmod(int(k), conv.size) for k in order]
    return [(kernel_family.kernel_name(conv.size, y, x), y, x, int(counts[y * conv.size + x])) for y, x in pairs]


def _drawn(program: Program) -> Inspected | None:
    """A board of the network's size in its range of pixels; None for vectors and tiny frames."""
    shape, limits = program.graph.input_shape, program.graph.input
    if len(shape) != 3 or min(shape[1:]) < SMALLEST:
        return None
    grey, box = drawn_board(shape[1], shape[2])
    pixels = limits.low + np.rint(grey / 255 * (limits.high - limits.low)).astype(np.int64)
    told = (
        "A drawn board, no photograph; the box marks the gap in a track. Give --image FILE --box Y1,X1,Y2,X2 for yours."
    )
    return Inspected(np.broadcast_to(pixels, shape), [box], told)


def _feature_maps(program: Program, inspected: Inspected) -> list[Markup]:
    layers = sign_maps(program, inspected.frame)
    if not layers:
        return []
    with drawing():
        seen = image_figure(inspected.frame, inspected.boxes)
        parts = [figure(seen, alt="The image with the box of the defect", caption=inspected.told)]
        for maps in layers:
            count, told = len(maps.values), f"Signs behind layer {maps.name}, white +1 and black -1"
            told += f"; the first {MOST} of {count} maps." if count > MOST else f"; all {count} maps."
            alt = f"Sign maps of layer {maps.name}"
            parts.append(figure(maps_figure(maps, inspected.frame.shape[1:], inspected.boxes), alt=alt, caption=told))
    return parts


def _kernels(conv: Conv) -> list[Markup]:
    counts = kind_counts(conv)
    with drawing():
        grid, histogram = _grid(conv, counts), _histogram(conv, counts)
        return [
            figure(grid, alt="The kernels as pictures", caption="Kernels with the pairs of channels that have them."),
            figure(
                histogram,
                alt="How often each kernel was learned",
                caption="Share of each kernel, and the chance that fair bits would give it (line).",
            ),
        ]


def _grid(conv: Conv, counts: list[tuple[str, int, int, int]]) -> Figure:
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(1.1 * conv.size + 1.6, 1.25 * conv.size), layout="constrained")
    axes = drawn.subplots(conv.size, conv.size, squeeze=False)
    for name, qy, qx, count in counts:
        kernel = kernel_family.kernel(conv.size, qy, qx)
        ax = axes[qy, qx]
        bound = np.abs(kernel).max()
        ax.imshow(kernel, cmap="RdBu", vmin=-bound, vmax=bound)
        ax.set_title(f"{name}\n{count}", fontsize=8)
        ax.set_axis_off()
    return drawn


def _histogram(conv: Conv, counts: list[tuple[str, int, int, int]]) -> Figure:
    from matplotlib.figure import Figure

    chance = kernel_family.chance(conv.size)
    total = sum(count for *_, count in counts)
    drawn = Figure(figsize=(6.4, 2.8), layout="constrained")
    ax = drawn.subplots()
    places = np.arange(len(counts))
    ax.bar(places, [count / total for *_, count in counts], color=SERIES_COLORS[0], width=0.7)
    ax.step(places, [chance[qy, qx] for _, qy, qx, _ in counts], where="mid", color=SERIES_COLORS[1])
    ax.set_xticks(places, [name for name, *_ in counts], rotation=40, ha="right", fontsize=8)
    ax.set_ylabel("share of pairs")
    return drawn
