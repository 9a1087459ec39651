"""A program as a table: one line a node."""

from __future__ import annotations

from linnet.jet.integer.cost import NodeCost, cost_of
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.integer.nodes import Conv, Node

_HEADS = ("layer", "operation", "shape", "range", "bits", "xnor", "adds", "weight bits", "buffer bits")


def table(graph: IntegerGraph) -> str:
    """Layer by layer: shape, proven range, bits of a value, operations of a frame, weights and buffers."""
    costs = {cost.name: cost for cost in cost_of(graph).nodes}
    rows = [_HEADS, *(_row(node, costs.get(node.name)) for node in graph.nodes)]
    widths = [max(len(row[k]) for row in rows) for k in range(len(_HEADS))]
    lines = [
        "  ".join(_cell(word, width, k) for k, (word, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*(line.rstrip() for line in lines), f"hash {graph.hash[:16]}"])


def _cell(word: str, width: int, column: int) -> str:
    return word.ljust(width) if column < 4 else word.rjust(width)


def _row(node: Node, cost: NodeCost | None) -> tuple[str, ...]:
    low, high = node.range
    size = "x".join(map(str, node.shape))
    counts = (
        ("",) * 4
        if cost is None
        else tuple(
            f"{n:,}" if n else ""
            for n in (cost.xnor, cost.adds, cost.weight_bits, cost.line_buffer_bits + cost.table_bits)
        )
    )
    return (node.name, _word(node), size, f"{low}..{high}", str(node.bits), *counts)


def _word(node: Node) -> str:
    operation = node.operation
    if isinstance(operation, Conv):
        return f"{operation.family} {operation.size}x{operation.size}"
    mode = getattr(operation, "mode", "")
    return " ".join(filter(None, (type(operation).__name__.lower(), mode)))
