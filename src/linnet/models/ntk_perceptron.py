"""Multilayer perceptron in NTK parameterisation: weights of variance 1, scaled in the forward."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType

import torch
from torch import Tensor, nn

from linnet.core.capture.layers.scaled import ScaledLinear
from linnet.errors import InputError

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU, "linear": nn.Identity}
)


class NTKPerceptron(nn.Module):
    """The network that `ntk_mlp` makes.

    Attributes:
        layers: `ScaledLinear` layers.
        activation: Between them.
    """

    def __init__(self, layers: Sequence[ScaledLinear], activation: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Outputs (N, outputs) of inputs (N, ...), which are flattened."""
        h = x.flatten(1)
        for number, layer in enumerate(self.layers):
            h = layer(h if number == 0 else self.activation(h))
        return h


def ntk_mlp(
    *,
    depth: int | None = None,
    width: int = 512,
    widths: Sequence[int] | None = None,
    inputs: int,
    outputs: int = 1,
    activation: str = "relu",
    weight_variance: float = 2.0,
    bias_variance: float = 0.0,
) -> NTKPerceptron:
    """u = sigma_w / sqrt(fan_in) W h + sigma_b b with all W, b ~ N(0, 1) from torch's global generator.

    The leaf parameters have gradients of a size that doesn't depend on the width, so that J J^T has a limit.

    Args:
        depth: L, the number of weight layers (L - 1 hidden); 3 where `widths` isn't given.
        width: Of every hidden layer.
        widths: Of each hidden layer, instead of `depth` and `width`.
        inputs: Entries of one input.
        outputs: C.
        activation: One of "relu", "tanh", "gelu", "silu", "linear".
        weight_variance: sigma_w^2.
        bias_variance: sigma_b^2; 0: no biases.

    Raises:
        InputError: a size is below 1, a variance below 0, or the activation isn't known.

    Source:
        Parameterisation: Jacot et al. 2018.

    Example:
        >>> ntk_mlp(depth=3, width=64, inputs=784).layers[0].weight_scale == (2 / 784) ** 0.5
        True
    """
    for key, value in (("depth", depth), ("width", width), ("inputs", inputs), ("outputs", outputs)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise InputError(f"`{key}` must be a whole number (got {value!r}).")
    if depth is not None and widths is not None and depth != len(widths) + 1:
        raise InputError(f"`depth` is {depth}, but `widths` gives {len(widths) + 1} weight layers. Give one of them.")
    hidden = [width] * ((3 if depth is None else depth) - 1) if widths is None else list(widths)
    sizes = [inputs, *hidden, outputs]
    if (depth is not None and depth < 1) or min(sizes) < 1:
        raise InputError(f"`depth` and every layer size must be >= 1 (got {depth} and {sizes}).")
    if not (0 < weight_variance < math.inf and 0 <= bias_variance < math.inf):
        raise InputError(
            f"`weight_variance` must be > 0 and `bias_variance` >= 0 (got {weight_variance} and {bias_variance})."
        )
    if activation not in ACTIVATIONS:
        raise InputError(f"`activation` must be one of {', '.join(map(repr, ACTIVATIONS))} (got {activation!r}).")
    bias_scale = math.sqrt(bias_variance) if bias_variance else None
    layers = [
        ScaledLinear(i, o, weight_scale=math.sqrt(weight_variance / i), bias_scale=bias_scale)
        for i, o in pairwise(sizes)
    ]
    with torch.no_grad():
        for parameter in (p for layer in layers for p in layer.parameters()):
            parameter.normal_()
    return NTKPerceptron(layers, ACTIVATIONS[activation]())
