"""What layers say about their sizes (`in_channels`, `groups`, `normalized_shape` ...), kept true after an edit.

One entry for each family of layers; other packages add those of their own layers with `linnet.core.add_layer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from linnet.core.program.operators import operator_of
from linnet.core.program.program import Node, Program, Ref
from linnet.errors import InputError

Shapes = Mapping[int, tuple[int, ...]]


@dataclass(frozen=True)
class Resize:
    """One operator of a layer in an edited network, as `Layer.attributes` sees it.

    Attributes:
        module: The layer as it is before the edit.
        node: The operator.
        program: The recording before the edit.
        shapes: Value number -> new size, for values that change.
        whole: Whether grouped convolutions are edited by whole groups.
    """

    module: nn.Module
    node: Node
    program: Program
    shapes: Shapes
    whole: bool = False

    def new(self, position: int) -> tuple[int, ...]:
        """The size of a tensor argument after the edit."""
        given = self.node.argument(position)
        return self.shapes.get(given.value, self.program.shape(given.value)) if isinstance(given, Ref) else ()

    def new_parameter(self, leaf: str) -> tuple[int, ...]:
        """The size of one of the layer's own parameters after the edit."""
        shape = tuple(self.module.get_parameter(leaf).shape)
        return self.shapes.get(self.program.parameters.get(f"{self.node.module}.{leaf}".lstrip("."), -1), shape)


@dataclass(frozen=True)
class Layer:
    """One family of layers.

    Attributes:
        types: Its classes; a subclass counts.
        operators: Names of the operators that run it.
        attributes: What it says about its sizes after an edit: {attribute: value}.
        masked: Whether its input may be multiplied by a mask: the operator reads it as it comes.
    """

    types: tuple[type[nn.Module], ...]
    operators: tuple[str, ...]
    attributes: Callable[[Resize], Mapping[str, Any]]
    masked: bool = False


LAYERS: list[Layer] = []


def add_layer(layer: Layer) -> None:
    """Describe a family of layers of your own; it goes before those that are known, so that a subclass may differ.

    Raises:
        InputError: `layer` isn't a `Layer`.

    Example:
        >>> from torch import nn
        >>> from linnet.core import Layer, add_layer
        >>> class MyConv2d(nn.Conv2d): ...
        >>> def sizes(resize):
        ...     rows, columns = resize.new(1)[:2]
        ...     return {"in_channels": columns, "out_channels": rows}
        >>> add_layer(Layer((MyConv2d,), ("convolution",), sizes, masked=True))
    """
    if not isinstance(layer, Layer):
        raise InputError(f"`layer` must be a linnet.core.Layer (got {type(layer).__name__}).")
    LAYERS.insert(0, layer)


def layer_of(module: nn.Module | None) -> Layer | None:
    """The family of a module; None where it is of none."""
    return next((layer for layer in LAYERS if isinstance(module, layer.types)), None)


def attributes(model: nn.Module, program: Program, shapes: Shapes, *, whole: bool = False) -> dict[str, dict[str, Any]]:
    """Attributes that change with the sizes.

    Args:
        model: The unwrapped module that the program was recorded on; only classes and attributes are read.
        program: Its program.
        shapes: Value number -> new size, for values that change.
        whole: Whether grouped convolutions are edited by whole groups.

    Returns:
        Module path -> {attribute: new value}; subclasses of torch's layers are served like them.
    """
    changed: dict[str, dict[str, Any]] = {}
    modules = dict(model.named_modules())
    for node in program.nodes:
        module = modules.get(node.module)
        layer = layer_of(module)
        if module is None or layer is None or node.name not in layer.operators:
            continue
        found = layer.attributes(Resize(module, node, program, shapes, whole))
        new = {name: value for name, value in found.items() if getattr(module, name, value) != value}
        if new:
            changed.setdefault(node.module, {}).update(new)
    return changed


def _convolution(resize: Resize) -> dict[str, Any]:
    window = operator_of(resize.node).window
    assert window is not None
    channels, weight = resize.new(0)[1], resize.new(1)
    groups = window(resize.program, resize.node).groups
    before = resize.program.shape(resize.node.argument(0).value)[1]
    if groups > 1 and groups == before:
        groups = channels
    elif groups > 1 and resize.whole:
        groups = channels // (before // groups)
    made = weight[1] * groups if isinstance(resize.module, _ConvTransposeNd) else weight[0]
    return {"in_channels": channels, "out_channels": made, "groups": groups}


def _linear(resize: Resize) -> dict[str, Any]:
    rows, columns = resize.new_parameter("weight")
    return {"in_features": columns, "out_features": rows}


def _bilinear(resize: Resize) -> dict[str, Any]:
    made, left, right = resize.new(1)
    return {"in1_features": left, "in2_features": right, "out_features": made}


def _channel_norm(resize: Resize) -> dict[str, Any]:
    return {"num_features": resize.new(0)[1]} if len(resize.new(0)) > 1 else {}


def _layer_norm(resize: Resize) -> dict[str, Any]:
    normalised: Any = resize.module.normalized_shape
    return {"normalized_shape": tuple(resize.new(0)[-len(normalised) :])}


LAYERS += [
    Layer((_ConvNd,), ("convolution",), _convolution, masked=True),
    Layer((nn.Linear,), ("addmm", "mm", "bmm", "linear", "mv"), _linear, masked=True),
    Layer((nn.Bilinear,), ("_trilinear",), _bilinear),
    Layer((nn.modules.batchnorm._NormBase,), ("native_batch_norm", "instance_norm"), _channel_norm),
    Layer((nn.LayerNorm, nn.RMSNorm), ("native_layer_norm", "rms_norm"), _layer_norm),
    Layer((nn.GroupNorm,), ("native_group_norm",), lambda resize: {"num_channels": resize.new(0)[1]}),
    Layer(
        (nn.Embedding, nn.EmbeddingBag),
        ("embedding", "_embedding_bag"),
        lambda resize: {"embedding_dim": resize.new(0)[1]},
    ),
    Layer((nn.PReLU,), ("_prelu_kernel",), lambda resize: {"num_parameters": resize.new_parameter("weight")[0]}),
]
