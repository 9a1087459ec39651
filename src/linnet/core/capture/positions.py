"""A matrix layer written as a sum over positions: dW_n = sum_s outputs_ns inputs_ns^T, for each group.

Linear layers, convolutions and transposed convolutions all have this form. For a convolution the inputs are patches
of `a`; for a transposed convolution `a` and `g` change places, and the outputs are patches of `g`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LINEAR = (nn.Linear,)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Use:
    """One use of a layer.

    Attributes:
        a: Input activation, (N, ...).
        g: Gradients of a summed loss with respect to the output, (passes, N, ...).
    """

    a: Tensor
    g: Tensor


@dataclass(frozen=True)
class Positions:
    """One use of a matrix layer, read position by position.

    Attributes:
        module: The layer.
        a: Input activation, (N, ...).
        g: Output gradients, (passes, N, ...).
        groups: Number of independent groups.
        count: S, the number of positions.
        grid: The positions that are read, a slice for each axis of positions (one for a linear layer); () for all.
    """

    module: nn.Module
    a: Tensor
    g: Tensor
    groups: int
    count: int
    grid: tuple[slice, ...] = ()

    @property
    def weight(self) -> int:
        """How many positions each one that is read stands for."""
        return math.prod(places.step for places in self.grid)

    @property
    def samples(self) -> int:
        """N."""
        return self.a.shape[0]

    @property
    def passes(self) -> int:
        """Number of backward passes."""
        return self.g.shape[0]

    @property
    def inputs_size(self) -> int:
        """I, entries of one input vector of one group (kernel elements included for a convolution)."""
        weight = cast(Tensor, self.module.weight)
        if isinstance(self.module, TRANSPOSED):
            return weight.shape[0] // self.groups
        return weight[0].numel()

    @property
    def outputs_size(self) -> int:
        """O, entries of one output gradient of one group (kernel elements included for a transposed convolution)."""
        weight = cast(Tensor, self.module.weight)
        if isinstance(self.module, TRANSPOSED):
            return weight[0].numel()
        return weight.shape[0] // self.groups

    @property
    def bytes_per_sample(self) -> int:
        """Bytes that `inputs` and `outputs` of one sample take."""
        sizes = self.inputs_size + self.passes * self.outputs_size
        return self.groups * self.count * sizes * self.g.element_size()

    def inputs(self, samples: slice = slice(None)) -> Tensor:
        """Input vectors, (n, groups, I, S)."""
        a = self.a[samples]
        n = a.shape[0]
        if isinstance(self.module, LINEAR):
            return self._rows(a.reshape(n, -1, self.inputs_size)).transpose(1, 2).unsqueeze(1)
        if isinstance(self.module, TRANSPOSED):
            return a.reshape(n, self.groups, self.inputs_size, self.count)
        padded = _padded(a, self.module)
        patches = self._on_grid(_patches(padded, self.module, self.g.shape[3:]))
        return patches.reshape(n, self.groups, self.inputs_size, self.count)

    def _rows(self, values: Tensor) -> Tensor:
        """The positions (axis -2) of a linear layer that are read."""
        return values[..., self.grid[0], :] if self.grid else values

    def _on_grid(self, values: Tensor) -> Tensor:
        """The positions (last axes) of a convolution that are read."""
        return values[(..., *self.grid)] if self.grid else values

    def input_columns(self, samples: slice = slice(None)) -> Tensor:
        """Input vectors of all samples side by side, (groups, I, n * S)."""
        if not isinstance(self.module, CONVOLUTIONS):
            return self.inputs(samples).permute(1, 2, 0, 3).flatten(2)
        patches = self._on_grid(_patches(_padded(self.a[samples], self.module), self.module, self.g.shape[3:]))
        ordered = patches.movedim(0, patches.ndim - 1 - len(self.g.shape[3:]))  # one copy, not two
        return ordered.reshape(self.groups, self.inputs_size, -1)

    def outputs(self, samples: slice = slice(None)) -> Tensor:
        """Output gradients, (passes, n, groups, O, S)."""
        g = self.g[:, samples]
        passes, n = g.shape[:2]
        if isinstance(self.module, LINEAR):
            return self._rows(g.reshape(passes, n, -1, self.outputs_size)).transpose(2, 3).unsqueeze(2)
        if isinstance(self.module, TRANSPOSED):
            patches = _patches(_padded(g.flatten(0, 1), self.module), self.module, self.a.shape[2:])
            return patches.reshape(passes, n, self.groups, self.outputs_size, self.count)
        return self._on_grid(g).reshape(passes, n, self.groups, self.outputs_size, self.count)

    @property
    def grouped_kernel_fits(self) -> bool:
        """Whether torch's grouped weight-gradient kernel is the faster way.

        In float32 on the CPU, for kernels of several elements at stride 1, oneDNN takes 0.3 to 0.8 of the time of
        patches and a product on maps of 8 x 8 to 32 x 32, and 4 times as long on maps of 2 x 2 (measured). Other types
        fall back to a slow loop there, and cuDNN is slow with many groups.
        """
        if not isinstance(self.module, CONVOLUTIONS) or self.g.dtype != torch.float32 or self.g.device.type != "cpu":
            return False
        kernel, stride = math.prod(_ints(self.module.kernel_size)), max(_ints(self.module.stride))
        overlapping = kernel > 1 and stride == 1 and self.count >= 64
        return overlapping and (self.inputs_size >= 64 or self.groups > 1) and bool(torch.backends.mkldnn.enabled)

    def grouped_kernel(self, number: int) -> Tensor:
        """Per-sample gradients of one backward pass, (N, groups, O, I)."""
        x, g = _padded(self.a, self.module), self.g[number]
        side_by_side = x.reshape(1, -1, *x.shape[2:]), g.reshape(1, -1, *g.shape[2:])
        gradient = self._weight_kernel(*side_by_side, self.samples)
        return gradient.reshape(self.samples, self.groups, self.outputs_size, self.inputs_size)

    def summed_kernel(self) -> Tensor:
        """The gradient of a convolution's weight from the only backward pass, (groups, O, I), by torch's own kernel."""
        gradient = self._weight_kernel(_padded(self.a, self.module), self.g[0], 1)
        return gradient.reshape(self.groups, self.outputs_size, self.inputs_size)

    def _weight_kernel(self, x: Tensor, g: Tensor, times: int) -> Tensor:
        """dW of a convolution of `times` as many groups, for a padded input."""
        weight = cast(Tensor, self.module.weight)
        spatial = weight.ndim - 2
        _, gradient, _ = torch.ops.aten.convolution_backward(
            g,
            x,
            x.new_empty(times * weight.shape[0], *weight.shape[1:]),  # only its size is read
            None,
            _ints(self.module.stride),
            [0] * spatial,
            _ints(self.module.dilation),
            False,  # not transposed
            [0] * spatial,
            times * self.groups,
            [False, True, False],
        )
        return gradient

    def bias_gradients(self) -> Tensor:
        """Per-sample gradients of the bias, (passes, N, channels)."""
        if isinstance(self.module, LINEAR):
            return self.g.flatten(2, -2).sum(2) if self.g.ndim > 3 else self.g
        return self.g.flatten(3).sum(3)


def positions_of(module: nn.Module, use: Use) -> Positions:
    """One use of a linear, convolution or transposed convolution layer as `Positions`."""
    if isinstance(module, LINEAR):
        return Positions(module, use.a, use.g, groups=1, count=math.prod(use.a.shape[1:-1]))
    spatial = use.a.shape[2:] if isinstance(module, TRANSPOSED) else use.g.shape[3:]
    return Positions(module, use.a, use.g, groups=cast(int, module.groups), count=math.prod(spatial))


def thinned(positions: Positions, most: int, rng_seed: int) -> Positions:
    """Positions on a grid, so that about `most` input vectors are left, up to twice as many; all where they are few.

    The grid's place is drawn: each position is read with the chance 1 / `weight`, so that the mean of `weight` times
    the sum over those that are read is the sum over all. Transposed convolutions are left whole.

    Args:
        positions: All of a use.
        most: Input vectors, samples times positions.
        rng_seed: Of the place.
    """
    left = positions.samples * positions.count / most
    if left < 2 or isinstance(positions.module, TRANSPOSED):
        return positions
    sizes = (positions.count,) if isinstance(positions.module, LINEAR) else tuple(positions.g.shape[3:])
    draw, grid = torch.Generator().manual_seed(rng_seed), list[slice]()
    for axis, size in enumerate(sizes):
        step = min(size, max(1, int(left ** (1 / (len(sizes) - axis)) + 1e-9)))
        left /= step
        grid.append(slice(int(torch.randint(step, (1,), generator=draw)), size, step))
    count = math.prod(len(range(places.start, places.stop, places.step)) for places in grid)
    return replace(positions, count=count, grid=tuple(grid))


def fold(module: nn.Module, gradient: Tensor) -> Tensor:
    """A gradient (..., groups, O, I) in the shape of the layer's weight, (..., *weight.shape)."""
    weight = cast(Tensor, module.weight)
    if isinstance(module, TRANSPOSED):
        gradient = gradient.transpose(-1, -2)
    return gradient.reshape(*gradient.shape[:-3], *weight.shape)


