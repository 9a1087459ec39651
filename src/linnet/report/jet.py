"""A program of integers as one page: its layers, its cost, and the kernels that its jet layers have learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from linnet.jet import kernel_family
from linnet.jet.integer.cost import SENTENCE
from linnet.jet.integer.nodes import Conv
from linnet.report.figures import SERIES_COLORS, drawing, figure
from linnet.report.html_page import Section, code, note, page, tiles
from linnet.report.tables import table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from linnet.jet import Program

_COUNTS = ("xnor", "adds", "bit_adds", "weight_bits", "table_bits", "line_buffer_bits")


def jet_page(program: Program, name: str) -> str:
    """One self-contained page about a program.

    Args:
        program: Any.
        name: What it is called.

    Returns:
        HTML: tiles, the table of layers, cost beside the same net with binary kernels, and for each jet layer its
        kernels with names and counts, and the histogram of kinds against chance.
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
