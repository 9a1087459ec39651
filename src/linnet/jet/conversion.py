"""`convert`: jet or binary layers and signs in place of a network's convolutions, linear layers and activations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from linnet.core.program import module_copy
from linnet.errors import InputError
from linnet.jet import kernel_family
from linnet.jet.layers import BINARY_SIZES, TAPS, BinaryConv2d, BinaryLinear, JetConv2d, Sign
from linnet.suggest import one_of

KINDS = ("jet", "binary")
_ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.GELU, nn.SiLU, nn.ELU, nn.Hardtanh, nn.Hardswish, nn.Tanh, nn.Sigmoid,
    nn.Mish, nn.Softplus,
)  # fmt: skip
_FUNCTIONS: frozenset[Callable[..., Any]] = frozenset(
    (
        torch.relu,
        torch.relu_,
        functional.relu,
        functional.relu6,
        functional.leaky_relu,
        functional.gelu,
        functional.silu,
        functional.elu,
        functional.hardtanh,
        functional.hardswish,
        torch.tanh,
        torch.sigmoid,
    )
)
_METHODS = frozenset(["relu", "relu_", "tanh", "sigmoid"])


@dataclass
class Conversion:
    """What `convert` did; on the new network as `linnet_conversion`.

    Attributes:
        replaced: Path -> what stands there now.
        left: Path -> why the layer is as it was.
        notes: What else changed: padding, biases, functional activations.
    """

    replaced: dict[str, str] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"replaced  {path}: {what}" for path, what in self.replaced.items()]
        lines += [f"left      {path}: {why}" for path, why in self.left.items()]
        return "\n".join([*lines, *(f"note      {note}" for note in self.notes)])


def convert(model: nn.Module, kind: str = "jet", taps: str = "free") -> nn.Module:
    """A new network with jets (or binary convolutions), +-1 linear layers and signs, with fresh latents.

    Convolutions that the layers can't do stay, with the reason in the report; so does the network given.
    The first convolution keeps its zero padding, since it reads pixels; later ones pad with -1.

    Args:
        model: Any network with `nn.Conv2d`, `nn.Linear` and activations, as modules or as functions in its forward.
        kind: "jet" or "binary". A 1 x 1 convolution becomes a binary one either way.
        taps: Of the jets, "free" or "first_one".

    Returns:
        The new network; `print(new.linnet_conversion)` tells what was done. Where the forward called an activation as a
        function it is a `torch.fx.GraphModule`.

    Raises:
        InputError: `model` is no module, nothing in it can be replaced, or a word is unknown.

    Example:
        >>> from linnet.models import create
        >>> net = convert(create("vgg", input_shape=(1, 28, 28)))
        >>> type(net.features[0]).__name__, type(net.head).__name__
        ('JetConv2d', 'BinaryLinear')
    """
    one_of("kind", kind, KINDS)
    one_of("taps", taps, TAPS)
    if not isinstance(model, nn.Module):
        raise InputError(f"`model` must be a torch.nn.Module (got a {type(model).__name__}).")
    report = Conversion()
    new = module_copy.rebuild(module_copy.unwrap(model), lambda _, tensor: tensor.detach().clone())
    made: dict[int, nn.Module] = {}
    first = True
    for path, module in list(new.named_modules()):
        fresh = _replacement(path, module, kind, taps, report, first=first)
        first = first and not isinstance(module, nn.Conv2d)
        if fresh is not None:
            made[id(module)] = fresh.train(module.training)
    new = _swapped(new, made)
    new = _without_functions(new, report)
    if not any(isinstance(m, (JetConv2d, BinaryConv2d, BinaryLinear)) for m in new.modules()):
        raise InputError(
            f"`model` must have a convolution or linear layer that can be replaced (got a {type(model).__name__} "
            f"without one). {report}"
        )
    new.linnet_conversion = report  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    return new


def _replacement(
    path: str, module: nn.Module, kind: str, taps: str, report: Conversion, *, first: bool
) -> nn.Module | None:
    if isinstance(module, _ACTIVATIONS):
        report.replaced[path] = "Sign"
        return Sign()
    if isinstance(module, nn.Linear):
        _note_bias(path, module, report)
        report.replaced[path] = f"BinaryLinear({module.in_features}, {module.out_features})"
        return BinaryLinear(module.in_features, module.out_features).to(module.weight.device)
    if isinstance(module, (nn.Conv1d, nn.Conv3d, nn.ConvTranspose2d)):
        report.left[path] = f"{type(module).__name__} has no binarized form here"
    if not isinstance(module, nn.Conv2d):
        return None
    why = _unfit(module)
    if why:
        report.left[path] = why
        return None
    _note_bias(path, module, report)
    layer = _convolution(path, module, kind, taps, report, first=first)
    report.replaced[path] = f"{type(layer).__name__}({layer.extra_repr()})"
    return layer.to(module.weight.device)


def _convolution(path: str, module: nn.Conv2d, kind: str, taps: str, report: Conversion, *, first: bool) -> nn.Module:
    size, padding = module.kernel_size[0], _padding(module)
    assert padding is not None
    pad = 0 if first else -1
    if padding and not first:
        report.notes.append(f"{path}: zero padding becomes padding of -1, since a sign map holds only +1 and -1")
    elif padding:
        report.notes.append(f"{path}: zero padding stays, since the first convolution reads pixels")
    shared: dict[str, Any] = {"stride": module.stride[0], "padding": padding, "pad_value": pad}
    if kind == "jet" and size in kernel_family.SIZES:
        return JetConv2d(module.in_channels, module.out_channels, size, taps, **shared)
    if kind == "jet":
        report.notes.append(f"{path}: a {size} x {size} kernel is no jet (2 to 5), so it becomes a binary convolution")
    return BinaryConv2d(module.in_channels, module.out_channels, size, **shared)


def _padding(module: nn.Conv2d) -> int | None:
    """The padding as one number, or None where it isn't one."""
    if module.padding == "valid":
        return 0
    if module.padding == "same":
        return (module.kernel_size[0] - 1) // 2 if module.kernel_size[0] % 2 else None
    return int(module.padding[0]) if len(set(module.padding)) == 1 else None


