"""Per-sample weight gradients of a matrix layer, computed tile by tile."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from linnet.core.capture.positions import Positions

# Patches are made and used in tiles that stay in a core's cache.
TILE_BYTES = 8 * 2**20


def weight_gradients(uses: Sequence[Positions]) -> Tensor:
    """Per-sample gradients of a weight, summed over the uses of the layer.

    dW_n = sum_u sum_s outputs_uns inputs_uns^T.

    Args:
        uses: The uses of one layer, all with the same samples and passes.

    Returns:
        (passes, N, groups, O, I).
    """
    first = uses[0]
    if all(use.grouped_kernel_fits for use in uses):
        return torch.stack([sum_over_uses(uses, number) for number in range(first.passes)])
    shape = (first.passes, first.samples, first.groups, first.outputs_size, first.inputs_size)
    if len(uses) == 1 and first.bytes_per_sample * first.samples <= TILE_BYTES:
        return _products(first.inputs(), first.outputs())
    result = first.g.new_empty(shape)
    for number, use in enumerate(uses):
        for tile in tiles(use.samples, use.bytes_per_sample, TILE_BYTES):
            part = _products(use.inputs(tile), use.outputs(tile))
            result[:, tile] = part if number == 0 else part.add_(result[:, tile])
    return result


def sum_over_uses(uses: Sequence[Positions], number: int) -> Tensor:
    """Per-sample gradients of a convolution for one backward pass by torch's own kernel, (N, groups, O, I).

    The samples are laid side by side as the groups of one convolution, whose weight gradient is then all of theirs.
    """
    total = uses[0].grouped_kernel(number)
    for use in uses[1:]:
        total = total + use.grouped_kernel(number)
    return total


def column_cuts(first: Positions, *, rows: int, budget: int) -> Iterator[tuple[slice, slice]]:
    """Cuts of a weight's gradients into blocks of whole columns.

    Args:
        first: Any use of the layer.
        rows: Rows of the matrix of gradients, N * passes.
        budget: Bytes that one block may take; a block holds at least one output row of one group.

    Yields:
        (groups, output rows): together all columns, each once.
    """
    row_bytes = max(1, rows * first.inputs_size * first.g.element_size())
    outputs = max(1, budget // row_bytes)
    for group in tiles(first.groups, 1, max(1, outputs // first.outputs_size)):
        for chosen in tiles(first.outputs_size, 1, outputs):
            yield group, chosen


def gradient_columns(uses: Sequence[Positions], cut: tuple[slice, slice]) -> Tensor:
    """The per-sample gradients of the output rows of some groups, as a matrix.

    Args:
        uses: The uses of one layer, all with the same samples and passes.
        cut: (groups, output rows) as `column_cuts` gives them.

    Returns:
        (N * passes, columns), sample-major.
    """
    first, (groups, rows) = uses[0], cut
    size = (groups.stop - groups.start) * (rows.stop - rows.start) * first.inputs_size
    result = first.g.new_empty(first.samples, first.passes, size)
    for number, use in enumerate(uses):
        for tile in tiles(use.samples, use.bytes_per_sample, TILE_BYTES):
            part = _products(use.inputs(tile)[:, groups], use.outputs(tile)[:, :, groups, rows])
            part = part.flatten(2).transpose(0, 1)
            result[tile] = part if number == 0 else result[tile] + part
    return result.flatten(0, 1)


def gradient_rows(uses: Sequence[Positions]) -> Tensor:
    """All per-sample gradients as a matrix (N * passes, columns), sample-major, by the faster of two ways.

    Args:
        uses: The uses of one layer, all with the same samples and passes.
    """
    first = uses[0]
    if all(use.grouped_kernel_fits for use in uses):
        return weight_gradients(uses).transpose(0, 1).flatten(2).flatten(0, 1)
    return gradient_columns(uses, (slice(0, first.groups), slice(0, first.outputs_size)))


def tiles(length: int, bytes_each: int, budget: int) -> Iterator[slice]:
    """Slices that cover `range(length)`, each of at most `budget` bytes, at least one entry each."""
    step = max(1, budget // max(bytes_each, 1))
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))


def _products(inputs: Tensor, outputs: Tensor) -> Tensor:
    """sum_s outputs_ns inputs_ns^T: (n, groups, I, S), (passes, n, groups, O, S) -> (passes, n, groups, O, I)."""
    if inputs.shape[-1] == 1:  # an outer product: a product of matrices with one inner element is slower
        return outputs * inputs.transpose(-1, -2)
    if outputs.shape[0] == 1:
        return torch.matmul(outputs[0], inputs.transpose(-1, -2)).unsqueeze(0)
    passes, n, groups, rows, positions = outputs.shape
    stacked = outputs.permute(1, 2, 0, 3, 4).reshape(n, groups, passes * rows, positions)
    product = torch.matmul(stacked, inputs.transpose(-1, -2))
    return product.reshape(n, groups, passes, rows, -1).permute(2, 0, 1, 3, 4)
