"""A channel graph as an aligned table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linnet.core.channels import ChannelGraph

HEAD = ("class", "channels", "unit", "tensors", "MACs", "params", "state")
STATE_WIDTH = 96


def table(graph: ChannelGraph) -> str:
    """One line for each class: size, positions per channel, tensors, shares of MACs and parameters, why it is frozen.

    A share counts everything that would go with the class: work and weights of each layer that makes or reads it, so
    shares of neighbours overlap.

    Args:
        graph: Any channel graph.

    Returns:
        The table, the same from run to run.
    """
    macs, params = shares(graph)
    rows: list[tuple[str, ...]] = [HEAD]
    for known in graph.classes.values():
        unit = known.slots[0].index.shape[1] if known.slots else 1
        tensors = len({slot.tensor for slot in known.slots})
        state = "frozen: " + known.frozen if known.frozen else "uniform: " + known.uniform if known.uniform else "free"
        cells = (f"{macs[known.name]:.1%}", f"{params[known.name]:.1%}")
        rows.append((known.name, str(known.size), str(unit), str(tensors), *cells, _short(state)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = []
    for row in rows:
        cells = [c.ljust(w) if n in (0, 6) else c.rjust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    note = f"{len(graph.classes)} classes; grouped: {graph.grouped}; recorded: {graph.program.tracer}"
    return "\n".join([*lines, note])


def shares(graph: ChannelGraph) -> tuple[dict[str, float], dict[str, float]]:
    """Share of MACs and of parameters that each class takes part in.

    Args:
        graph: Any channel graph.

    Returns:
        (MACs, parameters): class name -> fraction 0..1.
    """
    program = graph.program
    sizes = {name: math.prod(program.shape(value)) for name, value in program.parameters.items()}
    work = _work(graph)
    macs, params = {}, {}
    for known in graph.classes.values():
        held: dict[str, float] = {}
        for slot in known.slots:
            if slot.tensor in sizes:
                length = program.shape(program.tensors[slot.tensor])[slot.axis]
                held[slot.tensor] = 1 - (1 - held.get(slot.tensor, 0.0)) * (1 - slot.index.size / length)
        params[known.name] = sum(sizes[t] * part for t, part in held.items()) / max(sum(sizes.values()), 1)
        macs[known.name] = sum(work.get(t, 0) * part for t, part in held.items()) / max(sum(work.values()), 1)
    return macs, params


def _work(graph: ChannelGraph) -> dict[str, float]:
    """MACs done with each parameter: its elements times the positions that it is used at."""
    program, work = graph.program, {}
    for node in program.nodes:
        if node.name not in ("convolution", "addmm", "mm", "bmm", "linear"):
            continue
        views = [view for value in node.inputs if (view := graph.walk.flow(value).view) is not None]
        weight = next((v for v in views[::-1] if len(program.shape(program.tensors[v.tensor])) > 1), None)
        if weight is None:
            continue
        out = program.shape(node.outputs[0])
        if node.name == "convolution":
            source = program.shape(node.args[0].value) if node.args[6] else out
            count = source[0] * math.prod(source[2:])
        else:
            count = math.prod(out[:-1])
        size = math.prod(program.shape(program.tensors[weight.tensor]))
        work[weight.tensor] = work.get(weight.tensor, 0) + size * count
    return work


def _short(text: str) -> str:
    return text if len(text) <= STATE_WIDTH else text[: STATE_WIDTH - 3].rstrip() + "..."
