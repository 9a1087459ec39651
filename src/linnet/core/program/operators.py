"""What linnet knows of each operator: one registry, which other packages add to.

The channel graph, the cost, the masks, the latency of a kernel and the receptive field all read an operator's entry
here. An operator of your own is described in one call, and often it is like one that is known:

    from linnet.core import add_operator

    add_operator("mylib::binary_convolution", like="convolution")

How channels flow through it is the entry's `rule`; `linnet.core.rule` adds it alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from linnet.core.program.macs import (
    Macs,
    attention_macs,
    convolution_macs,
    inner_product_macs,
    product_macs,
    summed_product_macs,
    trilinear_macs,
)
from linnet.core.program.program import Node, Program, base_name
from linnet.core.program.spans import Interval, Span, fixed_statistics, joined_channels, rescaled, same_positions
from linnet.core.program.window import Window, convolution_window, pooling_window
from linnet.errors import GraphError
from linnet.suggest import nearest


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator. What is None isn't known, or is as of the operator that this one is like.

    Attributes:
        like: Name of the operator that fills in the rest.
        rule: How channel labels flow through it; see `linnet.core.rule`.
        macs: (program, node) -> its multiply-accumulates; without it they count 0.
        window: (program, node) -> the `Window` that it moves over its input, for convolutions and pooling.
        factor: Place among the arguments of what it multiplies with a weight and sums over: axis 1 where it has a
            window, the last axis otherwise.
        span: Which positions of an image its output reads; it decides whether tiles are exact.
        elementwise: 1 for a function of one tensor, element by element; 2 where several are broadcast.
        reduces: Place among the arguments of the axes that it sums up, or takes the maximum, norm ... of.
        along: Place among the arguments of the axis along which positions depend on each other; sizes stay.
        mixes: Number of last axes whose positions it mixes: pooling, resizing and padding.
        alike: Whether it treats every channel alike, whatever their number is.
        sized: Whether its second argument holds sizes, which may come from numbers of channels.
        one_output: Whether eval mode keeps its first output only.
    """

    like: str | None = None
    rule: Callable[[Any], Any] | None = None
    macs: Macs | None = None
    window: Callable[[Program, Node], Window] | None = None
    factor: int | None = None
    span: Span | None = None
    elementwise: int | None = None
    reduces: int | None = None
    along: int | None = None
    mixes: int | None = None
    alike: bool | None = None
    sized: bool | None = None
    one_output: bool | None = None


OPERATORS: dict[str, Operator] = {}
_NOTHING = Operator()


def add_operator(*ops: Any, **known: Any) -> None:
    """Describe an operator, or add to its description.

    Args:
        ops: Names (`add`, `mylib::f`) or `torch.ops` objects. The in-place form of an operator shares its entry.
        known: Attributes of `Operator`.

    Raises:
        GraphError: an entry of `ops` is no operator, or an attribute isn't known.

    Example:
        >>> from linnet.core import add_operator
        >>> add_operator("mylib::binary_convolution", like="convolution")
    """
    names = [field.name for field in fields(Operator)]
    for name in known:
        if name not in names:
            raise GraphError(f"`{name}` isn't a property of an operator{nearest(name, names)}")
    for op in ops:
        key = op if isinstance(op, str) else _name(op)
        OPERATORS[key] = replace(OPERATORS.get(key, _NOTHING), **known)


def operator_of(node: Node) -> Operator:
    """What is known of a node's operator; nothing is an entry of Nones."""
    return described(node.name)


def described(name: str) -> Operator:
    """What is known of an operator.

    Args:
        name: As `Node.name` has it.

    Raises:
        GraphError: it is like an operator that isn't known.
    """
    entry = OPERATORS.get(name, _NOTHING)
    if entry.like is None:
        return entry
    if entry.like not in OPERATORS:
        raise GraphError(
            f"`{name}` is like `{entry.like}`, which isn't a known operator{nearest(entry.like, OPERATORS)}"
        )
    model = described(entry.like)
    return Operator(*(own if own is not None else getattr(model, name) for name, own in _facts(entry)))


def operators_with(fact: str, value: Any = None) -> list[str]:
    """Names of the operators that a fact is known of, or has one value for."""
    known = ((name, getattr(entry, fact)) for name, entry in OPERATORS.items())
    return [name for name, held in known if held is not None and value in (None, held)]


def _facts(entry: Operator) -> list[tuple[str, Any]]:
    return [(field.name, getattr(entry, field.name)) for field in fields(Operator)]


def _name(op: Any) -> str:
    if isinstance(op, torch._ops.OpOverloadPacket):
        return base_name(op._qualified_op_name)
    if isinstance(op, torch._ops.OpOverload):
        return base_name(op.name())
    raise GraphError(f"`{op!r}` isn't an operator. Give torch.ops.lib.name or the string 'lib::name'.")


