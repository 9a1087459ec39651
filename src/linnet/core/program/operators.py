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
    alike: bool | None = None
    sized: bool | None = None
    one_output: bool | None = None


OPERATORS: dict[str, Operator] = {}
_NOTHING = Operator()


def add_operator(*ops: Any, **known: Any) -> None:
    """Describe an operator, or add to its description.

    Args:
        ops: Names (`add`, `mylib::f`) or `torch.ops` objects. The in-place form of an operator shares its entry.
        known: Attributes of `Operator`: `like`, `rule`, `macs`, `window`, `factor`, `span`, `alike`, `sized`,
            `one_output`.

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
    "relu hardtanh leaky_relu elu gelu silu mish hardswish hardsigmoid sigmoid tanh softplus native_dropout clone",
    alike=True, span=same_positions,
)  # fmt: skip
_describe("dropout add sub mul div detach alias contiguous _to_copy", span=same_positions)
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