def _unfit(module: nn.Conv2d) -> str:
    """Why a convolution stays as it is, or ""."""
    if len(set(module.kernel_size)) > 1 or module.kernel_size[0] not in BINARY_SIZES:
        return f"its kernel of {module.kernel_size[0]} x {module.kernel_size[1]} isn't a square of 1 to 7"
    if module.groups > 1:
        return f"its {module.groups} groups: binarized convolutions have none here"
    if set(module.dilation) != {1}:
        return f"its dilation of {module.dilation[0]}: binarized convolutions have none here"
    if len(set(module.stride)) > 1 or _padding(module) is None:
        return "its stride or padding isn't the same both ways"
    return "" if module.padding_mode == "zeros" else f"its padding mode {module.padding_mode!r}"


def _note_bias(path: str, module: nn.Conv2d | nn.Linear, report: Conversion) -> None:
    if module.bias is not None:
        report.notes.append(f"{path}: its bias is dropped; a batch norm after it has one")


def _swapped(model: nn.Module, made: dict[int, nn.Module]) -> nn.Module:
    if id(model) in made:
        return made[id(model)]
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if id(child) in made:
                parent._modules[name] = made[id(child)]
    return model


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        ours = isinstance(m, (JetConv2d, BinaryConv2d, BinaryLinear, Sign))
        return ours or super().is_leaf_module(m, module_qualified_name)


def _without_functions(model: nn.Module, report: Conversion) -> nn.Module:
    """The network with signs in place of activations that its forward calls as functions."""
    try:
        graph = _Tracer().trace(model)
    except Exception as error:  # whatever a user's forward does with the tracer's placeholders
        report.notes.append(
            f"the forward can't be read by torch.fx ({type(error).__name__}), so activations that it calls as "
            "functions stay: write them as modules"
        )
        return model
    count = 0
    for node in list(graph.nodes):
        called = node.op == "call_function" and node.target in _FUNCTIONS
        if called or (node.op == "call_method" and node.target in _METHODS):
            name = f"sign_{count}"
            while hasattr(model, name):
                name = f"_{name}"
            setattr(model, name, Sign())
            with graph.inserting_before(node):
                node.replace_all_uses_with(graph.call_module(name, (node.args[0],)))
            graph.erase_node(node)
            report.replaced[name] = f"Sign in place of a call of `{getattr(node.target, '__name__', node.target)}`"
            count += 1
    if not count:
        return model
    return fx.GraphModule(model, graph, type(model).__name__).train(model.training)
