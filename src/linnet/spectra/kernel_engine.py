"""The empirical neural tangent kernel J J^T, whole or layer by layer, under a byte budget."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal, overload

import torch
from torch import Tensor, nn

from linnet.core.capture.gram import DEFAULT_BYTES
from linnet.errors import InputError
from linnet.spectra.rows.checks import check_inputs
from linnet.spectra.rows.jacobian_rows import Cotangents, JacobianRows, Progress, every_output
from linnet.suggest import is_whole, one_of

MEMORY = 4 * DEFAULT_BYTES
_DRAWS = 4  # linnet's choice: the fewest that give an error bar one can use


@dataclass(frozen=True)
class TraceKernel:
    """(1/C) sum_c K[(n, c), (m, c)], estimated by random vectors over the outputs.

    Attributes:
        kernel: The mean over the draws, (N, M).
        standard_error: Of each entry, (N, M).
        draws: How many.
    """

    kernel: Tensor
    standard_error: Tensor
    draws: int


@overload
def ntk(
    model: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    layers: Literal["sum"] = "sum",
    *,
    memory: int = ...,
    progress: Progress | None = ...,
) -> Tensor: ...
@overload
def ntk(
    model: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    *,
    layers: Literal["each"],
    memory: int = ...,
    progress: Progress | None = ...,
) -> dict[str, Tensor]: ...
@overload
def ntk(
    model: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    layers: Literal["sum"] = "sum",
    *,
    outputs: Literal["trace"],
    draws: int = ...,
    rng_seed: int = ...,
    memory: int = ...,
    progress: Progress | None = ...,
) -> TraceKernel: ...
@overload
def ntk(
    model: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    *,
    layers: Literal["each"],
    outputs: Literal["trace"],
    draws: int = ...,
    rng_seed: int = ...,
    memory: int = ...,
    progress: Progress | None = ...,
) -> dict[str, TraceKernel]: ...
def ntk(
    model: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    layers: Literal["sum", "each"] = "sum",
    *,
    outputs: Literal["full", "trace"] = "full",
    draws: int = _DRAWS,
    rng_seed: int = 0,
    memory: int = MEMORY,
    progress: Progress | None = None,
) -> Tensor | dict[str, Tensor] | TraceKernel | dict[str, TraceKernel]:
    """J(x) J(x2)^T over the trainable parameters, without 1/N.

    Inputs and output gradients (a, g) of every layer are captured once, by C backward passes through activations alone,
    and all blocks of the kernel are products of them. For each layer the cheaper of two contractions is taken:
    K[(n, c), (m, d)] = sum_st (a_ns . a_mt)(g_ncs . g_mdt) by pairs of positions, or <V_nc, V_md> with the per-sample
    gradients V_nc = sum_s g_ncs a_ns^T. Where (a, g) of all samples don't fit in `memory`, blocks of samples are
    spilled to a temporary file (from CUDA: to the host's memory) and read back for each tile. The model is left
    bit-identical.

    Args:
        model: Any module with outputs (N, C), each row of which depends on its sample alone.
        x: Inputs, N.
        x2: Inputs of the columns, M; None for x itself.
        layers: "sum": the kernel. "each": a dict by weight layer, whose sum it is.
        outputs: "full": every pair of outputs. "trace": (1/C) sum_c K[(n, c), (m, c)] alone, estimated from random
            signs v over the outputs, shared by all samples: v^T K[n, m] v / C. C^2 times smaller, unbiased.
        draws: Of v, for "trace".
        rng_seed: Seed of the draws.
        memory: Bytes for captured tensors and work, beside the result.
        progress: Called with the number of finished tiles and of all tiles.

    Returns:
        (N C, M C), sample-major (row = sample * C + output), in the model's dtype and on its device; for "each" such a
        matrix for each layer: path of the module that owns the parameters ("" for the root; a lone root parameter has
        its own name), in order of first use. For "trace" a `TraceKernel` with (N, M) in its place.

    Raises:
        InputError: an argument can't be used, a layer couples the samples (call model.eval()), or the result doesn't
            fit.
        CaptureError: a parameter's rows can't be read; it is named.

    Source:
        Definition of the kernel: Jacot et al. 2018; how it is computed: ours.

    Example:
        >>> import torch
        >>> from linnet.spectra import ntk
        >>> ntk(torch.nn.Linear(3, 1), torch.eye(3)).tolist()
        [[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]
    """
    one_of("layers", layers, ("sum", "each"))
    one_of("outputs", outputs, ("full", "trace"))
    if isinstance(x, Tensor) and x2 is not None:
        check_inputs(model, x, x2)
    take = partial(_kernels, model, x, x2, each=layers == "each", memory=memory, progress=progress)
    if outputs == "full":
        found = take(every_output)
        return found if layers == "each" else found[""]
    if not is_whole(draws, 2):
        raise InputError(f"`draws` must be 2 or more, for an error bar (got {draws!r}).")
    if not is_whole(rng_seed, 0):
        raise InputError(f"`rng_seed` must be a whole number >= 0 (got {rng_seed!r}).")
    generator = torch.Generator().manual_seed(rng_seed)
    means: dict[str, _RunningMean] = {}
    for _ in range(draws):
        for name, kernel in take(_signs(generator)).items():
            means.setdefault(name, _RunningMean()).add(kernel)
    traces = {name: mean.finished() for name, mean in means.items()}
    return traces if layers == "each" else traces[""]


def _kernels(
    model: nn.Module,
    x: Tensor,
    x2: Tensor | None,
    cotangents: Cotangents,
    *,
    each: bool,
    memory: int,
    progress: Progress | None,
) -> dict[str, Tensor]:
    """Layer -> kernel; the sum under ""."""
    with JacobianRows(model, x, cotangents, memory=memory, progress=progress) as rows:
        if x2 is None:
            return rows.kernels() if each else {"": rows.kernel()}
        with JacobianRows(model, x2, cotangents, memory=memory) as columns:
            return rows.kernels(columns) if each else {"": rows.kernel(columns)}


def _signs(generator: torch.Generator) -> Cotangents:
    """One pass along v / sqrt(C) with signs v that are the same for all samples."""
    seed = int(torch.randint(0, 2**62, (1,), generator=generator))

    def cotangents(f: Tensor) -> Tensor:
        own = torch.Generator().manual_seed(seed)
        v = (2 * torch.randint(0, 2, (f.shape[1],), generator=own) - 1).to(f) / f.shape[1] ** 0.5
        return v.expand_as(f).unsqueeze(0)

    return cotangents


class _RunningMean:
    """Mean and standard error of matrices that come one at a time."""

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, torch.empty(0), torch.empty(0)

    def add(self, value: Tensor) -> None:
        """One more matrix; it is written to."""
        self._count += 1
        if self._count == 1:
            self._mean, self._squares = value, torch.zeros_like(value)
            return
        difference = value.sub_(self._mean)
        self._mean.add_(difference, alpha=1 / self._count)
        self._squares.addcmul_(difference, difference, value=1 - 1 / self._count)

    def finished(self) -> TraceKernel:
        """What is known now."""
        error = self._squares.div_(self._count * (self._count - 1)).sqrt_()
        return TraceKernel(self._mean, error, self._count)
