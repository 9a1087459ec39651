"""Plan an edit: from multiplicities to an index (and a share) for every tensor axis, read off a second propagation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from linnet.arrays import Ints
from linnet.core.channels.doubling import reason_of
from linnet.core.channels.graph import ChannelGraph, Multiplicity
from linnet.core.channels.layer_attributes import attributes
from linnet.core.channels.propagation_state import Mismatch, PropagationState, positions
from linnet.core.channels.replay import follow, needs_recording, record_again, shapes_after
from linnet.core.channels.union_find import copy_number
from linnet.core.program.example import example_from_dict
from linnet.errors import GraphError

SPLITS = ("even", "random", "per_consumer")
# Random shares are drawn from U(low, high) and divided by their sum: ours.
LOW, HIGH = 0.25, 1.25


@dataclass(frozen=True)
class AxisEdit:
    """What happens to one axis of one tensor.

    Attributes:
        axis: The axis.
        role: "produce", "consume" or "stat".
        index: int64: old position of each new one.
        share: float64, the share of each new position's copy; None when all are 1. Values are multiplied with it on
            "consume" axes, gradients on "produce" axes.
        removed: Old positions that are gone.
        copy: int64: which copy of its channel sits at each new position; 0 where no channel sits.
    """

    axis: int
    role: str
    index: Ints
    share: npt.NDArray[np.float64] | None
    removed: Ints
    copy: Ints

    @property
    def changes(self) -> bool:
        """Whether the axis is another than before."""
        return self.share is not None or not np.array_equal(self.index, np.arange(len(self.index) + len(self.removed)))


@dataclass(frozen=True)
class Edit:
    """A whole edit, as data: print it, store it, apply it.

    Attributes:
        axes: Tensor name -> what happens to its axes.
        shapes: Tensor name -> new size, for all tensors that change.
        attributes: Module path -> attributes that follow.
        copies: Multiplicity by class root.
        multiplicity: Class name -> multiplicities, for classes that change.
        split: "even", "random" or "per_consumer".
        approximate: Whether narrowing through a normalisation was allowed.
        recorded: Whether the edited program was recorded anew (else the first one was replayed).
        rounded: Whether shares are rounded to less than float64.
    """

    axes: Mapping[str, tuple[AxisEdit, ...]]
    shapes: Mapping[str, tuple[int, ...]]
    attributes: Mapping[str, Mapping[str, Any]]
    copies: Ints
    multiplicity: Mapping[str, Ints]
    split: str
    approximate: bool
    recorded: bool
    rounded: bool = True

    @property
    def widens(self) -> bool:
        """Whether channels are copied."""
        return any(bool((m > 1).any()) for m in self.multiplicity.values())


def plan(
    model: nn.Module,
    graph: ChannelGraph,
    multiplicity: Multiplicity,
    *,
    split: str = "even",
    rng_seed: int = 0,
    approximate: bool = False,
    even: bool = False,
    again: bool | None = None,
) -> Edit:
    """What an edit does to every tensor axis.

    Args:
        model: A model of the graph's structure; read, not changed.
        graph: Its channel graph.
        multiplicity: Class name -> one number or one per channel.
        split: How copies share their channel's outgoing weights.
        rng_seed: For random shares.
        approximate: Allow narrowing through normalisations, whose statistics then change.
        even: Use even shares for channels in front of a normalisation (gradients of unequal copies aren't shares
            there).
        again: Record anew (True), replay (False), or as the program needs (None).

    Returns:
        The edit.

    Raises:
        GraphError: the multiplicities don't fit the graph, or the network's code can't follow them.
    """
    if split not in SPLITS:
        raise GraphError(f"`split` must be one of {', '.join(SPLITS)} (got {split!r}).")
    copies = graph.copies(multiplicity)
    changed = {c.name: copies[c.roots] for c in graph.classes.values() if (copies[c.roots] != 1).any()}
    _check_uniform(graph, copies, approximate=approximate)
    walk = graph.walk
    again = needs_recording(walk) if again is None else again
    try:
        example = example_from_dict(graph.example, _empty)
        program = record_again(walk, copies, model, example) if again and changed else None
        second = follow(walk, copies, program)
    except GraphError as error:
        raise GraphError(_explained(graph, error, changed)) from error
    _check_groups(walk, second, approximate=approximate)
    ratios = _Ratios(walk, copies, split=split, rng_seed=rng_seed, even=even)
    axes: dict[str, list[AxisEdit]] = {}
    alike: dict[tuple[int, int], AxisEdit] = {}  # axes that share their arrays of labels are edited alike
    for number, ((name, axis), entry) in enumerate(walk.axes.items()):
        new = second.axes.get((name, axis))
        if new is None:
            continue
        pair = id(entry.labels), id(new.labels)
        made = alike.get(pair)
        if made is None:
            made = _axis_edit(walk, second, axis, entry, new, ratios.of(number))
            if split != "per_consumer":
                alike[pair] = made
        axes.setdefault(name, []).append(replace(made, axis=axis, role=_role(entry)))
    shapes = shapes_after(walk, copies)
    names = walk.program.names
    return Edit(
        {name: tuple(edits) for name, edits in axes.items() if any(e.changes for e in edits)},
        {names[value]: shape for value, shape in shapes.items() if value in names},
        attributes(model, walk.program, shapes, whole=walk.whole, norm_groups=walk.norm_groups),
        copies,
        changed,
        split,
        approximate and any(bool((m == 0).any()) for m in changed.values()),
        program is not None,
        any(p.dtype != torch.float64 for p in model.parameters() if p.is_floating_point()),
    )


def _empty(shape: tuple[int, ...], dtype: Any) -> Any:
    return torch.empty(shape, dtype=dtype, device="meta")


def _axis_edit(walk: PropagationState, second: PropagationState, axis: int, old: Any, new: Any, ratio: Any) -> AxisEdit:
    before, after = _filled(old.labels), _filled(new.labels)
    index = np.empty(len(after), dtype=np.int64)
    bare = after < 0
    index[bare] = np.flatnonzero(before < 0)[-1 - after[bare]] if bare.any() else 0
    held = np.flatnonzero(before >= 0)
    if (~bare).any():
        index[~bare] = held[positions(walk.program.all_nodes[-1], before[held], after[~bare], second)]
    share, copy = np.ones(len(after)), np.zeros(len(after), dtype=np.int64)
    copy[~bare] = copy_number(after[~bare])
    share[~bare] = ratio(walk.atoms.find(after[~bare]), copy[~bare])
    gone = np.ones(len(before), dtype=np.bool_)
    gone[index] = False
    removed = np.flatnonzero(gone)
    return AxisEdit(axis, _role(old), index, None if (share == 1).all() else share, removed, copy)


def _role(entry: Any) -> str:
    return next(role for role in ("produce", "stat", "consume") if role in entry.roles)


def _filled(labels: Ints) -> Ints:
    """Positions without a channel numbered -1, -2 ... in order."""
    filled = labels.copy()
    bare = labels < 0
    filled[bare] = -1 - np.arange(int(bare.sum()))
    return filled


class _Ratios:
    """The share vector of every widened channel: one for all its consumers, or one for each."""

    def __init__(self, walk: PropagationState, copies: Ints, *, split: str, rng_seed: int, even: bool):
        self.copies, self.split, self.rng_seed = copies, split, rng_seed
        self.kept_even = np.zeros(len(copies), dtype=np.bool_)
        if even:
            for demand in walk.uniforms:
                self.kept_even[walk.atoms.find(demand.labels)] = True
        self.most = max(int(copies.max(initial=1)), 1)
        self.common = self._draw(rng_seed)

    def of(self, consumer: int) -> Any:
        """(roots, copy numbers) -> shares, for one parameter axis."""
        table = self._draw([self.rng_seed, consumer]) if self.split == "per_consumer" else self.common

        def look_up(roots: Ints, numbers: Ints) -> npt.NDArray[np.float64]:
            return np.ones(len(roots)) if table is None else table[roots, numbers]

        return look_up

    def _draw(self, seed: Any) -> npt.NDArray[np.float64] | None:
        if self.most < 2:
            return None
        copies = np.maximum(self.copies, 1)
        number = np.arange(self.most)[None, :]
        live = number < copies[:, None]
        if self.split == "even":
            return np.where(live, 1.0 / copies[:, None], 0.0)
        drawn = np.random.default_rng(seed).uniform(LOW, HIGH, size=live.shape)
        drawn = np.where(live, drawn, 0.0)
        drawn[self.kept_even] = live[self.kept_even]
        shares = drawn / drawn.sum(axis=1, keepdims=True)
        last = number == copies[:, None] - 1
        rest = np.where(last, 0.0, shares).sum(axis=1, keepdims=True)
        return np.where(last, 1.0 - rest, shares)


def _check_uniform(graph: ChannelGraph, copies: Ints, *, approximate: bool) -> None:
    walk = graph.walk
    for demand in walk.uniforms:
        numbers = copies[walk.atoms.find(demand.labels)]
        if (numbers == numbers[0]).all():
            continue
        kept = numbers[numbers > 0]
        if not (kept == kept[0]).all():
            raise GraphError(
                f"{demand.text} (got {sorted(set(kept.tolist()))}). Give all channels of "
                f"{_names(graph, demand.labels)} the same number."
            )
        if not approximate:
            raise GraphError(
                f"{demand.text}: without some of its channels its statistics change, so the narrowed "
                f"network can't equal "
                "the masked one. Allow that with resize(..., approximate=True)."
            )


def _check_groups(walk: PropagationState, second: PropagationState, *, approximate: bool) -> None:
    """Copies stay inside their normalisation group."""
    for old, new in zip(walk.uniforms, second.uniforms, strict=True):
        if old.groups == 1 or (len(old.labels) == len(new.labels) and (old.labels == new.labels).all()):
            continue
        node = walk.program.all_nodes[old.node]
        if len(new.labels) % old.groups:
            raise GraphError(f"{old.text}: {len(new.labels)} channels can't be shared out to its {old.groups} groups.")
        index = positions(node, old.labels, new.labels, second)
        before = index // (len(old.labels) // old.groups)
        after = np.arange(len(index)) // (len(new.labels) // old.groups)
        if not approximate and (before != after).any():
            raise GraphError(f"{old.text}: after this edit channels would change their group.")


def _names(graph: ChannelGraph, labels: Ints) -> str:
    roots = np.unique(graph.walk.atoms.find(labels[labels >= 0]))
    held = [known.name for known in graph.classes.values() if np.isin(known.roots, roots).any()]
    return ", ".join(f"`{name}`" for name in held) or "these classes"


def _explained(graph: ChannelGraph, error: GraphError, changed: Mapping[str, Ints]) -> str:
    sums = ", ".join(f"`{name}` {len(m)} -> {int(m.sum())}" for name, m in changed.items())
    held = _names(graph, error.labels) if isinstance(error, Mismatch) else "these classes"
    return (
        f"{reason_of(error)}: the code there can't follow this edit ({sums}). Give the channels of "
        f"{held} multiplicities "
        "with which its parts keep their channels (equal sums in the parts of a split), or leave them at 1."
    )
