"""The masked network: which channels are masked while it trains, and which are removed for good."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from linnet.arrays import Bools
from linnet.core import ChannelGraph
from linnet.core.channels.reads import Read
from linnet.core.edit.resizing import resized
from linnet.core.program.module_copy import rebuild, set_attributes
from linnet.prune.masks.masks import Masks
from linnet.prune.masks.reads import maskable_reads


class MaskedNetwork:
    """A network with masks. Channels are numbered as in the given network, class after class, whatever was taken out.

    Args:
        model: The unwrapped network; hooks are put on it.
        graph: Its channel graph.
        places: Where channels are read.
        names: The classes that may be pruned.
        regrow: Whether masked channels are measured too.
        also: Networks of the same structure that become small with it.
        batch_axis: The axis of the network's inputs along which samples lie; None measures a whole batch as one.

    Attributes:
        graph: Of the network as it is now, smaller after `compact`.
        slices: Class name -> where its channels lie.
        total: Number of channels.
        kept: bool (total,): what isn't masked.
        alive: bool (total,): what is still in the network.
        removed: Whether the hooks were taken off.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: ChannelGraph,
        places: Sequence[Read],
        names: Sequence[str],
        *,
        regrow: bool = False,
        also: Sequence[nn.Module] = (),
        batch_axis: int | None = 0,
    ):
        self.removed = False
        self.model, self.also, self.graph = model, tuple(also), graph
        self._regrow, self._batch_axis = regrow, batch_axis
        self._masks: Masks | None = Masks(model, graph, places, names, regrow=regrow, batch_axis=batch_axis)
        self.names, self.slices, self.total = self._masks.names, self._masks.slices, self._masks.total
        self.kept: Bools = np.ones(self.total, dtype=np.bool_)
        self.alive: Bools = np.ones(self.total, dtype=np.bool_)

    @property
    def measured(self) -> Bools:
        """bool (total,): channels that a measurement speaks of."""
        return self.alive if self._regrow else self.kept & self.alive

    def measures(self, measuring: bool) -> None:  # noqa: FBT001  a value to be set, not an option
        """Whether the forward passes to come are measured."""
        if self._masks is not None:
            self._masks.measuring = measuring

    def keep_call(self) -> None:
        """Keeps the arguments of the next measured pass, for `take_call`."""
        if self._masks is not None:
            self._masks.keeps_call = True

    def take_call(self) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        """The arguments of a measured pass; they aren't kept any longer."""
        if self._masks is None:
            return None
        call, self._masks.call = self._masks.call, None
        return call

    def take_measurement(self, *, signed: bool = False) -> tuple[Tensor, int] | None:
        """The measurement of the passes since the last time: float64 (total,) sums over samples, and their number."""
        found = None if self._masks is None else self._masks.measured(signed=signed)
        if found is None:
            return None
        return self.wide(found[0]), found[1]

    def keep(self, kept: Bools) -> None:
        """Masks all channels but these, bool (total,)."""
        self.kept = kept
        if self._masks is not None:
            self._masks.keep(kept[self.alive])

    def take_out(self, alive: Bools, optimizers: Sequence[torch.optim.Optimizer] = (), *, last: bool) -> None:
        """Takes channels out of the network, its twins and the optimizer's state; after an error all is as before.

        Args:
            alive: bool (total,): the channels that stay in the network; a part of those in it now.
            optimizers: Their state follows.
            last: No mask is needed any more.

        Raises:
            ProofError: the smaller network isn't the masked one.
            OptimizerStateError: its state can't follow.
        """
        assert self._masks is not None
        with self._masks.lifted(self.model):
            compact(self.model, self.graph, self.multiplicity(alive), optimizers=optimizers, also=self.also)
        self._masks.remove()
        self._masks, self.alive = None, alive
        if not last:
            self.graph = self.graph.of(self.model)
            places = maskable_reads(self.model, self.graph)[0]
            self._masks = Masks(
                self.model, self.graph, places, self.names, regrow=self._regrow, batch_axis=self._batch_axis
            )
            self._masks.keep(self.kept[alive])

    @property
    def error(self) -> float:
        """The error that the proof of the last removal found; 0 when there was none."""
        return 0.0 if self.alive.all() else _edit_of(self.model).error

    @error.setter
    def error(self, error: float) -> None:
        if not self.alive.all():
            _edit_of(self.model).error = error

    def small(self) -> Any:
        """A plain network of the same class with the kept channels only."""
        if self._masks is None:
            return rebuild(self.model, lambda _, tensor: tensor.detach().clone(), hooks="own")
        with self._masks.lifted(self.model):
            return resized(self.model, self.graph, self.multiplicity(self.kept))

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """The network without masks; they are back afterwards."""
        assert self._masks is not None
        with self._masks.lifted(self.model):
            yield

    def remove(self) -> None:
        """Takes all hooks off."""
        self.removed = True
        if self._masks is not None:
            self._masks.remove()

    def wide(self, living: Tensor) -> Tensor:
        """Values of the channels in the network, laid out among all (total,); 0 for those taken out."""
        wide = torch.zeros(self.total, dtype=torch.float64)
        wide[torch.from_numpy(self.alive)] = living
        return wide

    def multiplicity(self, kept: Bools) -> dict[str, list[int]]:
        """1 for what stays of each class's living channels, 0 for what goes."""
        found = {}
        for name, part in self.slices.items():
            stays = kept[part][self.alive[part]]
            if not stays.all():
                found[name] = stays.astype(np.int64).tolist()
        return found


