"""The empirical neural tangent kernel J J^T, whole or layer by layer, under a byte budget."""

from collections.abc import Iterator
from typing import Literal, overload

import torch
from torch import Tensor, nn

from linnet.core.capture.gram import DEFAULT_BYTES
from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.core.jacobian.linearisation import UNUSED, Linearisation, coupling
from linnet.errors import CaptureError, InputError


@overload
def ntk(
    model: nn.Module, x: Tensor, x2: Tensor | None = None, layers: Literal["sum"] = "sum", *, memory: int = ...
) -> Tensor: ...
@overload
def ntk(
    model: nn.Module, x: Tensor, x2: Tensor | None = None, *, layers: Literal["each"], memory: int = ...
) -> dict[str, Tensor]: ...
def ntk(
    model: nn.Module,
    x: Tensor,
    x2: Tensor | None = None,
    layers: Literal["sum", "each"] = "sum",
    *,
    memory: int = 4 * DEFAULT_BYTES,
) -> Tensor | dict[str, Tensor]:
    """J(x) J(x2)^T over the trainable parameters, without 1/N.

    Inputs and output gradients (a, g) of every layer are captured once, by C backward passes through activations alone,
    and all blocks of the kernel are products of them. Where (a, g) of all samples don't fit in `memory`, samples are
    taken in blocks, and those of the columns are captured again for each block of rows.

    Args:
        model: Any module with outputs (N, C), each row of which depends on its sample alone.
        x: Inputs, N.
        x2: Inputs of the columns, M; None for x itself.
        layers: "sum": the kernel. "each": a dict by weight layer, whose sum it is.
        memory: Bytes for captured tensors and work, beside the result.

    Returns:
        (N C, M C), sample-major (row = sample * C + output), in the model's dtype and on its device; for "each" such a
        matrix for each layer: path of the module that owns the parameters ("" for the root; a lone root parameter has
        its own name), in order of first use.

    Raises:
        InputError: an argument can't be used, or a layer couples the samples (call model.eval()).
        CaptureError: a parameter's rows can't be read; it is named.

    Source:
        Definition of the kernel: Jacot et al. 2018; how it is computed: ours.

    Example:
        >>> import torch
        >>> from linnet.spectra import ntk
        >>> ntk(torch.nn.Linear(3, 1), torch.eye(3)).tolist()
        [[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]
    """
    _check(model, x, x2, layers, memory)
    rows = _block_size(model, x, memory)
    result: dict[str, Tensor] = {}
    total = (len(x), len(x if x2 is None else x2))
    for start, left in _blocks(model, x, rows):
        columns = [(start, left)] if x2 is None else []
        later = x if x2 is None else x2
        first = start + rows if x2 is None else 0
        for place, right in (*columns, *_later(model, later, rows, first)):
            _fill(result, total, (start, left), (place, right), memory // 4, symmetric=x2 is None)
    if layers == "each":
        return result
    matrices = iter(result.values())
    whole = next(matrices)
    for matrix in matrices:
        whole += matrix
    return whole


def _later(model: nn.Module, x: Tensor, rows: int, first: int) -> Iterator[tuple[int, tuple[LayerJacobian, ...]]]:
    """The blocks from sample `first` on."""
    for start, layers in _blocks(model, x[first:], rows):
        yield first + start, layers


def _blocks(model: nn.Module, x: Tensor, rows: int) -> Iterator[tuple[int, tuple[LayerJacobian, ...]]]:
    """(first sample, rows of the Jacobian) of each block of samples."""
    for start in range(0, len(x), rows):
        yield start, _jacobian(model, x[start : start + rows])


def _jacobian(model: nn.Module, x: Tensor) -> tuple[LayerJacobian, ...]:
    with Linearisation(model) as linear:
        f = linear.forward(x)
        identity = torch.eye(f.shape[1], dtype=f.dtype, device=f.device)
        layers = linear.rows(identity[:, None].expand(f.shape[1], *f.shape))
    refused = {name: why for name, why in linear.unread.items() if why != UNUSED}
    if refused:
        name, why = next(iter(refused.items()))
        raise CaptureError(f"`{name}` has no rows: {why}. Freeze it to leave it out of the kernel.")
    return layers


def _fill(
    result: dict[str, Tensor],
    total: tuple[int, int],
    left: tuple[int, tuple[LayerJacobian, ...]],
    right: tuple[int, tuple[LayerJacobian, ...]],
    memory: int,
    *,
    symmetric: bool,
) -> None:
    """One block of every layer's kernel, and its mirror image."""
    diagonal = symmetric and left[0] == right[0]
    for ours, theirs in zip(left[1], right[1], strict=True):
        part = ours.gram(None if diagonal else theirs, max_bytes=memory)
        passes = ours.passes
        if ours.name not in result:
            result[ours.name] = part.new_zeros(total[0] * passes, total[1] * passes)
        rows = slice(left[0] * passes, left[0] * passes + part.shape[0])
        columns = slice(right[0] * passes, right[0] * passes + part.shape[1])
        result[ours.name][rows, columns] = part
        if symmetric and not diagonal:
            result[ours.name][columns, rows] = part.T


def _block_size(model: nn.Module, x: Tensor, memory: int) -> int:
    """Samples whose (a, g), twice, take half of the memory."""
    layers = _jacobian(model, x[:1])
    each = sum(layer.bytes for layer in layers)
    return max(1, min(len(x), memory // max(4 * each, 1)))


def _check(model: nn.Module, x: Tensor, x2: Tensor | None, layers: str, memory: int) -> None:
    if layers not in ("sum", "each"):
        raise InputError(f"`layers` is {layers!r}; it must be 'sum' or 'each'.")
    if memory < 1:
        raise InputError(f"`memory` is {memory}; a number of bytes, such as 2**30, is needed.")
    for name, value in (("x", x), ("x2", x2)):
        if value is not None and (not isinstance(value, Tensor) or value.ndim < 1 or not len(value)):
            raise InputError(f"`{name}` must be a tensor with at least one sample on axis 0.")
    if not any(p.requires_grad for p in model.parameters()):
        raise InputError("`model` has no trainable parameters, so its kernel is empty. Set requires_grad on some.")
    for path, why in coupling(model).items():
        raise InputError(f"`{path}`: {why}. Call model.eval() first.")
