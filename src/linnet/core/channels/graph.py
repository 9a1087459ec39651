"""ChannelGraph: which channels of a network live and die together, where they sit, and which can't be touched."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

import linnet.core.channels.rules  # noqa: F401  (registers them)
from linnet.arrays import Ints
from linnet.core.channels import serialise
from linnet.core.channels.classes import ChannelClass, channel_classes, cut_groups
from linnet.core.channels.doubling import label, spread_freezes
from linnet.core.channels.propagation import propagate
from linnet.core.channels.propagation_state import Frozen, PropagationState
from linnet.core.channels.reads import Read, find_reads
from linnet.core.channels.replay import ones, shapes_after
from linnet.core.channels.table import class_table
from linnet.core.program import module_copy
from linnet.core.program.both_modes import record_both
from linnet.core.program.example import Example, example_from_dict, example_to_dict
from linnet.core.program.operation_cost import Cost, program_cost
from linnet.errors import GraphError
from linnet.suggest import nearest

MOST_CHANNELS = 1_000_000  # positions of a widened axis; more are taken for a slip
Multiplicity = Mapping[str, int | Sequence[int] | Tensor | Ints]


class ChannelGraph:
    """The channel classes of a network.

    Every channel gets one number in an edit, its multiplicity: 0 removes it, 1 keeps it, k makes k copies. Channels
    that must be edited alike form a class. The graph holds no reference to the model: it serves any of the same
    structure.

    Args:
        model: Any module; wrappers (DDP, compiled) are taken off.
        example: A tensor, a tuple of arguments or a dict of keyword arguments.
        frozen: What must not be edited: module paths, or (tensor name, axis).
        grouped: How grouped convolutions are edited: "within" (every group loses the same channels) or "whole" (groups
            come and go).
        norms: How a GroupNorm layer of several groups is edited: "together" (all its channels need one multiplicity) or
            "groups" (whole groups come and go, which is exact).
        unsupported: What happens to channels that reach an operator without a rule: "freeze" them, with that reason, or
            "refuse" the network.

    Attributes:
        classes: Name -> ChannelClass, in order of execution.
        program: The recorded operators.

    Raises:
        GraphError: the model can't run on the example, or a name in `frozen` is unknown.
        UnsupportedOperator: with unsupported="refuse", an operator without a rule touches channels; the message has the
            call that freezes them.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
        >>> graph = ChannelGraph(net, torch.zeros(1, 3, 8, 8))
        >>> [(c.name, c.size, c.frozen is None) for c in graph.classes.values()]
        [('input', 3, False), ('0', 8, True), ('2', 4, False)]
    """

    def __init__(
        self,
        model: nn.Module,
        example: Any,
        *,
        frozen: Iterable[str | tuple[str, int]] = (),
        grouped: str = "within",
        norms: str = "together",
        unsupported: str = "freeze",
    ):
        if grouped not in ("within", "whole"):
            raise GraphError(f"`grouped` must be 'within' or 'whole' (got {grouped!r}).")
        if norms not in ("together", "groups"):
            raise GraphError(f"`norms` must be 'together' or 'groups' (got {norms!r}).")
        if unsupported not in ("freeze", "refuse"):
            raise GraphError(f"`unsupported` must be 'freeze' or 'refuse' (got {unsupported!r}).")
        model = module_copy.unwrap(model)
        example = Example.of(example)
        program = record_both(model, example)
        given = [frozen] if isinstance(frozen, str) else list(frozen)
        self.frozen: list[str | tuple[str, int]] = [one if isinstance(one, str) else (one[0], one[1]) for one in given]
        asked = Frozen.asked(model, program, self.frozen)
        walk = label(
            program,
            model,
            example,
            frozen=asked,
            whole=grouped == "whole",
            norm_groups=norms == "groups",
            refuses=unsupported == "refuse",
        )
        self._keep(walk, example_to_dict(example))

    def of(self, model: nn.Module) -> ChannelGraph:
        """The channel graph of another network with the same example and options."""
        example = example_from_dict(self.example)
        return ChannelGraph(model, example, frozen=self.frozen, grouped=self.grouped, norms=self.norms)

    def _keep(self, walk: PropagationState, example: dict[str, Any]) -> None:
        self.walk = walk
        self.program = walk.program
        self.classes: dict[str, ChannelClass] = channel_classes(walk)
        self.example = example

    @property
    def grouped(self) -> str:
        """How grouped convolutions are edited: "within" or "whole"."""
        return "whole" if self.walk.whole else "within"

    @property
    def norms(self) -> str:
        """How GroupNorm layers are edited: "together" or "groups"."""
        return "groups" if self.walk.norm_groups else "together"

    def at(self, tensor: str, axis: int) -> list[tuple[str, int] | None]:
        """Which channel sits at each position of an axis: the inverse of `slots`.

        Args:
            tensor: Dotted name of a parameter or buffer.
            axis: Its axis.

        Returns:
            For each position (class name, channel), or None where no channel sits.

        Raises:
            GraphError: there is no such tensor or axis.
        """
        tensor = self.program.aliases.get(tensor, tensor)
        tensors = self.program.tensors
        if tensor not in tensors:
            raise GraphError(f"`{tensor}` isn't a tensor of this network{nearest(tensor, tensors)}")
        shape = self.program.shape(tensors[tensor])
        if not -len(shape) <= axis < len(shape):
            raise GraphError(f"`axis` must be an axis of `{tensor}`, from 0 to {len(shape) - 1} (got {axis}).")
        places: list[tuple[str, int] | None] = [None] * shape[axis]
        for known in self.classes.values():
            for slot in known.slots:
                if (slot.tensor, slot.axis) == (tensor, axis % len(shape)):
                    for channel, positions in enumerate(slot.index):
                        for position in positions:
                            places[position] = (known.name, channel)
        return places

    def cut_together(self) -> list[tuple[str, ...]]:
        """Which classes the network's code cuts at the same place (`chunk`, `split` into equal parts).

        The parts of such a cut stay equal only if their classes are given the same width.

        Returns:
            Groups of class names, in order of execution. Each class is in one group; one that is not cut together
            with another is alone in it.

        Example:
            >>> class FirstHalf(nn.Module):
            ...     def forward(self, x):
            ...         return x.chunk(2, 1)[0].relu()
            >>> net = nn.Sequential(nn.Conv2d(3, 8, 1), FirstHalf(), nn.Conv2d(4, 2, 1))
            >>> ChannelGraph(net, torch.zeros(1, 3, 4, 4)).cut_together()
            [('input',), ('0', '0#2'), ('2',)]
        """
        return cut_groups(self.walk, self.classes)

    def reads(self) -> list[Read]:
        """Where channels are read: the operators that multiply them with a weight and sum over them.

        Returns:
            One `Read` for each operator, in order of execution: the node, the axis, and the class and channel at each
            position. A module that runs twice has two; a depthwise convolution, which sums over no channels, has none.

        Example:
            >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
            >>> [read.module for read in ChannelGraph(net, torch.zeros(1, 3, 8, 8)).reads()]
            ['0', '2']
        """
        return find_reads(self.walk, self.classes)

    def copies(self, multiplicity: Multiplicity) -> Ints:
        """Multiplicities checked and laid out by class root.

        Args:
            multiplicity: Class name -> one number, or one per channel; missing classes keep 1.

        Returns:
            int64 array, indexed by class root.

        Raises:
            GraphError: unknown class (with the nearest names), frozen class, wrong length, negative or fractional
                numbers, a tensor axis that would have no channel left.
        """
        if not isinstance(multiplicity, Mapping):
            raise GraphError(
                f"`multiplicity` must be a dict by class name, such as {{{next(iter(self.classes), 'conv')!r}: 2}} "
                f"(got a {type(multiplicity).__name__})."
            )
        copies = ones(self.walk)
        for name, given in multiplicity.items():
            known = self.classes.get(name)
            if known is None:
                raise GraphError(f"`{name}` isn't a channel class of this graph{self._meant(name)}")
            numbers = _numbers(known, given)
            if known.frozen is not None and (numbers != 1).any():
                raise GraphError(
                    f"The multiplicity of `{name}` must stay 1, because the class is frozen: {known.frozen}. "
                    "Leave the class out."
                )
            copies[known.roots] = numbers
        self._refuse_empty(copies)
        return copies

    def _meant(self, name: str) -> str:
        """The class that a module's or tensor's channels belong to; else the nearest names."""
        for known in self.classes.values():
            for slot in known.slots:
                if slot.role != "consume" and name in (slot.tensor, slot.tensor.rpartition(".")[0]):
                    return f": `{name}` belongs to class `{known.name}`."
        return nearest(name, self.classes)

    def _refuse_empty(self, copies: Ints) -> None:
        for (tensor, axis), entry in self.walk.axes.items():
            held = entry.labels[entry.labels >= 0]
            if len(held) == len(entry.labels) and not copies[self.walk.atoms.find(held)].any():
                root = self.walk.atoms.find(held)[0]
                name = next(c.name for c in self.classes.values() if root in c.roots)
                raise GraphError(f"`{name}` must keep at least one channel on axis {axis} of `{tensor}` (got none).")

    def shapes(self, multiplicity: Multiplicity) -> dict[int, tuple[int, ...]]:
        """Sizes of all tensors of the program at other widths, by arithmetic only.

        Args:
            multiplicity: As for `linnet.resize`.

        Returns:
            Value number -> size, for the values whose size changes; `program.with_shapes` takes it.
        """
        return shapes_after(self.walk, self.copies(multiplicity))

    def cost(self, multiplicity: Multiplicity | None = None) -> Cost:
        """What one sample costs at other widths, by arithmetic only: no tracing, no weights.

        Args:
            multiplicity: As for `linnet.resize`; None is the given network.

        Returns:
            The same as `linnet.cost(linnet.resize(...), example)`.
        """
        multiplicity = multiplicity or {}
        return program_cost(self.program.with_shapes(self.shapes(multiplicity)), self._held(self.copies(multiplicity)))

    def _held(self, copies: Ints) -> dict[str, dict[str, int]]:
        """Class -> tensor -> elements that would go with the class."""
        sizes = shapes_after(self.walk, copies)
        held: dict[str, dict[str, int]] = {}
        for known in self.classes.values():
            rest: dict[str, list[int]] = {}
            for slot in known.slots:
                value = self.program.tensors[slot.tensor]
                left = rest.setdefault(slot.tensor, list(sizes.get(value, self.program.shape(value))))
                left[slot.axis] -= int(copies[known.roots].sum()) * slot.index.shape[1]
            held[known.name] = {
                tensor: math.prod(sizes.get(value, self.program.shape(value))) - math.prod(left)
                for tensor, left in rest.items()
                for value in [self.program.tensors[tensor]]
            }
        return held

    def fits(self, model: nn.Module) -> bool:
        """Whether a network has this graph's tensors."""
        model = module_copy.unwrap(model)
        own = {name: self.program.shape(value) for name, value in self.program.tensors.items()}
        return own == {name: tuple(t.shape) for name, t in [*model.named_parameters(), *model.named_buffers()]}

    def check(self, model: nn.Module) -> nn.Module:
        """The unwrapped model, after making sure that it has this graph's tensors.

        Raises:
            GraphError: the graph is of another network.
        """
        if not isinstance(model, nn.Module):
            raise GraphError(f"`model` must be a torch.nn.Module (got a {type(model).__name__}).")
        model = module_copy.unwrap(model)
        if self.fits(model):
            return model
        own = {name: self.program.shape(value) for name, value in self.program.tensors.items()}
        given = {name: tuple(t.shape) for name, t in [*model.named_parameters(), *model.named_buffers()]}
        if isinstance(model, AveragedModel):
            raise GraphError(
                "The given AveragedModel wraps the network of this graph. Give the network inside: "
                "`average.module`, or also=[average.module]."
            )
        name = next(name for name in [*own, *given] if own.get(name) != given.get(name))
        raise GraphError(
            f"The graph is of another network: `{name}` has size {given.get(name, 'none')} in the given "
            f"{type(model).__name__}, but {own.get(name, 'none')} in the graph. Build one for this: "
            "ChannelGraph(model, example)."
        )

    def to_dict(self) -> dict[str, Any]:
        """The graph as plain data (numbers, strings, lists, dicts): fit for JSON."""
        return {
            "format": 1,
            "program": serialise.program_to_dict(self.program),
            "example": self.example,
            "frozen": serialise.frozen_to_dict(self.walk.frozen),
            "grows": [[node, group, axis] for (node, group), axis in self.walk.grows.items()],
            "grouped": self.grouped,
            **({"norms": self.norms} if self.walk.norm_groups else {}),
            **(
                {"asked": [item if isinstance(item, str) else list(item) for item in self.frozen]}
                if self.frozen
                else {}
            ),
            "classes": [serialise.class_to_dict(known) for known in self.classes.values()],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> ChannelGraph:
        """The graph that `to_dict` wrote.

        Raises:
            GraphError: the data isn't a graph, or of a newer format.
        """
        if stored.get("format") != 1:
            raise GraphError(f"The stored channel graph must have format 1 (got {stored.get('format')!r}).")
        grows = {(node, group): axis for node, group, axis in stored["grows"]}
        walk = propagate(
            PropagationState(
                serialise.program_from_dict(stored["program"]),
                frozen=serialise.frozen_from_dict(stored["frozen"]),
                grows=grows,
                whole=stored["grouped"] == "whole",
                norm_groups=stored.get("norms") == "groups",
            )
        )
        spread_freezes(walk)
        graph = cls.__new__(cls)
        graph.frozen = [one if isinstance(one, str) else (one[0], one[1]) for one in stored.get("asked", ())]
        graph._keep(walk, dict(stored["example"]))
        return graph

    def __str__(self) -> str:
        return class_table(self.classes, self.cost(), self.program, grouped=self.grouped)

    def __repr__(self) -> str:
        free = sum(known.frozen is None for known in self.classes.values())
        return f"ChannelGraph({len(self.classes)} classes, {free} free)"


def _numbers(known: ChannelClass, given: int | Sequence[int] | Tensor | Ints) -> Ints:
    raw = np.asarray(given.detach().cpu().numpy() if isinstance(given, Tensor) else given)
    if raw.ndim == 0:
        raw = np.full(known.size, raw[()])
    if raw.shape != (known.size,):
        raise GraphError(
            f"`{known.name}` must get one multiplicity for each of its {known.size} channels, or one for all (got "
            f"{raw.shape})."
        )
    if raw.dtype.kind == "f":
        raise GraphError(
            f"`{known.name}` must get multiplicities that are whole numbers >= 0 (got {raw[:4].tolist()} ... of "
            f"type {raw.dtype}). Convert a mask by `mask.long()`."
        )
    if raw.dtype.kind not in "iub" or (raw.dtype.kind == "i" and (raw < 0).any()):
        raise GraphError(
            f"`{known.name}` must get multiplicities that are whole numbers >= 0 (got {raw[:4].tolist()} ...)."
        )
    channels, unit = float(raw.sum(dtype=np.float64)), max((slot.index.shape[1] for slot in known.slots), default=1)
    if channels * unit > MOST_CHANNELS and channels > known.size:
        raise GraphError(
            f"`{known.name}` must have at most {MOST_CHANNELS} channels on an axis (got {channels:.6g} on "
            f"{channels * unit:.6g} positions). Give smaller multiplicities."
        )
    return raw.astype(np.int64)
