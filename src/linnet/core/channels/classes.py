"""Channel classes: channels with the same set of slots, which an edit treats as one list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from linnet.arrays import Ints
from linnet.core.channels.propagation_state import PropagationState


@dataclass(frozen=True)
class Slot:
    """Where the channels of a class sit on one axis of one tensor.

    Attributes:
        tensor: Dotted name of a parameter or buffer.
        axis: Its axis.
        role: "produce" (values are copied), "consume" (values are shared out between copies) or "stat" (a buffer,
            copied).
        index: int64 (size, m): channel i sits at the m positions `index[i]`.
    """

    tensor: str
    axis: int
    role: str
    index: Ints


@dataclass(frozen=True)
class ChannelClass:
    """Channels that are edited as one list.

    Attributes:
        name: Path of the module that makes them first, then `#2`, `#3` if it heads several classes.
        size: Number of channels.
        frozen: None, or why no channel of the class may change.
        slots: Every place where they sit.
        uniform: None, or the normalisation that demands one equal multiplicity.
        roots: int64 (size,): their numbers in the graph's union-find.
    """

    name: str
    size: int
    frozen: str | None
    slots: tuple[Slot, ...]
    uniform: str | None
    roots: Ints


def signatures(walk: PropagationState) -> list[tuple[Ints, list[tuple[str, int]]]]:
    """Class roots grouped by (slots, positions in each, frozen state), with the axes they sit on.

    Args:
        walk: Labels of the given network.

    Returns:
        [(roots in order of their first position, keys into `walk.axes`)], in order of execution.
    """
    if walk.grouping is None or walk.grouping[0] != walk.atoms.version:
        walk.grouping = walk.atoms.version, _signatures(walk)
    return walk.grouping[1]


def _signatures(walk: PropagationState) -> list[tuple[Ints, list[tuple[str, int]]]]:
    state = np.zeros(walk.atoms.count, dtype=np.int64)
    table: dict[tuple[int, int, int], int] = {}
    sets: list[tuple[int, ...]] = [()]
    first = np.full(walk.atoms.count, np.iinfo(np.int64).max)
    alike: dict[int, list[int]] = {}  # axes that share one array of labels
    keys = list(walk.axes)
    for place, entry in enumerate(walk.axes.values()):
        alike.setdefault(id(entry.labels), []).append(place)
    offset = 0
    for number, places in enumerate(alike.values()):
        labels = walk.axes[keys[places[0]]].labels
        roots = walk.atoms.find(labels[labels >= 0])
        unique, where_first, counts = _distinct(roots)
        first[unique] = np.minimum(first[unique], offset + where_first)
        offset += len(roots)
        pairs, inverse = np.unique(state[unique] << 32 | counts, return_inverse=True)
        ids = np.empty(len(pairs), dtype=np.int64)
        for place, pair in enumerate(pairs.tolist()):
            old, count = pair >> 32, pair & 0xFFFFFFFF
            ids[place] = table.setdefault((old, number, count), len(sets))
            if ids[place] == len(sets):
                sets.append((*sets[old], *places))
        state[unique] = ids[inverse]
    used = np.flatnonzero(state)
    used = used[np.argsort(first[used], kind="stable")]
    kinds = walk.atoms.frozen_state(used) << 32 | state[used]
    _, places, inverse = np.unique(kinds, return_index=True, return_inverse=True)
    order = np.argsort(places)
    return [
        (used[inverse == kind], [keys[place] for place in sorted(sets[int(state[used[places[kind]]])])])
        for kind in order
    ]


def _distinct(roots: Ints) -> tuple[Ints, Ints, Ints]:
    """Different roots, where each comes first, and how often it comes."""
    if len(roots) < 2 or (np.diff(roots) > 0).all():  # most axes: one channel after the other
        return roots, np.arange(len(roots)), np.ones(len(roots), dtype=np.int64)
    return np.unique(roots, return_index=True, return_counts=True)


def channel_classes(walk: PropagationState) -> dict[str, ChannelClass]:
    """All channel classes of a labelled network, by name, in order of execution."""
    found: dict[str, ChannelClass] = {}
    entering = {int(a) for key, made in walk.made.items() if key[0] == -1 for a in walk.atoms.find(made)}
    for roots, keys in signatures(walk):
        slots = _slots(walk, roots, keys)
        made = next((slot for slot in slots if slot.role in ("produce", "stat")), None)
        if int(roots[0]) in entering:
            name = "input"
        elif made is None:
            name = "constant"
        else:
            name = made.tensor.rpartition(".")[0] or made.tensor
        number = 1
        unique = name
        while unique in found:
            number += 1
            unique = f"{name}#{number}"
        reason = walk.atoms.reason(int(roots[0]))
        found[unique] = ChannelClass(unique, len(roots), reason, slots, _uniform(walk, roots), roots)
    return found


def cut_groups(walk: PropagationState, known: Mapping[str, ChannelClass]) -> list[tuple[str, ...]]:
    """Class names grouped by the cuts of the network's code.

    Args:
        walk: Labels of the given network.
        known: Its channel classes.

    Returns:
        Groups in order of execution; each class is in one, most of them alone.
    """
    owner = np.full(walk.atoms.count, -1)
    for number, one in enumerate(known.values()):
        owner[one.roots] = number
    group = list(range(len(known)))
    for labels in walk.cuts:
        met = sorted({group[place] for place in np.unique(owner[walk.atoms.find(labels)]) if place >= 0})
        group = [met[0] if one in met else one for one in group]
    gathered: dict[int, list[str]] = {}
    for name, one in zip(known, group, strict=True):
        gathered.setdefault(one, []).append(name)
    return [tuple(names) for names in gathered.values()]


def _slots(walk: PropagationState, roots: Ints, keys: list[tuple[str, int]]) -> tuple[Slot, ...]:
    rank = np.full(walk.atoms.count, -1)
    rank[roots] = np.arange(len(roots))
    slots: list[Slot] = []
    known: dict[int, Ints] = {}  # axes that share one array of labels have one index
    for name, axis in keys:
        entry = walk.axes[name, axis]
        index = known.get(id(entry.labels))
        if index is None:
            index = known[id(entry.labels)] = _index(walk, entry.labels, rank, len(roots))
        role = next(role for role in ("produce", "stat", "consume") if role in entry.roles)
        slots.append(Slot(name, axis, role, index))
    return tuple(slots)


def _index(walk: PropagationState, labels: Ints, rank: Ints, size: int) -> Ints:
    """Positions of each channel of a class on an axis, (size, m)."""
    held = np.flatnonzero(labels >= 0)
    ranks = rank[walk.atoms.find(labels[held])]
    held, ranks = held[ranks >= 0], ranks[ranks >= 0]
    return held[np.argsort(ranks, kind="stable")].reshape(size, -1).astype(np.int64)


def _uniform(walk: PropagationState, roots: Ints) -> str | None:
    texts = [u.text for u in walk.uniforms if np.isin(walk.atoms.find(u.labels), roots).any()]
    return "; ".join(dict.fromkeys(texts)) or None
