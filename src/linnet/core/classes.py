"""Channel classes: channels with the same set of slots, which an edit treats as one list."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linnet.core.atoms import Ints
from linnet.core.propagate import Pass


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


def signatures(walk: Pass) -> list[tuple[Ints, list[tuple[str, int]]]]:
    """Class roots grouped by (slots, positions in each, frozen state), with the axes they sit on.

    Args:
        walk: Labels of the given network.

    Returns:
        [(roots in order of their first position, keys into `walk.axes`)], in order of execution.
    """
    state = np.zeros(walk.atoms.count, dtype=np.int64)
    table: dict[tuple[int, int, int], int] = {}
    axes: list[list[tuple[str, int]]] = [[]]
    first = np.full(walk.atoms.count, np.iinfo(np.int64).max)
    offset = 0
    for number, (key, entry) in enumerate(walk.axes.items()):
        roots = walk.atoms.find(entry.labels[entry.labels >= 0])
        unique, where_first, counts = np.unique(roots, return_index=True, return_counts=True)
        first[unique] = np.minimum(first[unique], offset + where_first)
        offset += len(roots)
        pairs, inverse = np.unique(state[unique] << 32 | counts, return_inverse=True)
        ids = np.empty(len(pairs), dtype=np.int64)
        for place, pair in enumerate(pairs.tolist()):
            old, count = pair >> 32, pair & 0xFFFFFFFF
            ids[place] = table.setdefault((old, number, count), len(axes))
            if ids[place] == len(axes):
                axes.append([*axes[old], key])
        state[unique] = ids[inverse]
    used = np.flatnonzero(state)
    used = used[np.argsort(first[used], kind="stable")]
    kinds = walk.atoms.frozen_state(used) << 32 | state[used]
    _, places, inverse = np.unique(kinds, return_index=True, return_inverse=True)
    return [(used[inverse == kind], axes[int(state[used[places[kind]]])]) for kind in np.argsort(places)]


def classes(walk: Pass) -> dict[str, ChannelClass]:
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


def _slots(walk: Pass, roots: Ints, keys: list[tuple[str, int]]) -> tuple[Slot, ...]:
    rank = np.full(walk.atoms.count, -1)
    rank[roots] = np.arange(len(roots))
    slots = []
    for name, axis in keys:
        entry = walk.axes[name, axis]
        held = np.flatnonzero(entry.labels >= 0)
        ranks = rank[walk.atoms.find(entry.labels[held])]
        held, ranks = held[ranks >= 0], ranks[ranks >= 0]
        index = held[np.argsort(ranks, kind="stable")].reshape(len(roots), -1)
        role = next(role for role in ("produce", "stat", "consume") if role in entry.roles)
        slots.append(Slot(name, axis, role, index.astype(np.int64)))
    return tuple(slots)


def _uniform(walk: Pass, roots: Ints) -> str | None:
    texts = [u.text for u in walk.uniforms if np.isin(walk.atoms.find(u.labels), roots).any()]
    return "; ".join(dict.fromkeys(texts)) or None
