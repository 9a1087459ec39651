"""What layers say about their sizes (`in_channels`, `groups`, `normalized_shape` ...), kept true after an edit.

One entry for each family of layers; other packages add those of their own layers with `linnet.core.add_layer`.
"""

from __future__ import annotations

import types
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
        norm_groups: Whether GroupNorm layers are.
    """

    module: nn.Module
    node: Node
    program: Program
    shapes: Shapes
    whole: bool = False
    norm_groups: bool = False

    def new(self, position: int) -> tuple[int, ...]:
        """The size of a tensor argument after the edit."""
        given = self.node.argument(position)
        return self.shapes.get(given.value, self.program.shape(given.value)) if isinstance(given, Ref) else ()

    def new_parameter(self, leaf: str) -> tuple[int, ...]:
        """The size of one of the layer's own parameters after the edit; a tied one is known by its first name."""
        shape = tuple(self.module.get_parameter(leaf).shape)
        name = f"{self.node.module}.{leaf}".lstrip(".")
        return self.shapes.get(self.program.parameters.get(self.program.aliases.get(name, name), -1), shape)


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


def attributes(
    model: nn.Module, program: Program, shapes: Shapes, *, whole: bool = False, norm_groups: bool = False
) -> dict[str, dict[str, Any]]:
    """Attributes that change with the sizes.

    Args:
        model: The unwrapped module that the program was recorded on; only classes and attributes are read.
        program: Its program.
        shapes: Value number -> new size, for values that change.
        whole: Whether grouped convolutions are edited by whole groups.
        norm_groups: Whether GroupNorm layers are.

    Returns:
        Module path -> {attribute: new value}; subclasses of torch's layers are served like them.
    """
    changed: dict[str, dict[str, Any]] = {}
    modules = dict(model.named_modules())
    for node in program.all_nodes:
        module = modules.get(node.module)
        layer = layer_of(module)
        if module is None or layer is None or node.name not in layer.operators:
            continue
        found = layer.attributes(Resize(module, node, program, shapes, whole, norm_groups))
        new = {name: value for name, value in found.items() if getattr(module, name, value) != value}
        if new:
            changed.setdefault(node.module, {}).update(new)
    for (path, name), sizes in _split_sizes(modules, program, shapes).items():
        if len(sizes) == 1 and (size := sizes.pop()) != getattr(modules[path], name):
            changed.setdefault(path, {})[name] = size
    return changed


def _split_sizes(modules: Mapping[str, nn.Module], program: Program, shapes: Shapes) -> dict[tuple[str, str], set[int]]:
    """New sizes of parts that the code cuts off by a number which the module keeps as an attribute.

    `y.split((self.c, self.c), 1)` and `y[:, : self.half]` keep their numbers in `c` and `half`: attributes that
    `forward` reads and that equal the size of the part. The doubling test tells whether they are more than that.
    """
    found: dict[tuple[str, str], set[int]] = {}
    for node in program.all_nodes:
        module = modules.get(node.module)
        if module is None or node.name not in ("split_with_sizes", "slice", "narrow"):
            continue
        for value, axis in _parts(node, program):
            before, after = program.shape(value), shapes.get(value, program.shape(value))
            for name in _numbers_read(module):
                if vars(module)[name] == before[axis] > 1:
                    found.setdefault((node.module, name), set()).add(after[axis])
    return found


def _parts(node: Node, program: Program) -> list[tuple[int, int]]:
    """(value, axis) of parts whose size is a number in the code."""
    rank = len(program.shape(node.inputs[0]))
    if node.name == "split_with_sizes":
        return [(value, node.argument(2, "dim", 0) % rank) for value in node.outputs]
    first = node.argument(2) in (None, 0)
    return [(node.outputs[0], node.argument(1, "dim", 0) % rank)] if first else []


def _numbers_read(module: nn.Module) -> list[str]:
    """Whole numbers among the attributes of a user's module that its code reads."""
    numbers = [name for name, value in vars(module).items() if type(value) is int]
    if not numbers or type(module).__module__.startswith("torch.nn"):
        return []
    functions = [item for name, item in vars(type(module)).items() if name != "__init__"]
    read = {name for item in (*functions, *vars(module).values()) for name in _names(getattr(item, "__code__", None))}
    return [name for name in numbers if name in read]


def _names(code: Any) -> set[str]:
    """Names that a function's code and the functions within it read."""
    if not isinstance(code, types.CodeType):
        return set()
    return {*code.co_names, *(name for part in code.co_consts for name in _names(part))}


def _convolution(resize: Resize) -> dict[str, Any]:
    window = operator_of(resize.node).window
    assert window is not None
    plain = "weight" in resize.module._parameters  # which the operator may read after some computing
    channels, weight = resize.new(0)[1], resize.new_parameter("weight") if plain else resize.new(1)
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


def _group_norm(resize: Resize) -> dict[str, Any]:
    channels, norm = resize.new(0)[1], resize.module
    assert isinstance(norm, nn.GroupNorm)
    if not resize.norm_groups or norm.num_groups == 1:
        return {"num_channels": channels}
    return {"num_channels": channels, "num_groups": channels * norm.num_groups // norm.num_channels}


LAYERS += [
    Layer((_ConvNd,), ("convolution",), _convolution, masked=True),
    Layer((nn.Linear,), ("addmm", "mm", "bmm", "linear", "mv"), _linear, masked=True),
    Layer((nn.Bilinear,), ("_trilinear",), _bilinear),
    Layer((nn.modules.batchnorm._NormBase,), ("native_batch_norm", "instance_norm"), _channel_norm),
    Layer((nn.LayerNorm, nn.RMSNorm), ("native_layer_norm", "rms_norm"), _layer_norm),
    Layer((nn.GroupNorm,), ("native_group_norm",), _group_norm),
    Layer(
        (nn.Embedding, nn.EmbeddingBag),
        ("embedding", "_embedding_bag"),
        lambda resize: {"embedding_dim": resize.new(0)[1]},
    ),
    Layer((nn.PReLU,), ("_prelu_kernel",), lambda resize: {"num_parameters": resize.new_parameter("weight")[0]}),
]
