"""Grouped: the members side by side on the channel axis of one network with grouped layers."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from linnet.core.program.module_copy import rebuild
from linnet.ensemble.training.executions import JoinedExecution, MemberLoop, Outputs

_NORMS = nn.modules.batchnorm._BatchNorm
_CONVOLUTIONS = nn.modules.conv._ConvNd
_BOUND = 1e-10  # of the largest output, in float64


class Grouped(JoinedExecution):
    """One network of M times the channels: convolutions with M times the groups, linear layers as batched products.

    Exact where the network's own code treats channels one by one or through its layers; code that joins or splits
    channels (`torch.cat`, `chunk`) would mix members, so use `grouped`, which compares with the member loop first.

    Args:
        members: Networks of one architecture.

    Raises:
        TypeError: a layer has parameters and no grouped form.
    """

    name = "grouped"

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__(members)
        self.network = rebuild(members[0], lambda _, tensor: tensor.detach().clone())
        parts = [dict(member.named_modules()) for member in members]
        for path, module in list(self.network.named_modules()):
            wide = _side_by_side([part[path] for part in parts])
            if wide is not None:
                _replace(self.network, path, wide)
            elif next(module.parameters(recurse=False), None) is not None:
                raise TypeError(f"`{path}` ({type(module).__name__}) has no grouped form")
        self.train(members[0].training)

    def forward(self, x: Tensor, *, separate: bool = False) -> Outputs:
        """Outputs of all members along a new first axis; see `Execution.forward`."""
        wide = x.transpose(0, 1).flatten(1, 2) if separate else x.repeat(1, self.members, *(1,) * (x.ndim - 2))
        found = self.network(wide)
        if isinstance(found, tuple):
            return tuple(self._apart(part) for part in found)
        return self._apart(found)

    def common(self) -> dict[str, Tensor]:
        """The wide network's tensors, by the members' names."""
        return dict([*self.network.named_parameters(), *self.network.named_buffers()])

    def _apart(self, wide: Tensor) -> Tensor:
        return wide.unflatten(1, (self.members, -1)).transpose(0, 1)


class BatchedLinear(nn.Module):
    """M linear layers, each on its own part of the last axis.

    Args:
        layers: Of one size.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach() for layer in layers]))
        biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
        self.bias = nn.Parameter(torch.stack(biases)) if biases else None

    def forward(self, x: Tensor) -> Tensor:
        """(N, M O) of (N, M I)."""
        parts = x.unflatten(-1, (len(self.weight), -1)).transpose(0, 1)
        found = torch.bmm(parts, self.weight.transpose(1, 2))
        if self.bias is not None:
            found = found + self.bias.unsqueeze(1)
        return found.transpose(0, 1).flatten(1)


def grouped(members: Sequence[nn.Module], x: Tensor) -> Grouped | None:
    """The grouped execution, if it computes what the member loop computes.

    Both are compared in float64 on (part of) a batch, in eval and in train mode without dropout.

    Args:
        members: Networks of one architecture.
        x: A batch of inputs.

    Returns:
        The execution; None where a layer has no grouped form or the results differ.
    """
    wide = [rebuild(m, _in_float64) for m in members]
    few = x[: max(2, min(4, len(x)))]
    few = few.double() if few.is_floating_point() else few
    try:
        loop, side = MemberLoop(wide), Grouped(wide)
        for training in (False, True):
            if not _same(loop, side, few, training=training):
                return None
        return Grouped(members)
    except (TypeError, RuntimeError, ValueError, IndexError):  # the network's own code can't take M times the channels
        return None


def _in_float64(_: str, tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.float64 if tensor.is_floating_point() else tensor.dtype, copy=True)


@torch.no_grad()
def _same(loop: MemberLoop, side: Grouped, x: Tensor, *, training: bool) -> bool:
    for execution in (loop, side):
        execution.train(training)
        for module in execution.modules():
            if "Dropout" in type(module).__name__:
                module.eval()
    wanted, found = loop(x), side(x)
    if not isinstance(wanted, Tensor) or not isinstance(found, Tensor) or wanted.shape != found.shape:
        return False
    return bool((wanted - found).abs().max() <= _BOUND * wanted.abs().max().clamp_min(1e-30))


def _side_by_side(layers: Sequence[nn.Module]) -> nn.Module | None:
    """One layer that does what the members' layers do on their parts of the channels; None if it needs none."""
    first = layers[0]
    if type(first) is nn.Linear:
        made: nn.Module = BatchedLinear(layers)  # type: ignore[arg-type]
    elif isinstance(first, (_CONVOLUTIONS, _NORMS, nn.GroupNorm)):
        made = copy.deepcopy(first)
        for name, tensor in [*first.named_parameters(), *first.named_buffers()]:
            if tensor.ndim:
                joined = torch.cat(
                    [
                        layer.get_parameter(name) if name in first._parameters else layer.get_buffer(name)
                        for layer in layers
                    ]
                )
                _put(made, name, joined.detach())
        for name in ("in_channels", "out_channels", "groups", "num_features", "num_groups", "num_channels"):
            if hasattr(made, name):
                setattr(made, name, getattr(made, name) * len(layers))
    else:
        return None
    for name, parameter in made.named_parameters():
        parameter.requires_grad_(first.get_parameter(name).requires_grad)
    return made


def _put(module: nn.Module, name: str, tensor: Tensor) -> None:
    if name in module._parameters:
        module._parameters[name] = nn.Parameter(tensor)
    else:
        module._buffers[name] = tensor


def _replace(network: nn.Module, path: str, made: nn.Module) -> None:
    parent, _, leaf = path.rpartition(".")
    setattr(network.get_submodule(parent), leaf, made)
