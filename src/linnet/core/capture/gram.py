"""Gram matrices of per-sample gradients under a byte budget, by the cheaper of two ways.

By positions, without any gradient: K[n, m] = sum_{s,t} (g_ns . g_mt)(a_ns . a_mt).
By gradients: K[n, m] = <dW_n, dW_m>. Rows are sample-major: row n * passes + c is backward pass c of sample n.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from linnet.core.capture.per_sample import column_cuts, gradient_columns, gradient_rows, tiles
from linnet.core.capture.positions import Positions
from linnet.core.linalg.precision import full_float32

DEFAULT_BYTES = (
    256 * 2**20
)  # ours: fits beside a network on any machine, large enough to keep matrix products efficient


# What an entry that is written and read again costs beside a multiply-accumulate: fitted to the measured times of 17
# convolutions of VGG and ResNet shapes, 1 to 1024 positions (CPU, float32, one core: about 1 ns against 1/40 ns).
_ENTRY = 40

_TILED = 512  # rows from which the tiles' overhead is less than what they spare (measured on CPU, float32)


@dataclass(frozen=True)
class GramPlan:
    """The two costs of one group's Gram matrix, and the cheaper way.

    Attributes:
        by_positions: Multiply-accumulates: n^2 S^2 (O + 1) + N^2 S^2 I, with n = N * passes.
        by_gradients: n S I O + n^2 I O.
        pairs: Entries of the products of positions, n^2 S^2.
        entries: Of the per-sample gradients, n I O.
    """

    by_positions: int
    by_gradients: int
    pairs: int = 0
    entries: int = 0

    @property
    def positions_cost(self) -> int:
        """Work by positions, in multiply-accumulates: an entry that is written counts as so many of them."""
        return self.by_positions + _ENTRY * self.pairs

    @property
    def gradients_cost(self) -> int:
        """Work by gradients, likewise."""
        return self.by_gradients + _ENTRY * self.entries

    @property
    def way(self) -> str:
        """ "positions" or "gradients"."""
        return "positions" if self.positions_cost <= self.gradients_cost else "gradients"


def plan_gram(uses: Sequence[Positions], samples: int | None = None) -> GramPlan:
    """What the Gram matrix of a layer costs by either way.

    Args:
        uses: The uses of one layer; their positions add up.
        samples: Of so many samples; None: of those that the uses hold.

    Source:
        Counts of the two products written out, and a measured weight of what is written; ours.
    """
    first = uses[0]
    samples = first.samples if samples is None else samples
    rows = samples * first.passes
    positions = sum(use.count for use in uses)
    inputs, outputs = first.inputs_size, first.outputs_size
    pairs = positions * positions
    return GramPlan(
        by_positions=pairs * (rows * rows * (outputs + 1) + samples * samples * inputs),
        by_gradients=rows * positions * inputs * outputs + rows * rows * inputs * outputs,
        pairs=rows * rows * pairs,
        entries=rows * inputs * outputs,
    )


def weight_gram(
    uses: Sequence[Positions], others: Sequence[Positions] | None, *, max_bytes: int, bias: float = 0.0
) -> Tensor:
    """Inner products of the per-sample weight gradients, summed over groups.

    Args:
        uses: The uses of one layer.
        others: The uses of the same layer on other samples; None for the symmetric matrix.
        max_bytes: Working memory beside the result.
        bias: b^2 for a layer that adds b times its bias, whose products then are in the sum: a . a' + b^2 stands in
            for a . a'. 0: the weight alone.

    Returns:
        (N * passes, M * passes).
    """
    with full_float32():  # small eigenvalues don't survive 10-bit mantissas
        if plan_gram(uses).way == "positions":
            return _by_positions(uses, others, max_bytes, bias)
        total = _by_gradients(uses, others, max_bytes)
        if bias:
            theirs = None if others is None else _bias_rows(others)
            total += _product(_bias_rows(uses), theirs) * bias
        return total


def _bias_rows(uses: Sequence[Positions]) -> Tensor:
    """Per-sample gradients of the bias, (N * passes, O), sample-major."""
    total = uses[0].bias_gradients()
    for use in uses[1:]:
        total = total + use.bias_gradients()
    return sample_major(total)


def _product(left: Tensor, right: Tensor | None) -> Tensor:
    """All inner products of rows."""
    return self_product(left) if right is None else left @ right.T


def rows_gram(rows: Tensor, others: Tensor | None) -> Tensor:
    """Inner products of gradients given as (passes, N, ...): (N * passes, M * passes), sample-major."""
    with full_float32():
        return _product(sample_major(rows), None if others is None else sample_major(others))


def add_rows_gram(total: Tensor, rows: Tensor, others: Tensor | None) -> None:
    """Adds `rows_gram` to a matrix; without `others` to the entries on and above its diagonal alone.

    Args:
        total: (N * passes, M * passes), in the dtype of the rows.
        rows: (passes, N, ...).
        others: Those of the columns; None for the symmetric matrix, of which `mirror` makes the rest at the end.
    """
    left = sample_major(rows)
    with full_float32():
        if others is not None:
            total.addmm_(left, sample_major(others).T)
            return
        size = max(_BLOCK_ROWS, len(left) // 8)
        for start in range(0, len(left), size):
            total[start : start + size, start:].addmm_(left[start : start + size], left[start:].T)


def mirror(total: Tensor) -> Tensor:
    """Fills what lies below the diagonal of a square matrix with what lies above, in place."""
    for start in range(0, len(total), _MIRRORED):
        block = slice(start, start + _MIRRORED)
        square = total[block, block]
        square.copy_(square.triu() + square.triu(1).T)
        total[start + _MIRRORED :, block] = total[block, start + _MIRRORED :].T
    return total


def sample_major(rows: Tensor) -> Tensor:
    """(passes, N, ...) as a matrix (N * passes, columns)."""
    return rows.transpose(0, 1).flatten(2).flatten(0, 1) if rows.ndim > 2 else rows.T.reshape(-1, 1)


@dataclass(frozen=True)
class PairSizes:
    """What one pair of samples costs.

    Attributes:
        rows: N.
        columns: M.
        positions: S, positions of a sample.
        passes: Backward passes.
        vectors: Entries of one sample's x and g together.
        element_size: Bytes of one entry.
    """

    rows: int
    columns: int
    positions: int
    passes: int
    vectors: int
    element_size: int

    def tile(self, max_bytes: int) -> int:
        """Samples on a side of a tile: its two position matrices and its four sets of vectors fit the budget."""
        room = max(1, max_bytes // self.element_size)
        pair = self.positions**2 * (self.passes**2 + 1)
        step = max(1, int((room / (2 * pair)) ** 0.5))
        return max(1, min(step, room // max(8 * self.vectors, 1), max(self.rows, self.columns)))


def affinity_gram(
    left: Callable[[slice], tuple[Tensor, Tensor]],
    right: Callable[[slice], tuple[Tensor, Tensor]],
    affinity: Callable[[Tensor, Tensor], Tensor],
    sizes: PairSizes,
    *,
    like: Tensor,
    symmetric: bool,
    max_bytes: int,
) -> Tensor:
    """K[(n,p), (m,q)] = sum_{s,t} affinity(x_ns, x_mt) (g_pns . g_qmt), in square tiles of samples.

    Args:
        left: Slice of n samples -> (x (n, S, ...), g (n, passes, S, O)).
        right: The same for the columns.
        affinity: (x of rows (n*S, ...), x of columns (m*T, ...)) -> (n*S, m*T), in the dtype of `g`.
        sizes: What the tiles are cut by.
        like: A tensor of the result's dtype and device.
        symmetric: Rows and columns are the same samples: only the upper tiles are computed.
        max_bytes: Working memory beside the result.

    Returns:
        (N * passes, M * passes).
    """
    step = sizes.tile(max_bytes)
    if symmetric and like.device.type == "cpu" and sizes.rows * sizes.passes >= _TILED:
        step = min(step, -(-sizes.rows // 4))  # upper tiles alone: 10 of 16
    result = like.new_empty(sizes.rows, sizes.passes, sizes.columns, sizes.passes)
    for rows in tiles(sizes.rows, 1, step):
        x, g = left(rows)
        for columns in tiles(sizes.columns, 1, step):
            if symmetric and columns.start < rows.start:
                continue
            y, h = (x, g) if symmetric and columns == rows else right(columns)
            part = _tile(x, g, y, h, affinity)
            result[rows, :, columns] = part
            if symmetric and columns != rows:
                result[columns, :, rows] = part.permute(2, 3, 0, 1)
    return result.flatten(2).flatten(0, 1)


def _tile(x: Tensor, g: Tensor, y: Tensor, h: Tensor, affinity: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """One tile of `affinity_gram`: (n, passes, m, passes)."""
    n, p, s, size = g.shape
    m, q, t, _ = h.shape
    products = g.reshape(n * p * s, size) @ h.reshape(m * q * t, size).T
    near = affinity(x.flatten(0, 1), y.flatten(0, 1))
    products = products.view(n, p, s, m, q, t)
    products *= near.view(n, 1, s, m, 1, t)
    return products.sum(dim=(2, 5)) if s * t > 1 else products.reshape(n, p, m, q)


def _by_positions(uses: Sequence[Positions], others: Sequence[Positions] | None, max_bytes: int, bias: float) -> Tensor:
    """The sum over groups of the position products."""
    columns = uses if others is None else others
    first = uses[0]
    sizes = PairSizes(
        rows=first.samples,
        columns=columns[0].samples,
        positions=max(sum(use.count for use in side) for side in (uses, columns)),
        passes=first.passes,
        vectors=sum(use.bytes_per_sample for use in uses) // first.g.element_size(),
        element_size=first.g.element_size(),
    )
    total: Tensor | None = None
    for group in range(first.groups):
        part = affinity_gram(
            lambda tile, group=group: _vectors(uses, tile, group),
            lambda tile, group=group: _vectors(columns, tile, group),
            lambda x, y: (x @ y.T).add_(bias) if bias else x @ y.T,
            sizes,
            like=first.g,
            symmetric=others is None,
            max_bytes=max_bytes,
        )
        total = part if total is None else total.add_(part)
    assert total is not None
    return total


def _vectors(uses: Sequence[Positions], tile: slice, group: int) -> tuple[Tensor, Tensor]:
    """Inputs (n, S, I) and output gradients (n, passes, S, O) of one group, the uses one after another along S."""
    inputs = [use.inputs(tile)[:, group].transpose(1, 2) for use in uses]
    outputs = [use.outputs(tile)[:, :, group].permute(1, 0, 3, 2) for use in uses]
    if len(uses) == 1:
        return inputs[0], outputs[0]
    return torch.cat(inputs, dim=1), torch.cat(outputs, dim=2)


def _by_gradients(uses: Sequence[Positions], others: Sequence[Positions] | None, max_bytes: int) -> Tensor:
    """The sum over column blocks of the products of per-sample gradients."""
    first = uses[0]
    last = (others or uses)[0]
    heights = [side.samples * side.passes for side in (first, last)]
    columns = first.groups * first.outputs_size * first.inputs_size
    if sum(heights) * columns * first.g.element_size() <= max_bytes:  # whole, without a copy into blocks
        return _product(gradient_rows(uses), None if others is None else gradient_rows(others))
    total = first.g.new_zeros(heights)
    for cut in column_cuts(first, rows=max(heights), budget=max_bytes // 2):
        theirs = None if others is None else gradient_columns(others, cut)
        total += _product(gradient_columns(uses, cut), theirs)
    return total


# Multiply-accumulates from which blocks pay, and the number of block rows: 0.62 to 0.75 of one product's time at
# 1,152 x 512, 1,280 x 512 and 1,280 x 4,640 in float32 on one core (measured); smaller products lose to their overhead.
_LEAST_WORK = 2**27
_LEAST_ROWS = 512
_BLOCKS = 4
_BLOCK_ROWS = 256  # of a product that is added, an eighth of its rows or so many: lower ones make slower products
_MIRRORED = 256  # rows and columns that are transposed at a time


def self_product(x: Tensor) -> Tensor:
    """X X^T for X (m, k), exactly symmetric where it is taken by blocks.

    Args:
        x: Any floating matrix; a leading axis of groups is allowed.

    Returns:
        (m, m), or (groups, m, m).
    """
    if x.ndim == 3:
        return torch.bmm(x, x.mT) if len(x) > 1 else self_product(x[0]).unsqueeze(0)
    rows = len(x)
    if x.device.type != "cpu" or rows < _LEAST_ROWS or rows * rows * x.shape[1] < _LEAST_WORK:
        return x @ x.T
    result = x.new_empty(rows, rows)
    size = -(-rows // _BLOCKS)
    for start in range(0, rows, size):
        stop = min(start + size, rows)
        torch.mm(x[start:stop], x[start:].T, out=result[start:stop, start:])
        result[stop:, start:stop] = result[start:stop, stop:].T
    return result
