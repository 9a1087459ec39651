"""What the commonest operators return for empty tensors on the meta device: sizes and types, no elements.

Torch's own meta forms of these operators are written in Python: together they take longer than everything else in a
recording, and the first of them imports a computer algebra system (1.6 seconds, 800 modules). Whatever isn't plain here
(another layout, mixed types, sizes that don't fit) is left to torch, with its checks and its error messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from linnet.core.program.window import Window, pooling

Result = Tensor | tuple[Tensor, ...] | None
Form = Callable[..., Result]
aten = torch.ops.aten


def empty_result(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Result:
    """The result of an operator, empty on the meta device.

    Args:
        func: An overload of an ATen operator.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Returns:
        The same sizes, strides and types that torch gives; None where that is left to torch.
    """
    form = _FORMS.get(func)
    if form is None or not args:
        return None
    for given in args[0] if isinstance(args[0], list) else args[:3]:
        if isinstance(given, Tensor) and not (given.is_meta and (given.is_contiguous() or func in _PRODUCTS)):
            return None
    return form(*args, **kwargs)


def called(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], written: Sequence[Tensor]) -> Any:
    """The result of an operator; where tensors made on the CPU meet empty ones, of sizes and types alone.

    Args:
        func: An overload of an ATen operator.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        written: Those of its arguments that it writes into.
    """
    if func is aten.native_batch_norm.default and len(args) > 5 and args[5] and args[0].is_meta:
        x = args[0]  # in training mode, with statistics of the batch
        return _empty(x.shape, x), _empty((x.shape[1],), x), _empty((x.shape[1],), x)
    try:
        return func(*args, **kwargs)
    except (RuntimeError, NotImplementedError):
        empty = {tensor.is_meta for tensor in _tensors((args, kwargs))}
        if len(empty) < 2 or not all(tensor.is_meta for tensor in written):
            raise
        return func(*_emptied(args), **_emptied(kwargs))


def _tensors(tree: Any) -> Iterator[Tensor]:
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, (tuple, list, dict)):
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _tensors(item)


def _emptied(tree: Any) -> Any:
    if isinstance(tree, Tensor):
        return tree.to("meta")
    if isinstance(tree, (tuple, list)):
        return type(tree)(_emptied(item) for item in tree)
    return {key: _emptied(item) for key, item in tree.items()} if isinstance(tree, dict) else tree


def _empty(shape: Sequence[int], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device="meta")


def _same(x: Tensor, *_: Any, **options: Any) -> Result:
    """Elementwise functions of one floating-point tensor."""
    return _empty(x.shape, x) if x.is_floating_point() and "dtype" not in options else None


def _same_in_place(x: Tensor, *_: Any, **__: Any) -> Result:
    return x if x.is_floating_point() else None


def _larger(x: Any, y: Any, *_: Any, **__: Any) -> Result:
    """Elementwise functions of two tensors of one type, of which one has the size of the result."""
    if not isinstance(x, Tensor) or not isinstance(y, Tensor) or x.dtype != y.dtype or not x.is_floating_point():
        return None
    if x.shape == y.shape or _spreads(y.shape, x.shape):
        return _empty(x.shape, x)
    return _empty(y.shape, x) if _spreads(x.shape, y.shape) else None


def _larger_in_place(x: Tensor, y: Any, *_: Any, **__: Any) -> Result:
    fits = isinstance(y, Tensor) and x.dtype == y.dtype and _spreads(y.shape, x.shape)
    return x if fits and x.is_floating_point() else None


def _spreads(small: torch.Size, large: torch.Size) -> bool:
    """Whether `small` broadcasts to `large`; both have some axis."""
    pairs = zip(reversed(small), reversed(large), strict=False)
    return 0 < len(small) <= len(large) and all(s in (1, n) for s, n in pairs)


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,  # noqa: FBT001  torch's signature
    output_padding: list[int],
    groups: int,
) -> Result:
    rank = x.ndim - 2
    if x.dtype != weight.dtype or x.ndim != weight.ndim or x.numel() == 0 or rank < 1:
        return None
    if any(len(given) != rank for given in (stride, padding, dilation, *((output_padding,) if transposed else ()))):
        return None
    out, into = (
        (weight.shape[1] * groups, weight.shape[0]) if transposed else (weight.shape[0], weight.shape[1] * groups)
    )
    if into != x.shape[1] or (bias is not None and tuple(bias.shape) != (out,)):
        return None
    size = tuple(weight.shape[2:])
    window = Window(size, tuple(stride), tuple(padding), tuple(dilation), tuple(output_padding), transposed)
    sizes = window.output(x.shape[2:])
    return _empty((x.shape[0], out, *sizes), x) if min(sizes) > 0 else None


def _batch_norm(x: Tensor, weight: Any, bias: Any, mean: Any, var: Any, training: bool, *_: Any) -> Result:  # noqa: FBT001
    if training:
        return None
    return _empty(x.shape, x), _empty((0,), x), _empty((0,), x)


def _layer_norm(x: Tensor, shape: list[int], weight: Tensor | None, *_: Any) -> Result:
    own = tuple(shape)
    if tuple(x.shape[x.ndim - len(own) :]) != own or (weight is not None and tuple(weight.shape) != own):
        return None
    reduced = (*x.shape[: x.ndim - len(own)], *(1 for _ in own))
    return _empty(x.shape, x), _empty(reduced, x), _empty(reduced, x)


def _mean(x: Tensor, axes: list[int] | None, keep: bool = False, **options: Any) -> Result:  # noqa: FBT001, FBT002
    if not axes or not x.is_floating_point() or options or len({a % x.ndim for a in axes}) < len(axes):
        return None
    gone = {axis % x.ndim for axis in axes}
    sizes = [1 if axis in gone else n for axis, n in enumerate(x.shape) if keep or axis not in gone]
    return _empty(sizes, x)


def _cat(parts: list[Tensor], axis: int = 0) -> Result:
    first = parts[0]
    if not first.ndim or any(p.ndim != first.ndim or p.dtype != first.dtype for p in parts):
        return None
    axis %= first.ndim
    rest = {(*p.shape[:axis], *p.shape[axis + 1 :]) for p in parts}
    if len(rest) > 1:
        return None
    return _empty((*first.shape[:axis], sum(p.shape[axis] for p in parts), *first.shape[axis + 1 :]), first)


def _pooled(x: Tensor, window: Window) -> list[int] | None:
    """Sizes after a two-dimensional pooling without `ceil_mode`."""
    if x.ndim != 4 or x.numel() == 0 or any(2 * p > k for p, k in zip(window.padding, window.size, strict=True)):
        return None
    sizes = window.output(x.shape[2:])
    return [*x.shape[:2], *sizes] if min(sizes) > 0 else None


def _max_pool(x: Tensor, size: list[int], stride: Any = (), padding: Any = 0, dilation: Any = 1, *more: Any) -> Result:
    sizes = None if any(more) else _pooled(x, pooling(size, stride, padding, dilation))
    return None if sizes is None else (_empty(sizes, x), torch.empty(sizes, dtype=torch.int64, device="meta"))


def _average_pool(x: Tensor, size: list[int], stride: Any = (), padding: Any = 0, *more: Any) -> Result:
    sizes = None if any(more[:1]) else _pooled(x, pooling(size, stride, padding))
    return None if sizes is None else _empty(sizes, x)


def _resampled(x: Tensor, size: list[int], *_: Any) -> Result:
    """Interpolation and adaptive pooling to a size."""
    return _empty((*x.shape[:2], *size), x) if x.ndim == len(size) + 2 and x.numel() and min(size) > 0 else None


def _mm(a: Tensor, b: Tensor) -> Result:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0] or a.dtype != b.dtype:
        return None
    return _empty((a.shape[0], b.shape[1]), a)


def _bmm(a: Tensor, b: Tensor) -> Result:
    if a.ndim != 3 or b.ndim != 3 or a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1] or a.dtype != b.dtype:
        return None
    return _empty((*a.shape[:2], b.shape[2]), a)


def _addmm(bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> Result:
    product = _mm(a, b)
    return product if isinstance(product, Tensor) and _spreads(bias.shape, product.shape) else None


_UNARY = (
    "relu", "hardtanh", "gelu", "elu", "silu", "tanh", "sigmoid", "leaky_relu", "hardswish", "hardsigmoid", "mish",
    "softplus", "exp", "neg", "abs", "sqrt", "rsqrt",
)  # fmt: skip
_UNARY_IN_PLACE = ("relu_", "hardtanh_", "elu_", "silu_", "tanh_", "sigmoid_", "leaky_relu_", "hardswish_", "mish_")
_PRODUCTS = frozenset({aten.mm.default, aten.bmm.default, aten.addmm.default})  # contiguous whatever the factors are
_FORMS: dict[Any, Form] = {
    **{getattr(aten, name).default: _same for name in _UNARY},
    **{getattr(aten, name).default: _same_in_place for name in _UNARY_IN_PLACE},
    **{op.Tensor: _larger for op in (aten.add, aten.sub, aten.mul, aten.div)},
    **{op.Tensor: _larger_in_place for op in (aten.add_, aten.sub_, aten.mul_, aten.div_)},
    aten._prelu_kernel.default: _larger,
    aten._softmax.default: lambda x, axis, wider: None if wider else _same(x),
    aten.convolution.default: _convolution,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_layer_norm.default: _layer_norm,
    aten.mean.dim: _mean,
    aten.sum.dim_IntList: _mean,
    aten.cat.default: _cat,
    aten.max_pool2d_with_indices.default: _max_pool,
    aten.avg_pool2d.default: _average_pool,
    aten._adaptive_avg_pool2d.default: _resampled,
    aten.upsample_bilinear2d.default: _resampled,
    aten.upsample_nearest2d.default: _resampled,
    aten.mm.default: _mm,
    aten.bmm.default: _bmm,
    aten.addmm.default: _addmm,
}
