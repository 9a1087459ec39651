"""What a program costs: operations, adder widths, weight bits and buffers, beside the same net with binary kernels.

Counted for hardware that works on bits: a binary convolution takes an XNOR and an addition for each weight; jets take
the additions of one bank of maps a channel (unused maps and passes dropped) and one addition for each pair of channels.
The ratio of the counts isn't the ratio of the areas: an XNOR with a constant is a free inverter, and jets add numbers
of 3 to 6 bits where the binary convolution adds single bits. The bit-weighted additions, each counted with the width of
its result, are nearer to the area.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from linnet.jet import kernel_family
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.integer.nodes import Conv, Linear, Node, Pool, Scores, Threshold, WeightedAdd
from linnet.jet.integer.shapes import window_of

Bounds = tuple[int, int]
SENTENCE = (
    "The ratio of operations is not the ratio of areas: an XNOR with a constant costs nothing in hardware, and jets "
    "add wider numbers. Bit-weighted additions are nearer; synthesis tells."
)


@dataclass(frozen=True)
class NodeCost:
    """The cost of one node, operations for one frame.

    Attributes:
        name: The node's.
        family: "jet", "binary", or the operation in lower case.
        positions: Output positions; what one position takes is the count divided by it.
        xnor: XNORs of a bit and a weight.
        adds: Additions and subtractions.
        bit_adds: Additions, each times the bits of its result.
        weight_bits: Weights, one bit each for binary ones, the shortest whole-bit code for jets.
        tap_bits: The same as the bits that are learned: 2 for each tap of a jet, 1 where its first element is fixed.
        table_bits: Thresholds with their flips, multipliers and offsets.
        line_buffer_bits: Rows that a streaming design keeps.
        accumulator_bits: Width of the widest sum.
    """

    name: str
    family: str
    positions: int = 0
    xnor: int = 0
    adds: int = 0
    bit_adds: int = 0
    weight_bits: int = 0
    tap_bits: int = 0
    table_bits: int = 0
    line_buffer_bits: int = 0
    accumulator_bits: int = 0


@dataclass(frozen=True)
class ProgramCost:
    """The cost of all nodes, and of the same program with binary kernels in place of jets.

    Attributes:
        nodes: One for each node that costs something.
        binary: The same with binary convolutions.
    """

    nodes: tuple[NodeCost, ...]
    binary: tuple[NodeCost, ...]

    def total(self, name: str, *, binary: bool = False) -> int:
        """The sum of one field over all nodes: "xnor", "adds", "bit_adds", "weight_bits", ..."""
        return sum(getattr(node, name) for node in (self.binary if binary else self.nodes))

    def __str__(self) -> str:
        names = ("xnor", "adds", "bit_adds", "weight_bits", "table_bits", "line_buffer_bits")
        lines = [f"{'one frame':18}{'this program':>16}{'all binary':>16}"]
        for name in names:
            own, rival = self.total(name), self.total(name, binary=True)
            lines.append(f"{name.replace('_', ' '):18}{own:>16,}{rival:>16,}")
        return "\n".join([*lines, SENTENCE])


def cost_of(graph: IntegerGraph) -> ProgramCost:
    """The cost of a program.

    Args:
        graph: Any.
    """
    own, binary = [], []
    for node in graph.nodes[1:]:
        source = graph.nodes[node.sources[0]]
        found = _node_cost(node, source)
        if found is None:
            continue
        own.append(found)
        operation = node.operation
        if isinstance(operation, Conv) and operation.family == "jet":
            found = _binary_conv(node, source, operation)
        binary.append(found)
    return ProgramCost(tuple(own), tuple(binary))


def _node_cost(node: Node, source: Node) -> NodeCost | None:
    operation = node.operation
    positions = math.prod(node.shape[1:])
    if isinstance(operation, Conv):
        make = _jet_conv if operation.family == "jet" else _binary_conv
        return make(node, source, operation)
    if isinstance(operation, Linear):
        outputs, features = operation.weights.shape
        adds, bits, wide = _tree([_bounds(source)] * features)
        xnor = outputs * features if source.kind == "sign" else 0
        return NodeCost(node.name, "linear", 1, xnor, adds * outputs, bits * outputs, outputs * features, 0, 0, 0, wide)
    if isinstance(operation, Threshold):
        table = node.shape[0] * (source.bits + 1)
        return NodeCost(node.name, "threshold", positions, table_bits=table)
    if isinstance(operation, Scores):
        table = sum(int(v).bit_length() + 1 for v in (*operation.multipliers, *operation.offsets))
        return NodeCost(node.name, "scores", positions, table_bits=table)
    if isinstance(operation, WeightedAdd):
        table = sum(int(v).bit_length() + 1 for v in operation.multipliers.ravel())
        adds = math.prod(node.shape)
        return NodeCost(node.name, "weightedadd", positions, 0, adds, adds * node.bits, table_bits=table)
    if isinstance(operation, Pool) and len(source.shape) == 3:
        window, _ = window_of(operation, source.shape)
        rows = 0 if operation.everything else (window[0] - 1) * source.shape[2] * source.shape[0] * source.bits
        return NodeCost(node.name, "pool", positions, line_buffer_bits=rows)
    return None


def _binary_conv(node: Node, source: Node, conv: Conv) -> NodeCost:
    cout, cin = conv.kernels.shape[:2]
    terms = conv.size**2 * cin
    adds, bits, wide = _tree([_bounds(source)] * terms)
    positions = node.shape[1] * node.shape[2]
    xnor = terms * cout * positions if source.kind == "sign" else 0
    return NodeCost(
        node.name, "binary", positions, xnor, adds * cout * positions, bits * cout * positions,
        terms * cout, 0, 0, _line_buffer(source, conv), wide,
    )  # fmt: skip


def _jet_conv(node: Node, source: Node, conv: Conv) -> NodeCost:
    assert conv.kinds is not None
    cout, cin, k = conv.kernels.shape[:3]
    adds = bit_adds = wide = 0
    bounds = _bounds(source)
    for c in range(cin):
        used = {(int(qy), int(qx)) for qy, qx, _ in conv.kinds[:, c]}
        for more in _bank(k, used, bounds):
            adds, bit_adds = adds + 1, bit_adds + _bits(more)
    ends = _kernel_ends(conv, bounds)
    for o in range(cout):
        more_adds, more_bits, width = _tree([(int(low), int(high)) for low, high in ends[o]])
        adds, bit_adds, wide = adds + more_adds, bit_adds + more_bits, max(wide, width)
    positions = node.shape[1] * node.shape[2]
    signed = bool((conv.kinds[..., 2] < 0).any())
    code = math.ceil(math.log2(k * k * (2 if signed else 1)))
    taps = 2 * (k - 1) * (2 if signed else 1)
    pairs = cout * cin
    return NodeCost(
        node.name, "jet", positions, 0, adds * positions, bit_adds * positions,
        pairs * code, pairs * taps, 0, _line_buffer(source, conv), wide,
    )  # fmt: skip


def _bank(size: int, used: set[tuple[int, int]], bounds: Bounds) -> list[Bounds]:
    """The bounds of every addition in one channel's bank: a pass down, then one across for each row kernel in use."""
    found = []
    for qy in sorted({qy for qy, _ in used}):
        column = _ends(kernel_family.row(size, qy), bounds)
        found += _pass(size, {qx for y, qx in used if y == qy}, column)
    return _pass(size, {qy for qy, _ in used}, bounds) + found