def _through_window(program: Program, node: Node, value: int, span: Interval, axis: int) -> Interval | None:
    window = operator_of(node).window
    return None if window is None else window(program, node).reads(*span, axis)


def _describe(names: str, **known: Any) -> None:
    add_operator(*names.split(), **known)


_describe("convolution", window=convolution_window, factor=0, macs=convolution_macs, span=_through_window)
_describe("convolution_overrideable _convolution", like="convolution")
_describe("mm linear", factor=0, macs=product_macs(0), alike=True)
_describe("bmm matmul", factor=0, macs=product_macs(0))
_describe("addmm", factor=1, macs=product_macs(1), alike=True)
_describe("mv", macs=product_macs(0))
_describe("baddbmm addmv", macs=product_macs(1))
_describe("addbmm", macs=summed_product_macs)
_describe("dot vdot", macs=inner_product_macs)
_describe("_trilinear", macs=trilinear_macs)
_describe("scaled_dot_product_attention", macs=attention_macs)
_describe(
    """abs neg sign exp expm1 exp2 log log1p log2 log10 sqrt rsqrt square reciprocal sin cos tan asin acos atan sinh
    cosh tanh erf erfc sigmoid log_sigmoid_forward logit relu relu6 leaky_relu elu celu selu gelu silu mish
    hardswish hardsigmoid hardtanh softplus softshrink hardshrink threshold rrelu_with_noise clamp
    clamp_min clamp_max round floor ceil trunc frac sinc nan_to_num isnan isinf isfinite logical_not bitwise_not
    native_dropout bernoulli view_as_real_copy""",
    elementwise=1,
    span=same_positions,
)
_describe(
    """add sub rsub mul div true_divide remainder fmod floor_divide maximum minimum fmax fmin pow atan2 hypot xlogy
    lerp where addcmul addcdiv masked_fill eq ne lt le gt ge logical_and logical_or logical_xor __and__ __or__
    __xor__ copysign heaviside""",
    elementwise=2,
    span=same_positions,
)
_describe(
    """mean sum amax amin nansum logsumexp any all argmax argmin prod median nanmedian mode std var std_mean var_mean
    count_nonzero aminmax""",
    reduces=1,
)
_describe("norm linalg_vector_norm", reduces=2)
_describe(
    """_softmax softmax _safe_softmax _log_softmax log_softmax cumsum cumprod logcumsumexp cummax cummin sort argsort
    _fft_r2c _fft_c2c _fft_c2r unfold""",
    along=1,
)
_describe("topk kthvalue renorm", along=2)
_describe(
    """avg_pool1d adaptive_avg_pool1d max_pool1d upsample_nearest1d _upsample_nearest_exact1d upsample_linear1d
    reflection_pad1d replication_pad1d""",
    mixes=1,
)
_describe(
    """max_pool2d_with_indices avg_pool2d _adaptive_avg_pool2d adaptive_avg_pool2d adaptive_max_pool2d
    fractional_max_pool2d max_pool2d upsample_nearest2d _upsample_nearest_exact2d upsample_bilinear2d
    _upsample_bilinear2d_aa upsample_bicubic2d _upsample_bicubic2d_aa reflection_pad2d replication_pad2d
    grid_sampler_2d""",
    mixes=2,
)
_describe(
    """max_pool3d_with_indices avg_pool3d _adaptive_avg_pool3d adaptive_max_pool3d max_pool3d upsample_nearest3d
    _upsample_nearest_exact3d upsample_trilinear3d grid_sampler_3d reflection_pad3d replication_pad3d
    fractional_max_pool3d""",
    mixes=3,
)
_describe(
    "relu hardtanh leaky_relu elu gelu silu mish hardswish hardsigmoid sigmoid tanh softplus native_dropout clone",
    alike=True,
)
_describe("dropout clone detach alias contiguous _to_copy", span=same_positions)
_describe("cat", span=joined_channels)
_describe("batch_norm _native_batch_norm_legit", span=fixed_statistics)
_describe("cudnn_batch_norm _native_batch_norm_legit_no_training", span=fixed_statistics, one_output=True)
_describe("native_batch_norm", span=fixed_statistics, one_output=True, alike=True)
_describe("miopen_batch_norm", one_output=True)
_describe("max_pool2d_with_indices avg_pool2d", window=pooling_window, span=_through_window, alike=True)
_describe("max_pool2d", window=pooling_window, span=_through_window)
_describe("upsample_nearest2d", span=rescaled, alike=True)
_describe("pixel_shuffle pixel_unshuffle", span=rescaled)
_describe("_adaptive_avg_pool2d mean upsample_bilinear2d t", alike=True)
_describe("view _unsafe_view reshape _reshape_alias expand as_strided", sized=True)
