"""A channel graph as an aligned table."""

from __future__ import annotations

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
    cost = graph.cost()
    rows: list[tuple[str, ...]] = [HEAD]
    for known in graph.classes.values():
        unit = known.slots[0].index.shape[1] if known.slots else 1
        tensors = len({slot.tensor for slot in known.slots})
        state = "frozen: " + known.frozen if known.frozen else "uniform: " + known.uniform if known.uniform else "free"
        share = cost.by_class[known.name]
        cells = (f"{share.macs / max(cost.macs, 1):.1%}", f"{share.params / max(cost.params, 1):.1%}")
        rows.append((known.name, str(known.size), str(unit), str(tensors), *cells, _short(state)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = []
    for row in rows:
        cells = [c.ljust(w) if n in (0, 6) else c.rjust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    note = f"{len(graph.classes)} classes; grouped: {graph.grouped}; recorded: {graph.program.tracer}"
    return "\n".join([*lines, note])


def _short(text: str) -> str:
    return text if len(text) <= STATE_WIDTH else text[: STATE_WIDTH - 3].rstrip() + "..."
