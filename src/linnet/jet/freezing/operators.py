"""What each recorded operator becomes in the program, and why others can't."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from torch import Tensor

from linnet.core.program.program import Node as Recorded
from linnet.core.program.program import Program as Recording
from linnet.core.program.program import Ref
from linnet.core.program.window import pooling_window
from linnet.errors import FreezeError
from linnet.jet.freezing.norm import norm_of
from linnet.jet.freezing.refusals import refusal, refuse
from linnet.jet.freezing.stand_ins import JetLayer
from linnet.jet.freezing.values import SIGN_AFTER_SUM, Builder, Known, PendingPool, described_sum, plain
from linnet.jet.integer.nodes import Add, Concat, Conv, Flatten, Linear, Pool
from linnet.jet.layers import BinaryConv2d, BinaryLinear, JetConv2d, Sign

PAD_SLACK = Fraction(1, 10**9)


@dataclass(frozen=True)
class Reading:
    """All that a rule reads.

    Attributes:
        builder: The program so far.
        recording: What the forward ran.
        layers: Jet layers by path.
        tensors: Parameters and buffers of the trained network by name.
        known: Value number -> what is known of it.
        batch: Size of the first axis while recording.
    """

    builder: Builder
    recording: Recording
    layers: Mapping[str, JetLayer]
    tensors: Mapping[str, Tensor]
    known: dict[int, Known]
    batch: int

    def source(self, node: Recorded, position: int = 0, *, sums: bool = False) -> Known:
        """What is known of the argument at `position`; a sum of batch norms is refused unless `sums`."""
        argument = node.argument(position)
        if not isinstance(argument, Ref) or argument.value not in self.known:
            raise refusal(node)
        known = self.known[argument.value]
        if known.addend is not None and not sums:
            refuse(node, f"reads {described_sum(known)}", SIGN_AFTER_SUM)
        return known

    def tensor(self, argument: Any) -> Tensor | None:
        """The parameter or buffer that an argument is."""
        return None if argument is None else self.tensors[self.recording.names[argument.value]]


Rule = Callable[[Reading, Recorded], Known]


def read_node(reading: Reading, node: Recorded) -> None:
    """Puts one recorded operator into the program.

    Raises:
        FreezeError: it has no exact integer form.
    """
    if not any(value in reading.known for value in node.inputs):
        return  # shapes and constants
    rule = RULES.get(node.name)
    if rule is None:
        raise refusal(node)
    reading.known[node.outputs[0]] = rule(reading, node)


def _convolution(reading: Reading, node: Recorded) -> Known:
    layer = reading.layers.get(node.module)
    if not isinstance(layer, (JetConv2d, BinaryConv2d)):
        raise refusal(node)
    source = _integers(reading, node)
    kernels = _finite(node.module, layer).kernels().cpu().numpy()
    pad = _pad_value(reading, node, layer, source) if layer.padding else 0
    jet = layer if isinstance(layer, JetConv2d) else None
    kinds = None if jet is None else jet.kinds().cpu().numpy()
    conv = Conv(kernels, layer.stride, layer.padding, pad, kinds, None if jet is None else _shifts(kernels, kinds))
    number = reading.builder.add(node.module, conv, source.node)
    shifts = _summed(kernels.sum((2, 3)), source.shifts)
    known = Known(number, source.scale, shifts)
    reading.builder.note(node.module, known)
    return known


def _shifts(kernels: np.ndarray, kinds: np.ndarray | None) -> np.ndarray:
    """Powers of two that the kernels were multiplied by: every jet kernel has +-1 in its corner."""
    return np.log2(np.abs(kernels[:, :, 0, 0])).astype(np.int8)


def _pad_value(reading: Reading, node: Recorded, layer: JetConv2d | BinaryConv2d, source: Known) -> int:
    """The padding in integers of what comes in."""
    kind = reading.builder.nodes[source.node].kind
    if kind == "sign":
        if layer.pad_value not in (-1, 1):
            word = "zero padding" if layer.pad_value == 0 else f"padding of {layer.pad_value}"
            refuse(node, f"has {word} of sign maps, which hold only +1 and -1", "Give pad_value=-1 or pad_value=1.")
        return int(layer.pad_value)
    exact = (Fraction(layer.pad_value) - source.shifts[0]) / source.scale
    low, high = reading.builder.nodes[source.node].range
    near = round(exact)
    if abs(exact - near) > PAD_SLACK or not low <= near <= high or len(set(source.shifts)) > 1:
        ends = [float(source.scale * end + source.shifts[0]) for end in (low, high)]
        refuse(
            node,
            f"pads with {layer.pad_value}, which is no whole pixel of {low}..{high} (it would be {float(exact):.6g})",
            f"Give pad_value={ends[0]:.6g} (pixel {low}) or pad_value={ends[1]:.6g} (pixel {high}).",
        )
    return near


def _linear(reading: Reading, node: Recorded) -> Known:
    layer = reading.layers.get(node.module)
    if not isinstance(layer, BinaryLinear):
        raise refusal(node)
    source = _integers(reading, node)
    if len(reading.builder.nodes[source.node].shape) != 1:
        refuse(node, "is applied to maps", "Flatten them first.")
    weights = _finite(node.module, layer).kernels().cpu().numpy()
    number = reading.builder.add(node.module, Linear(weights), source.node)
    known = Known(number, source.scale, _summed(weights, source.shifts))
    reading.builder.note(node.module, known)
    return known


def _summed(weights: np.ndarray, shifts: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """What the weights make of the shifts of their inputs."""
    if not any(shifts):
        return (Fraction(0),) * len(weights)
    return tuple(
        sum((int(w) * s for w, s in zip(row, shifts, strict=True)), Fraction(0)) for row in weights.astype(np.int64)
    )


def _finite(path: str, layer: Any) -> Any:
    if not layer.latents.isfinite().all():
        raise FreezeError(
            f"`{path}.latents` holds NaN or infinity, and an exact program needs finite numbers. Train again with a "
            "lower learning rate."
        )
    return layer


def _integers(reading: Reading, node: Recorded, position: int = 0) -> Known:
    """The argument with nothing waiting but its scale and shift."""
    known = reading.builder.pooled(reading.source(node, position), f"`{node.module}`")
    if known.norm is not None:
        refuse(node, "reads a batch norm directly, which scales what comes in", "Put linnet.jet.Sign() between them.")
    return known


def _sign(reading: Reading, node: Recorded) -> Known:
    if not isinstance(reading.layers.get(node.module), Sign):
        raise refusal(node)
    source = reading.source(node, sums=True)
    terms = reading.builder.terms(source)
    known = reading.builder.signed(node.module, source)
    reading.builder.note(node.module, known, terms)
    return known


def _batch_norm(reading: Reading, node: Recorded) -> Known:
    source = reading.source(node)
    if source.norm is not None:
        refuse(node, "follows another batch norm", "Remove one of them.")
    arguments = [node.argument(place) for place in range(8)]
    if node.name == "_native_batch_norm_legit_no_training":
        arguments.insert(5, False)
    mean, var = (reading.tensor(argument) for argument in arguments[3:5])
    if arguments[5] or mean is None or var is None:
        refuse(node, "has no running statistics", "Build it with track_running_stats=True and train it.")
    assert mean is not None
    assert var is not None
    gamma, beta = (reading.tensor(argument) for argument in arguments[1:3])
    channels = reading.builder.nodes[source.node].shape[0]
    norm = norm_of(node.module, channels, gamma, beta, mean, var, float(arguments[7]))
    return dataclasses.replace(source, norm=norm)


def _max_pool(reading: Reading, node: Recorded) -> Known:
    window, stride = _plain_window(reading, node, ceil=node.argument(5, "ceil_mode", False))
    known, name = reading.source(node, sums=True), node.module or "max_pool"
    signs = reading.builder.nodes[known.node].kind == "sign"
    if signs and known.norm is None and not known.pools and known.addend is None:
        channels = reading.builder.nodes[known.node].shape[0]
        pool = Pool("bits", window, stride, np.zeros(channels, bool))
        return plain(reading.builder.add(name, pool, known.node), reading.builder.nodes)
    waiting = PendingPool(name, window, stride, known.norm is not None)
    return dataclasses.replace(known, pools=(*known.pools, waiting))


def _average_pool(reading: Reading, node: Recorded) -> Known:
    window, stride = _plain_window(reading, node, ceil=node.argument(4, "ceil_mode", False))
    divisor = node.argument(6, "divisor_override") or window[0] * window[1]
    return _summed_windows(reading, node, Pool("sum", window, stride), divisor)


def _mean(reading: Reading, node: Recorded) -> Known:
    """The mean or sum over all positions."""
    shape = reading.recording.shape(node.inputs[0])
    axes = node.argument(1, "dim") or range(len(shape))
    if len(shape) != 4 or {axis % 4 for axis in axes} != {2, 3}:
        refuse(
            node, f"is taken over the axes {list(axes)}", "Only the mean over height and width is exact: dim=(2, 3)."
        )
    known = _summed_windows(reading, node, _global(shape), shape[2] * shape[3] if node.name == "mean" else 1)
    if node.argument(2, "keepdim", False):
        return known
    return _flattened(reading, node, known)


def _adaptive(reading: Reading, node: Recorded) -> Known:
    shape = reading.recording.shape(node.inputs[0])
    if list(node.argument(1)) != [1, 1]:
        refuse(node, f"makes maps of {list(node.argument(1))}", "Use nn.AvgPool2d with a window, or output_size=1.")
    return _summed_windows(reading, node, _global(shape), shape[2] * shape[3])


def _global(shape: Sequence[int]) -> Pool:
    whole = (shape[2], shape[3])
    return Pool("sum", whole, whole, everything=True)


def _summed_windows(reading: Reading, node: Recorded, pool: Pool, divisor: int) -> Known:
    known = reading.builder.pooled(reading.source(node), f"`{node.module}`")
    number = reading.builder.add(node.module or "pool", pool, known.node)
    shape = reading.builder.nodes[known.node].shape
    window = shape[1] * shape[2] if pool.everything else pool.window[0] * pool.window[1]
    shifts = tuple(shift * window / divisor for shift in known.shifts)
    if known.norm is not None and divisor != window:
        refuse(node, "sums a batch norm's results", "Take their mean, or put Sign before the sum.")
    return dataclasses.replace(known, node=number, scale=known.scale / divisor, shifts=shifts)


def _plain_window(reading: Reading, node: Recorded, *, ceil: bool) -> tuple[tuple[int, int], tuple[int, int]]:
    """Window and stride of a pooling without padding, dilation and ceil_mode; others are refused."""
    window = pooling_window(reading.recording, node)
    for word, given, wanted in (("padding", window.padding, 0), ("dilation", window.dilation, 1)):
        if set(given) != {wanted}:
            shown = given[0] if len(set(given)) == 1 else given
            refuse(node, f"has {word}={shown}", f"Give {word}={wanted}; windows are counted without it.")
    if ceil:
        refuse(node, "has ceil_mode=True", "Give ceil_mode=False: windows that don't fit are left out.")
    return (window.size[0], window.size[1]), (window.stride[0], window.stride[1])


def _reshaped(reading: Reading, node: Recorded) -> Known:
    """A new shape of the same elements: nothing, or a map that becomes a vector."""
    before, after = (reading.recording.shape(v) for v in (node.inputs[0], node.outputs[0]))
    known = reading.source(node)
    if before == after:
        return known
    shape = reading.builder.nodes[known.node].shape
    if after[0] != reading.batch or before[0] != reading.batch:
        refuse(node, f"changes the size {list(before)} into {list(after)}", "Keep the first axis: x.flatten(1).")
    if len(after) == 2 and len(shape) == 3:
        return _flattened(reading, node, known)
    if len(after) == 2 and len(shape) == 1:
        return known
    raise refusal(node, f"changes the size {list(before)} into {list(after)}")


def _flattened(reading: Reading, node: Recorded, known: Known) -> Known:
    known = reading.builder.pooled(known, "a flattening")
    shape = reading.builder.nodes[known.node].shape
    per = shape[1] * shape[2]
    name = node.module if node.layer == "Flatten" else f"{node.module}.flatten".lstrip(".")
    number = reading.builder.add(name, Flatten(), known.node)
    shifts = tuple(s for s in known.shifts for _ in range(per))
    norm = None if known.norm is None else known.norm.repeated(per)
    return dataclasses.replace(known, node=number, shifts=shifts, norm=norm)


def _same(reading: Reading, node: Recorded) -> Known:
    return reading.source(node, sums=True)


def _add(reading: Reading, node: Recorded) -> Known:
    if node.argument(2, "alpha", 1) != 1 or len(node.inputs) != 2:
        raise refusal(node)
    parts = [reading.builder.pooled(reading.source(node, place), "an addition") for place in range(2)]
    shapes = [reading.builder.nodes[p.node].shape for p in parts]
    if shapes[0] != shapes[1]:
        refuse(node, f"adds maps of {shapes[0]} and {shapes[1]}", "Give both branches one size.")
    name = f"{node.module}.add".lstrip(".")
    if any(part.norm is not None for part in parts):
        return dataclasses.replace(parts[0], addend=parts[1], sum_name=name)
    kinds = {reading.builder.nodes[p.node].kind for p in parts}
    if "sign" in kinds and len(kinds) > 1:
        refuse(node, "adds a sign map and a map of integers", "Add before the Sign, or put a Sign on both branches.")
    if parts[0].scale != parts[1].scale:
        refuse(node, "adds two maps of different scale", "Pool both branches alike.")
    number = reading.builder.add(name, Add(), *(p.node for p in parts))
    shifts = tuple(a + b for a, b in zip(parts[0].shifts, parts[1].shifts, strict=True))
    return Known(number, parts[0].scale, shifts)


def _concat(reading: Reading, node: Recorded) -> Known:
    shape = reading.recording.shape(node.outputs[0])
    if node.argument(1, "dim", 0) % len(shape) != 1:
        refuse(node, "joins along another axis than the channels", "Use dim=1.")
    parts = []
    for argument in node.argument(0):
        known = reading.known.get(argument.value)
        waits = known is None or known.norm is not None or known.pools or known.addend is not None
        if known is None or waits or reading.builder.nodes[known.node].kind != "sign":
            refuse(node, "joins maps that aren't signs", "Put linnet.jet.Sign() on each of them.")
        assert known is not None
        parts.append(known.node)
    number = reading.builder.add(f"{node.module}.cat".lstrip("."), Concat(), *parts)
    return plain(number, reading.builder.nodes)


RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "linear": _linear,
    "neg": _sign,  # the stand-in for Sign
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit_no_training", "batch_norm", "cudnn_batch_norm"), _batch_norm
    ),
    **dict.fromkeys(("max_pool2d_with_indices", "max_pool2d"), _max_pool),
    "avg_pool2d": _average_pool,
    **dict.fromkeys(("mean", "sum"), _mean),
    "_adaptive_avg_pool2d": _adaptive,
    **dict.fromkeys(("reshape", "view", "_unsafe_view", "flatten", "squeeze", "unsqueeze"), _reshaped),
    **dict.fromkeys(("alias", "clone", "contiguous", "detach", "_to_copy", "lift_fresh"), _same),
    "add": _add,
    "cat": _concat,
}