def _edit_of(model: nn.Module) -> Any:
    return model.linnet_edit


def compact(
    model: nn.Module,
    graph: ChannelGraph,
    multiplicity: Mapping[str, Sequence[int]],
    *,
    optimizers: Sequence[torch.optim.Optimizer] = (),
    also: Sequence[nn.Module] = (),
) -> None:
    """Takes the channels with multiplicity 0 out of a network, its twins and its optimizer's state.

    The Parameter objects stay the same and get smaller tensors, so parameter groups, schedulers and references of the
    caller's own stay valid. The edit is proved before anything is changed; after an error all is as before.

    Args:
        model: The unwrapped network of the graph, without hooks that change what it computes.
        graph: Its channel graph.
        multiplicity: Class name -> 0 or 1 for each channel.
        optimizers: Their state follows.
        also: Networks of the same structure (an average) that become small alike.

    Raises:
        ProofError: the small network isn't the masked one.
        OptimizerStateError: its state can't follow.
    """
    before = _Before((model, *also), optimizers)
    try:
        made = resized(model, graph, multiplicity, optimizers=optimizers, also=also)
        small = [made] if not also else list(made)
        old_of_new = dict(zip(map(id, small[0].parameters()), model.parameters(), strict=True))
        for old, new in zip((model, *also), small, strict=True):
            _adopt(old, new)
        for optimizer in optimizers:
            _give_back(optimizer, old_of_new)
    except BaseException:  # an interrupt included
        before.restore()
        raise


class _Before:
    """Networks and optimizers as they were: the same objects with the same tensors."""

    def __init__(self, networks: Sequence[nn.Module], optimizers: Sequence[torch.optim.Optimizer]):
        modules = [module for network in networks for module in network.modules()]
        self._parameters = [(p, p.data, p.grad) for network in networks for p in network.parameters()]
        self._buffers = [(module, dict(module._buffers)) for module in modules]
        self._attributes = [(module, dict(vars(module))) for module in modules]
        self._optimizers = [
            (one, [list(group["params"]) for group in one.param_groups], dict(one.state)) for one in optimizers
        ]

    def restore(self) -> None:
        """Puts everything back."""
        for parameter, tensor, gradient in self._parameters:
            if parameter.data.shape != tensor.shape:
                _replace(parameter, tensor)
            parameter.data, parameter.grad = tensor, gradient
        for module, attributes in self._attributes:
            for name in set(vars(module)) - set(attributes):
                del vars(module)[name]
            vars(module).update(attributes)
        for module, buffers in self._buffers:
            module._buffers.update(buffers)
        for optimizer, groups, state in self._optimizers:
            for group, parameters in zip(optimizer.param_groups, groups, strict=True):
                group["params"] = parameters
            optimizer.state.clear()
            optimizer.state.update(state)


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
