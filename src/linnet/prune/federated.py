"""Scatter: small networks that were trained elsewhere go back into the big one, entry by entry."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core import ChannelGraph
from linnet.core.edit import edit_plan as edits
from linnet.core.program.module_copy import unwrap
from linnet.errors import InputError
from linnet.prune.pruning_plan import Plan, graph_of

Part = tuple[Plan, nn.Module | Mapping[str, Tensor]]


def scatter(model: nn.Module, parts: Sequence[Part], weights: Sequence[float] | None = None) -> nn.Module:
    """Puts the weighted mean of parts into a network, wherever a part covers an entry.

    new[e] = sum_i w_i part_i[e] / sum_i w_i over the parts that cover e. An entry is covered when its index on every
    axis is kept by the part's plan. Entries that nobody covers stay, those that one part covers are copied to the
    bit, whole-numbered tensors take the largest. So `scatter(model, [(plan, extract(model, plan))])` changes nothing.

    Args:
        model: The big network; changed in place once everything has been checked.
        parts: (plan, small network or its state dict) of each part.
        weights: One positive number for each part (numbers of samples, say); None weighs all alike.

    Returns:
        The big network.

    Raises:
        InputError: a tensor of a part is missing, of another size or type, or not finite; or a weight isn't positive.
            The model is as it was.
        BudgetError: a plan is of another network.

    Source:
        The aim is Qi et al. 2021 (distributed training in cloud and edge); the rule is ours.
    """
    inner = unwrap(model)
    _require_pairs(parts)
    shares = _weights(weights, len(parts))
    own = {**dict(inner.named_parameters()), **dict(inner.named_buffers())}
    stored = set(inner.state_dict())
    entries = {name: _Entries(tensor) for name, tensor in own.items() if name in stored}
    places = _Places(inner)
    for plan, members in _by_plan(parts, shares):
        for member in members:
            if foreign := [name for name in member.state if name not in stored]:
                raise InputError(
                    f"`{foreign[0]}` of part {member.number} isn't in this network. Give the state of the network "
                    "that its plan makes."
                )
        covered = places.of(plan)
        for name, gathered in entries.items():
            gathered.add(_Sum.of(name, own[name], members, covered.get(name) or _Cover.whole(own[name])))
    with torch.no_grad():
        for name, gathered in entries.items():
            own[name].copy_(gathered.mean(own[name]))
    return model


@dataclass(frozen=True)
class _Cover:
    """The entries of a part in a big tensor, seen as rows: the axes up to the last narrowed one, and the rest.

    Attributes:
        rows: Rows that the part holds, in its order; None for all.
        count: Rows of the big tensor.
        shape: Size of the part's tensor.
    """

    rows: Tensor | None
    count: int
    shape: tuple[int, ...]

    @classmethod
    def whole(cls, tensor: Tensor) -> _Cover:
        """The part holds all of it."""
        return cls(None, 1, tuple(tensor.shape))

    @classmethod
    def of(cls, tensor: Tensor, axes: Mapping[int, Tensor]) -> _Cover:
        """From the positions on each narrowed axis."""
        rows = torch.zeros(1, dtype=torch.long)
        for axis in range(max(axes) + 1):
            size = tensor.shape[axis]
            rows = (rows[:, None] * size + axes.get(axis, torch.arange(size))).flatten()
        shape = tuple(len(axes[axis]) if axis in axes else size for axis, size in enumerate(tensor.shape))
        return cls(rows.to(tensor.device), math.prod(tensor.shape[: max(axes) + 1]), shape)


@dataclass(frozen=True)
class _Member:
    """A part: its place in the list, its tensors and its weight."""

    number: int
    state: Mapping[str, Tensor]
    share: float


@dataclass(frozen=True)
class _Sum:
    """The sum of one tensor over the parts of one plan, in the part's own size.

    Attributes:
        cover: Where they lie.
        total: Weighted sum in float64; of whole numbers the largest.
        weight: Sum of the parts' weights.
        count: Number of parts.
        last: The last part's own values.
    """

    cover: _Cover
    total: Tensor
    weight: float
    count: int
    last: Tensor

    @classmethod
    def of(cls, name: str, tensor: Tensor, members: Sequence[_Member], cover: _Cover) -> _Sum:
        """Sums one tensor of parts, each checked.

        Raises:
            InputError: it is missing, of another size or type, or not finite.
        """
        given = [_checked(member.number, name, tensor, cover, member.state) for member in members]
        if not tensor.is_floating_point():
            largest = given[0]
            for other in given[1:]:
                largest = torch.maximum(largest, other)
            return cls(cover, largest, 1.0, len(given), largest)
        total = torch.zeros(cover.shape, dtype=torch.float64, device=tensor.device)
        for one, member in zip(given, members, strict=True):
            total.add_(one, alpha=member.share)
        if not bool(torch.isfinite(total).all()):
            pairs = zip(given, members, strict=True)
            worst = next((m.number for one, m in pairs if not bool(torch.isfinite(one).all())), None)
            if worst is None:
                raise InputError(
                    f"`weights` must be small enough for the sum over `{name}` not to overflow. Give smaller ones."
                )
            raise InputError(f"`{name}` of part {worst} must be finite (got NaN or infinity). Leave that part out.")
        return cls(cover, total, sum(member.share for member in members), len(given), given[-1])


class _Entries:
    """One tensor over all parts: weighted sums in float64, the largest of whole numbers.

    A part covers whole rows, so weights and counts are kept for rows: one for each filter of a convolution.
    """

    def __init__(self, tensor: Tensor):
        self.shape, self.floats = tensor.shape, tensor.is_floating_point()
        self.last = tensor.detach().clone().reshape(1, -1)
        self.sum = torch.zeros_like(self.last, dtype=torch.float64 if self.floats else self.last.dtype)
        self.weight = torch.zeros(1, dtype=torch.float64, device=tensor.device)
        self.count = torch.zeros(1, dtype=torch.int32, device=tensor.device)

    def add(self, part: _Sum) -> None:
        """Adds the parts of one plan where they cover the tensor."""
        rows = self._rows(part.cover)
        total, last = (values.reshape(len(rows), -1) for values in (part.total, part.last))
        if self.floats:
            self.sum.index_add_(0, rows, total)
        else:
            first = (self.count[rows] == 0)[:, None]
            last = torch.where(first, total, torch.maximum(self.last[rows], total))
        self.last.index_copy_(0, rows, last)
        self.weight.index_add_(0, rows, self.weight.new_full((len(rows),), part.weight))
        self.count.index_add_(0, rows, self.count.new_full((len(rows),), part.count))

    def mean(self, old: Tensor) -> Tensor:
        """The mean over the parts; entries that only one part covers are copied."""
        several = self.count > 1
        if self.floats and bool(several.any()):
            mean = (self.sum / self.weight.clamp_min(1e-300)[:, None]).to(old.dtype)
            self.last = torch.where(several[:, None], mean, self.last)
        return self.last.reshape(self.shape)

    def _rows(self, cover: _Cover) -> Tensor:
        """Where parts lie among the rows; these become finer where a part is narrowed on a later axis."""
        count = max(len(self.count), cover.count)  # both are products of the tensor's first sizes
        finer = count // len(self.count)
        if finer > 1:
            self.last, self.sum = (held.reshape(count, -1) for held in (self.last, self.sum))
            self.weight, self.count = (held.repeat_interleave(finer) for held in (self.weight, self.count))
        if cover.rows is None:
            return torch.arange(count, device=self.count.device)
        within = count // cover.count
        return (cover.rows[:, None] * within + torch.arange(within, device=self.count.device)).flatten()


class _Places:
    """The places of the parts in a network, by plan; the network is traced once."""

    def __init__(self, model: nn.Module):
        self.model = model
        self._graphs: dict[str, ChannelGraph] = {}

    def of(self, plan: Plan) -> dict[str, _Cover]:
        """Tensor name -> what a part of this plan covers, for tensors that are narrower in it."""
        planned = edits.plan(self.model, self._graph(plan), plan.multiplicity())
        tensors = {**dict(self.model.named_parameters()), **dict(self.model.named_buffers())}
        covers = {}
        for name, axes in planned.axes.items():
            changed = {axis.axis: torch.from_numpy(axis.index) for axis in axes if axis.changes}
            if changed:
                covers[name] = _Cover.of(tensors[name], changed)
        return covers

    def _graph(self, plan: Plan) -> ChannelGraph:
        key = json.dumps([plan.example, dict(plan.dense)])
        if key not in self._graphs:
            self._graphs[key] = graph_of(self.model, plan)
        return self._graphs[key]


def _by_plan(parts: Sequence[Part], shares: Sequence[float]) -> list[tuple[Plan, list[_Member]]]:
    """The parts, those of one plan together; plans that were read from files are one if they say the same."""
    groups: dict[Any, tuple[Plan, list[_Member]]] = {}
    for number, ((plan, part), share) in enumerate(zip(parts, shares, strict=True)):
        state = part.state_dict() if isinstance(part, nn.Module) else part
        kept = tuple((name, tuple(channels)) for name, channels in plan.kept.items())
        key = (kept, tuple(plan.dense.items()), json.dumps(plan.example))
        groups.setdefault(key, (plan, []))[1].append(_Member(number, state, share))
    return list(groups.values())


def _require_pairs(parts: Any) -> None:
    if not isinstance(parts, Sequence) or isinstance(parts, str):
        raise InputError(f"`parts` must be a list of (plan, network) pairs (got a {type(parts).__name__}).")
    for number, part in enumerate(parts):
        fits = isinstance(part, tuple) and len(part) == 2
        if not (fits and isinstance(part[0], Plan) and isinstance(part[1], (nn.Module, Mapping))):
            kinds = ", ".join(type(one).__name__ for one in part) if isinstance(part, tuple) else type(part).__name__
            raise InputError(f"`parts[{number}]` must be a pair (Plan, network or its state dict) (got ({kinds})).")


def _weights(weights: Sequence[float] | None, count: int) -> list[float]:
    if not count:
        raise InputError("`parts` must hold at least one (plan, network) pair (got none).")
    if weights is not None and not all(isinstance(w, (int, float)) and not isinstance(w, bool) for w in weights):
        raise InputError(f"`weights` must be one positive number for each part (got {str(list(weights))[:80]}).")
    shares = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(shares) != count:
        raise InputError(f"`weights` must have one number for each of the {count} parts (got {len(shares)}).")
    for number, share in enumerate(shares):
        if not 0 < share < float("inf"):
            raise InputError(
                f"`weights[{number}]` must be a positive number (got {share}). Leave that part out of `parts`."
            )
    return shares


def _checked(number: int, name: str, tensor: Tensor, cover: _Cover, state: Mapping[str, Tensor]) -> Tensor:
    given = state.get(name)
    if given is None:
        raise InputError(f"`{name}` is missing in part {number}. Give the state of the network that its plan makes.")
    wanted = cover.shape
    if not isinstance(given, Tensor):
        raise InputError(f"`{name}` of part {number} must be a tensor {wanted} (got a {type(given).__name__}).")
    if tuple(given.shape) != wanted or given.dtype != tensor.dtype:
        raise InputError(
            f"`{name}` of part {number} must be {wanted} {str(tensor.dtype)[6:]}, by its plan (got "
            f"{tuple(given.shape)} {str(given.dtype)[6:]}). Give each part with the plan that it was extracted by."
        )
    return given.detach().to(tensor.device)
