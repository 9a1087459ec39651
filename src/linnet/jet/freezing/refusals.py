"""Why a recorded operator has no exact integer form, with its layer and what to do."""

from __future__ import annotations

from typing import NoReturn

from torch import nn

from linnet.core.program.program import Node
from linnet.errors import FreezeError

_ACTIVATIONS = (
    "relu", "relu6", "gelu", "elu", "silu", "tanh", "sigmoid", "leaky_relu", "hardswish", "hardsigmoid", "hardtanh",
    "mish", "softplus", "_prelu_kernel", "clamp", "_softmax", "_log_softmax", "clamp_min",
)  # fmt: skip
_SCALINGS = ("mul", "div", "sub", "rsub", "neg", "pow", "sqrt", "abs")


def refusal(node: Node, reason: str = "") -> FreezeError:
    """The error for an operator that can't be in an integer program."""
    found, remedy = _explained(node)
    source = f" at {node.source}" if node.source and not _layer(node) else ""
    return FreezeError(f"{_place(node, source)} {reason or found}. {remedy}")


def refuse(node: Node, reason: str, remedy: str) -> NoReturn:
    """Raises the error with this reason and this remedy."""
    raise FreezeError(f"{_place(node)} {reason}. {remedy}")


def _layer(node: Node) -> str:
    """torch's name of the layer; "" outside of layers and in one that isn't torch's."""
    return "" if node.layer == nn.Module.__name__ else node.layer


def _place(node: Node, source: str = "") -> str:
    """Path, layer and operator."""
    layer = f"{_layer(node)}, " if _layer(node) else ""
    return f"`{node.module or 'forward'}` ({layer}`{node.name}`{source})"


def _explained(node: Node) -> tuple[str, str]:
    if node.name == "convolution":
        return (
            "has real weights, and an integer program has +-1 weights and jets only",
            "Use linnet.jet.JetConv2d or BinaryConv2d: linnet.jet.convert(model) does it.",
        )
    if node.name in ("linear", "addmm", "mm", "bmm"):
        return "has real weights", "Use linnet.jet.BinaryLinear: linnet.jet.convert(model) does it."
    if node.name == "sign":
        return "gives 0 at 0, which is no sign", "Use linnet.jet.Sign(), which gives +1 there."
    if node.name in _ACTIVATIONS:
        return "is no sign, so its results are no integers", "Use linnet.jet.Sign() in its place."
    if node.name in _SCALINGS:
        return (
            "scales or shifts values between the layers",
            "Leave it out; if it prepares the pixels, say it by freeze(..., pixels=(scale, shift)).",
        )
    if node.name in ("adaptive_max_pool2d", "amax"):
        return (
            "takes the greatest over windows that follow the map's size",
            "Use nn.MaxPool2d with a window of the map's size, or nn.AdaptiveAvgPool2d(1).",
        )
    if node.name in ("constant_pad_nd", "_pad_circular", "reflection_pad2d", "replication_pad2d"):
        return "pads outside a layer", "Give the layer padding= and pad_value=."
    if "norm" in node.name:
        return "normalises with statistics of the image", "Use nn.BatchNorm2d, which becomes a threshold."
    return "has no exact integer form", "Use convolution, batch norm, Sign, pooling, flatten, linear, add or cat."
