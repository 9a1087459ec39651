"""What layers say about their sizes (`in_channels`, `groups`, `normalized_shape` ...), kept true after an edit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from linnet.core.program.program import Node, Program, Ref

Shapes = Mapping[int, tuple[int, ...]]


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
        found = {} if module is None else _of_node(module, node, program, shapes, whole=whole)
        if found and module is not None:
            new = {name: value for name, value in found.items() if getattr(module, name, value) != value}
            if new:
                changed.setdefault(node.module, {}).update(new)
    return changed


def _of_node(module: nn.Module, node: Node, program: Program, shapes: Shapes, *, whole: bool) -> dict[str, Any]:
    def new(position: int) -> tuple[int, ...]:
        given = node.argument(position)
        return shapes.get(given.value, program.shape(given.value)) if isinstance(given, Ref) else ()

    if isinstance(module, _ConvNd) and node.name == "convolution":
        return _convolution(module, node, program, new(0)[1], new(1), whole=whole)
    if isinstance(module, nn.Linear) and node.name in ("addmm", "mm", "bmm", "linear", "mv"):
        rows, columns = shapes.get(program.parameters.get(f"{node.module}.weight".lstrip("."), -1), module.weight.shape)
        return {"in_features": columns, "out_features": rows}
    if isinstance(module, nn.Bilinear) and node.name == "_trilinear":
        made, left, right = new(1)
        return {"in1_features": left, "in2_features": right, "out_features": made}
    if isinstance(module, (nn.modules.batchnorm._NormBase)) and node.name in ("native_batch_norm", "instance_norm"):
        return {"num_features": new(0)[1]} if len(new(0)) > 1 else {}
    if isinstance(module, (nn.LayerNorm, nn.RMSNorm)) and node.name in ("native_layer_norm", "rms_norm"):
        return {"normalized_shape": tuple(new(0)[-len(module.normalized_shape) :])}
    if isinstance(module, nn.GroupNorm) and node.name == "native_group_norm":
        return {"num_channels": new(0)[1]}
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and node.name in ("embedding", "_embedding_bag"):
        return {"embedding_dim": new(0)[1]}
    if isinstance(module, nn.PReLU) and node.name == "_prelu_kernel":
        slopes = program.parameters.get(f"{node.module}.weight".lstrip("."), -1)
        return {"num_parameters": shapes.get(slopes, module.weight.shape)[0]}
    return {}


def _convolution(
    module: _ConvNd, node: Node, program: Program, channels: int, weight: tuple[int, ...], *, whole: bool
) -> dict[str, Any]:
    groups = node.argument(8)
    before = program.shape(node.argument(0).value)[1]
    if groups > 1 and groups == before:
        groups = channels
    elif groups > 1 and whole:
        groups = channels // (before // groups)
    made = weight[1] * groups if isinstance(module, _ConvTransposeNd) else weight[0]
    return {"in_channels": channels, "out_channels": made, "groups": groups}