def unfold(module: nn.Module, value: Tensor) -> Tensor:
    """A tensor in the shape of the layer's weight as (groups, O, I): the inverse of `fold`."""
    groups = 1 if isinstance(module, LINEAR) else cast(int, module.groups)
    matrices = value.reshape(groups, value.shape[0] // groups, -1)
    return matrices.transpose(1, 2) if isinstance(module, TRANSPOSED) else matrices


def _padded(x: Tensor, module: nn.Module) -> Tensor:
    """`x` padded as the layer pads its input (a transposed layer: as it crops its output)."""
    pads = _padding(module)
    if not any(pads):
        return x
    if cast(str, module.padding_mode) == "zeros":
        return F.pad(x, pads)
    return F.pad(x, pads, mode=cast(str, module.padding_mode))


def _padding(module: nn.Module) -> list[int]:
    """Padding of every spatial axis in the order of `torch.nn.functional.pad`: last axis first, before and after."""
    if module.padding == "valid":
        return []
    if module.padding == "same":  # torch puts the odd element after
        spans = [d * (k - 1) for d, k in zip(_ints(module.dilation), _ints(module.kernel_size), strict=True)]
        return [side for span in reversed(spans) for side in (span // 2, span - span // 2)]
    return [side for p in reversed(_ints(module.padding)) for side in (p, p)]


def _patches(x: Tensor, module: nn.Module, positions: Sequence[int]) -> Tensor:
    """Overlapping windows of a padded (n, C, *spatial) tensor as a view, (n, C, *kernel, *positions).

    Copying this view once is 2 to 5 times as fast as `torch.nn.functional.unfold` (measured on CPU, float32).
    """
    batch, channels, *steps = x.stride()
    kernel, stride, dilation = (_ints(v) for v in (module.kernel_size, module.stride, module.dilation))
    size = (*x.shape[:2], *kernel, *positions)
    within = (s * d for s, d in zip(steps, dilation, strict=True))
    across = (s * d for s, d in zip(steps, stride, strict=True))
    return x.as_strided(size, (batch, channels, *within, *across))


def _ints(value: object) -> tuple[int, ...]:
    return cast(tuple[int, ...], value)