def _pass(size: int, wanted: set[int], bounds: Bounds) -> list[Bounds]:
    """The additions that make some rows from `size` neighbours; for 3 the sum of the outer two is shared."""
    if size == 3:
        made = [_ends(np.array([1, 0, 1]), bounds)] if wanted & {0, 2} else []
        return made + [_ends(kernel_family.row(3, q), bounds) for q in sorted(wanted)]
    found, level = [], set(wanted)
    for taps in range(size - 1, 0, -1):
        found += [_ends(kernel_family.row(taps + 1, q), bounds) for q in sorted(level)]
        level = {min(q, taps - 1) for q in level}
    return found


def _kernel_ends(conv: Conv, bounds: Bounds) -> np.ndarray:
    """Bounds of each pair's kernel sum: (cout, cin, 2)."""
    kernels = conv.kernels.astype(np.int64)
    up, down = kernels.clip(0).sum((2, 3)), kernels.clip(None, 0).sum((2, 3))
    return np.stack((up * bounds[0] + down * bounds[1], up * bounds[1] + down * bounds[0]), -1)


def _ends(weights: np.ndarray, bounds: Bounds) -> Bounds:
    up, down = int(weights.clip(0).sum()), int(weights.clip(None, 0).sum())
    return up * bounds[0] + down * bounds[1], up * bounds[1] + down * bounds[0]


def _tree(terms: Sequence[Bounds]) -> tuple[int, int, int]:
    """A balanced adder tree: (additions, with the width of each result, width of the last)."""
    adds = bits = 0
    level = list(terms)
    while len(level) > 1:
        pairs = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(level[::2], level[1::2], strict=False)]
        adds, bits = adds + len(pairs), bits + sum(map(_bits, pairs))
        level = pairs + level[len(pairs) * 2 :]
    return adds, bits, _bits(level[0])


def _bits(bounds: Bounds) -> int:
    low, high = bounds
    return high.bit_length() or 1 if low >= 0 else max(high.bit_length(), (-low - 1).bit_length()) + 1


def _bounds(source: Node) -> Bounds:
    """What one value can be in hardware: a bit for a sign."""
    return (0, 1) if source.kind == "sign" else source.range


def _line_buffer(source: Node, conv: Conv) -> int:
    return (conv.size - 1) * (source.shape[2] + 2 * conv.padding) * source.shape[0] * source.bits


def per_position(cost: NodeCost) -> NodeCost:
    """The same for one output position."""
    counts = {name: getattr(cost, name) // cost.positions for name in ("xnor", "adds", "bit_adds")}
    return dataclasses.replace(cost, **counts)
