"""Compact: a network and its optimizer made small in place; whatever holds their parameters stays valid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core import ChannelGraph, resize
from linnet.core.skeleton import set_attributes


def compact(
    model: nn.Module,
    graph: ChannelGraph,
    multiplicity: Mapping[str, Sequence[int]],
    *,
    optimizer: torch.optim.Optimizer | None = None,
    also: Sequence[nn.Module] = (),
) -> None:
    """Takes the channels with multiplicity 0 out of a network, its twins and its optimizer's state.

    The Parameter objects stay the same and get smaller tensors, so parameter groups, schedulers and references of the
    caller's own stay valid. The edit is proved before anything is changed; after an error all is as before.

    Args:
        model: The unwrapped network of the graph, without hooks that change what it computes.
        graph: Its channel graph.
        multiplicity: Class name -> 0 or 1 for each channel.
        optimizer: Whose state follows.
        also: Networks of the same structure (an average) that become small alike.

    Raises:
        ProofError: the small network isn't the masked one.
        OptimizerStateError: state that can't follow.
    """
    made = resize(model, graph, multiplicity, optimizer=optimizer, also=also)
    small = [made] if not also else list(made)
    old_of_new = dict(zip(map(id, small[0].parameters()), model.parameters(), strict=True))
    for old, new in zip((model, *also), small, strict=True):
        _adopt(old, new)
    if optimizer is not None:
        _give_back(optimizer, old_of_new)


def _adopt(old: nn.Module, new: nn.Module) -> None:
    """Puts the new network's tensors and attributes into the old one's objects."""
    for mine, its in zip(old.modules(), new.modules(), strict=True):
        for name, parameter in mine._parameters.items():
            if parameter is not None:
                _replace(parameter, its._parameters[name].data)  # type: ignore[union-attr]
        for name, buffer in mine._buffers.items():
            if buffer is not None:
                mine._buffers[name] = its._buffers[name]
    edit: Any = new.linnet_edit
    set_attributes(old, edit.attributes)
    old.linnet_edit = edit


def _replace(parameter: nn.Parameter, new: Tensor) -> None:
    """Gives a parameter another tensor of another size.

    A loss that the caller still holds keeps the parameter's gradient accumulator alive, with the old size. Torch makes
    a new one only where the element type changes, so the type changes for a moment.
    """
    parameter.grad = None
    parameter.data = new.new_empty(0, dtype=torch.float32 if new.dtype == torch.float64 else torch.float64)
    parameter.data = new


def _give_back(optimizer: torch.optim.Optimizer, old_of_new: Mapping[int, Tensor]) -> None:
    """The optimizer's groups and state around the old Parameter objects again."""
    for group in optimizer.param_groups:
        group["params"] = [old_of_new[id(parameter)] for parameter in group["params"]]
    state = {old_of_new[id(parameter)]: held for parameter, held in optimizer.state.items()}
    optimizer.state.clear()
    optimizer.state.update(state)
