"""Linear layers, convolutions and transposed convolutions: everything that is a product with a matrix at positions."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from linnet.core.capture import autocorrelation
from linnet.core.capture.gram import GramPlan, plan_gram, rows_gram, self_product, weight_gram
from linnet.core.capture.layers.layer_rule import LayerRule, Sharing
from linnet.core.capture.per_sample import TILE_BYTES, tiles, weight_gradients
from linnet.core.capture.positions import (
    CONVOLUTIONS,
    LINEAR,
    TRANSPOSED,
    Positions,
    Use,
    fold,
    positions_of,
    thinned,
    unfold,
)
from linnet.core.linalg.precision import full_float32


class MatrixRule(LayerRule):
    """Linear (any rank), Conv1d/2d/3d and ConvTranspose1d/2d/3d."""

    types = LINEAR + CONVOLUTIONS + TRANSPOSED
    is_matrix = True

    def refusal_of_input(self, module: nn.Module, a: Tensor) -> str | None:
        """A convolution needs (N, C, *spatial), a linear layer (N, ..., I)."""
        needed = 2 if isinstance(module, LINEAR) else 2 + len(cast(nn.Conv2d, module).kernel_size)
        if a.ndim < needed:
            return f"its input of shape {tuple(a.shape)} has no sample axis: give a batch, even of one sample"
        return None

    def per_sample(self, module: nn.Module, uses: Sequence[Use], param: str) -> Tensor:
        """W: sum_s g_ns a_ns^T; b: sum_s g_ns."""
        positions = [positions_of(module, use) for use in uses]
        if param == "bias":
            return sum_of([p.bias_gradients() for p in positions])
        return fold(module, weight_gradients(positions))

    def gram(
        self, module: nn.Module, uses: Sequence[Use], others: Sequence[Use] | None, *, param: str, max_bytes: int
    ) -> Tensor:
        """The weight by the cheaper of two ways; the bias from its (small) gradients."""
        if param == "bias":
            theirs = None if others is None else self.per_sample(module, others, param)
            return rows_gram(self.per_sample(module, uses, param), theirs)
        return self._weight_gram(module, uses, others, max_bytes, bias=0.0)

    def plan(self, module: nn.Module, uses: Sequence[Use], param: str, samples: int | None = None) -> GramPlan | None:
        """Of the weight; a bias has one way."""
        return plan_gram([positions_of(module, use) for use in uses], samples) if param == "weight" else None

    def joint_gram(
        self,
        module: nn.Module,
        uses: Sequence[Use],
        others: Sequence[Use] | None,
        *,
        max_bytes: int,
        bias_scale: float = 1.0,
    ) -> Tensor:
        """One product of the output gradients serves both.

        Args:
            module: The layer.
            uses: Its uses.
            others: Those of the columns; None for the symmetric matrix.
            max_bytes: Working memory beside the result.
            bias_scale: What the layer multiplies its bias with.
        """
        if isinstance(module, TRANSPOSED):  # its output vectors are patches of g, the bias's aren't
            return super().joint_gram(module, uses, others, max_bytes=max_bytes)
        return self._weight_gram(module, uses, others, max_bytes, bias=bias_scale * bias_scale)

    def _weight_gram(
        self, module: nn.Module, uses: Sequence[Use], others: Sequence[Use] | None, max_bytes: int, *, bias: float
    ) -> Tensor:
        left = [positions_of(module, use) for use in uses]
        right = None if others is None else [positions_of(module, use) for use in others]
        return weight_gram(left, right, max_bytes=max_bytes, bias=bias)

    def pull(self, module: nn.Module, uses: Sequence[Use], param: str) -> Tensor:
        """W: sum_ns g_ns a_ns^T, one product for each tile of samples; b: sum_ns g_ns."""
        summed = [Use(use.a, use.g.sum(0, keepdim=True)) for use in uses]
        if param == "bias":
            return self.per_sample(module, summed, param).sum((0, 1))
        return fold(module, sum_of([_summed(positions_of(module, use)) for use in summed]))

    def push(self, module: nn.Module, uses: Sequence[Use], param: str, delta: Tensor) -> Tensor:
        """W: sum_s g_ns . (D a_ns); b: sum_s g_ns . d."""
        if param == "bias":
            return self.per_sample(module, uses, param) @ delta
        return sum_of([_along(positions_of(module, use), delta) for use in uses])

    def affinity(self, module: nn.Module, uses: Sequence[Use], *, bias_scale: float = 1.0) -> Tensor | None:
        """Of a linear layer, where a position's N S O multiply-accumulates are fewer than the gradient's 2 I O."""
        if len(uses) > 1 or not isinstance(module, LINEAR):
            return None
        positions = positions_of(module, uses[0])
        count = positions.samples * positions.count
        if count >= 2 * positions.inputs_size:
            return None
        with full_float32():
            return self_product(uses[0].a.reshape(count, -1)).add_(bias_scale * bias_scale)

    def vectors(self, module: nn.Module, uses: Sequence[Use], *, homogeneous: bool) -> tuple[Tensor, Tensor]:
        """(N, groups, I, S) and (passes, N, groups, O, S), the uses one after another along S; patches for a conv."""
        positions = [positions_of(module, use) for use in uses]
        inputs = torch.cat([p.inputs() for p in positions], dim=-1)
        outputs = torch.cat([p.outputs() for p in positions], dim=-1)
        if homogeneous:
            inputs = torch.cat([inputs, torch.ones_like(inputs[:, :, :1])], dim=2)
        return inputs, outputs

    def factors(
        self, module: nn.Module, uses: Sequence[Use], *, homogeneous: bool, sharing: Sharing
    ) -> tuple[Tensor, Tensor]:
        """A = sum a a^T and G = sum g g^T over samples, positions ("expand") or samples alone ("reduce")."""
        return self.factor_blocks(module, uses, homogeneous=homogeneous, sharing=sharing, parts=(1, 1))

    def factor_blocks(
        self,
        module: nn.Module,
        uses: Sequence[Use],
        *,
        homogeneous: bool,
        sharing: Sharing,
        parts: tuple[int, int],
        most: int | None = None,
        rng_seed: int = 0,
    ) -> tuple[Tensor, Tensor]:
        """The diagonal blocks of both, so many of each side, as (groups * parts, size, size).

        Blocks are alike: the last is filled up with zeros. Products between blocks aren't computed.

        Args:
            module: The layer.
            uses: Its uses.
            homogeneous: See `factors`.
            sharing: Likewise.
            parts: Number of blocks of both sides.
            most: Input vectors of each use to read, at positions that are drawn; None: all.
            rng_seed: Of the draw.
        """
        every = [positions_of(module, use) for use in uses]
        if most is not None and sharing == "expand":
            every = [thinned(positions, most, rng_seed) for positions in every]
        pairs = [_factors(positions, homogeneous=homogeneous, sharing=sharing, parts=parts) for positions in every]
        return sum_of([pair[0] for pair in pairs]), sum_of([pair[1] for pair in pairs])

    def columns(self, module: nn.Module, uses: Sequence[Use], *, sharing: Sharing) -> int:
        """Samples times positions ("reduce": samples alone), summed over the uses."""
        positions = [positions_of(module, use) for use in uses]
        return sum(p.samples * (p.count if sharing == "expand" else 1) for p in positions)


def _summed(positions: Positions) -> Tensor:
    """sum_ns outputs_ns inputs_ns^T of one backward pass, (groups, O, I)."""
    if isinstance(positions.module, CONVOLUTIONS):
        return positions.summed_kernel()
    if isinstance(positions.module, LINEAR):
        g = positions.g.reshape(-1, positions.outputs_size)
        return (g.T @ positions.a.reshape(-1, positions.inputs_size)).unsqueeze(0)
    shape = (positions.groups, positions.outputs_size, positions.inputs_size)
    total = positions.g.new_zeros(shape)
    for tile in tiles(positions.samples, positions.bytes_per_sample, TILE_BYTES):
        outputs = positions.outputs(tile)[0].permute(1, 2, 0, 3).flatten(2)
        inputs = positions.inputs(tile).permute(1, 0, 3, 2).flatten(1, 2)
        total += outputs @ inputs
    return total


def _along(positions: Positions, delta: Tensor) -> Tensor:
    """sum_s outputs_ns . (D inputs_ns), (passes, N)."""
    if isinstance(positions.module, LINEAR):
        return by_pass(positions.g, torch.nn.functional.linear(positions.a, delta))
    matrix = unfold(positions.module, delta)
    result = []
    for tile in tiles(positions.samples, positions.bytes_per_sample, TILE_BYTES):
        moved = matrix @ positions.inputs(tile)
        result.append((positions.outputs(tile) * moved).flatten(2).sum(2))
    return torch.cat(result, dim=1)


def by_pass(g: Tensor, moved: Tensor) -> Tensor:
    """Inner products over all but the leading axes of (passes, N, ...) and (N, ...): (passes, N)."""
    along = moved.flatten(1)
    return torch.stack([torch.linalg.vecdot(one, along) for one in g.flatten(2)])


def sum_of(parts: Sequence[Tensor]) -> Tensor:
    """The sum of one or more tensors of one shape."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _factors(
    positions: Positions, *, homogeneous: bool, sharing: Sharing, parts: tuple[int, int] = (1, 1)
) -> tuple[Tensor, Tensor]:
    """Kronecker factors of one use: (I, I) and (O, O); with groups or parts with a leading axis of both."""
    if not positions.samples:
        sizes = [-(-size // count) for size, count in zip(_sizes(positions, homogeneous), parts, strict=True)]
        left, right = (
            positions.g.new_zeros(positions.groups * count, size, size)
            for size, count in zip(sizes, parts, strict=True)
        )
        return (left[0], right[0]) if positions.groups == 1 and parts == (1, 1) else (left, right)
    out = tuple(positions.g.shape[3:])
    if parts == (1, 1) and sharing == "expand" and not positions.grid and autocorrelation.fits(positions.module, out):
        left = autocorrelation.input_factor(positions.module, positions.a, out, homogeneous=homogeneous)
        g = positions.outputs()[:, :, 0].permute(2, 0, 1, 3).flatten(1)
        return left, self_product(g)
    left: Tensor | None = None
    right: Tensor | None = None
    for tile in tiles(positions.samples, positions.bytes_per_sample, TILE_BYTES):
        columns, rows = _columns(positions, tile, homogeneous=homogeneous, sharing=sharing)
        part = self_product(split_rows(columns, parts[0])), self_product(split_rows(rows, parts[1]))
        left = part[0] if left is None else left.add_(part[0])
        right = part[1] if right is None else right.add_(part[1])
    assert left is not None
    assert right is not None
    if positions.grid:
        left, right = left.mul_(positions.weight), right.mul_(positions.weight)
    return (left[0], right[0]) if positions.groups == 1 and parts == (1, 1) else (left, right)


def split_rows(vectors: Tensor, parts: int) -> Tensor:
    """(groups, d, m) as (groups * parts, ceil(d / parts), m), filled up with zeros."""
    if parts == 1:
        return vectors
    size = -(-vectors.shape[1] // parts)
    filled = torch.nn.functional.pad(vectors, (0, 0, 0, parts * size - vectors.shape[1]))
    return filled.reshape(len(vectors) * parts, size, vectors.shape[2])


def _sizes(positions: Positions, homogeneous: bool) -> tuple[int, int]:  # noqa: FBT001  one word of `_factors`
    return positions.inputs_size + homogeneous, positions.outputs_size


def _columns(positions: Positions, tile: slice, *, homogeneous: bool, sharing: Sharing) -> tuple[Tensor, Tensor]:
    """Input vectors (groups, I, n * S) and output gradients (groups, O, passes * n * S) of a slice of n samples."""
    g = positions.outputs(tile)
    if sharing == "reduce":
        a, g = positions.inputs(tile).mean(-1).permute(1, 2, 0), g.sum(-1, keepdim=True)
    else:
        a = positions.input_columns(tile)
    if homogeneous:
        a = torch.cat([a, torch.ones_like(a[:, :1])], dim=1)
    return a, g.permute(2, 3, 0, 1, 4).flatten(2)
