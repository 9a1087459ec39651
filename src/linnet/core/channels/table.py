"""A channel graph as an aligned table."""

from __future__ import annotations

import re
from collections.abc import Mapping

from linnet.core.channels.classes import ChannelClass
from linnet.core.program.both_modes import listed, unreached
from linnet.core.program.operation_cost import Cost
from linnet.core.program.program import Program

HEAD = ("class", "channels", "unit", "tensors", "MACs", "params", "state")
STATE_WIDTH = 96


def class_table(classes: Mapping[str, ChannelClass], cost: Cost, program: Program, *, grouped: str) -> str:
    """One line for each class: size, positions per channel, tensors, shares of MACs and parameters, why it is frozen.

    Weights that the example's forward pass doesn't reach are named below; they are in no class.

    A share counts everything that would go with the class: work and weights of each layer that makes or reads it, so
    shares of neighbours overlap.

    Args:
        classes: Of a channel graph.
        cost: Of the network, shared out among the classes.
        program: What was recorded.
        grouped: How grouped convolutions are edited.

    Returns:
        The table, the same from run to run.
    """
    rows: list[tuple[str, ...]] = [HEAD]
    for known in classes.values():
        unit = known.slots[0].index.shape[1] if known.slots else 1
        tensors = len({slot.tensor for slot in known.slots})
        state = "frozen: " + known.frozen if known.frozen else "uniform: " + known.uniform if known.uniform else "free"
        share = cost.by_class[known.name]
        cells = (f"{share.macs / max(cost.macs, 1):.1%}", f"{share.params / max(cost.params, 1):.1%}")
        rows.append((known.name, str(known.size), str(unit), str(tensors), *cells, short(state)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = []
    for row in rows:
        cells = [c.ljust(w) if n in (0, 6) else c.rjust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  ".join(cells).rstrip())
    note = f"{len(classes)} classes; grouped: {grouped}; recorded: {program.tracer}"
    missed = unreached(program)
    if missed:
        lines.append(f"not reached by the example: {listed(missed)}")
    if program.training_error:
        lines.append(f"training mode wasn't recorded: {program.training_error}")
    return "\n".join([*lines, note])


def short(text: str) -> str:
    """At most STATE_WIDTH letters, among them the first place in the code (`file.py:12`), if there is one."""
    if len(text) <= STATE_WIDTH:
        return text
    place = re.search(r"[^\s(]+\.py:\d+", text)
    if place is None or place.end() <= STATE_WIDTH - 3:
        return text[: STATE_WIDTH - 3].rstrip() + "..."
    tail = text[place.start() : place.end()][-60:]
    tail += "..." if place.end() < len(text) else ""
    return f"{text[: STATE_WIDTH - len(tail) - 5].rstrip()} ... {tail}"
