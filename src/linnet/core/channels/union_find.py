"""Channel labels as integers, and which of them must live and die together.

A label is packed into one int64: path | copy | atom. The atom is a channel where it was made (a row of a weight);
the copy number tells the k copies of a widened channel apart; the path tells what happened to it on the way: `cat
1` (second part of a concatenation), `pos 7` (position inside a merged axis), `mul 1` (second output of a depthwise
channel), `shuffle` (stands for a run of tied channels). So labels of one axis are distinct, and comparing arrays
compares channels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linnet.arrays import Ints
from linnet.errors import GraphError

ATOM_BITS, COPY_BITS, PATH_BITS = 28, 12, 22
COPY_SHIFT, PATH_SHIFT = ATOM_BITS, ATOM_BITS + COPY_BITS
ATOM_MASK = (1 << ATOM_BITS) - 1
COPY_MASK = ((1 << COPY_BITS) - 1) << COPY_SHIFT
FREE = np.iinfo(np.int64).max


def atom(labels: Ints) -> Ints:
    """The atoms of labels."""
    return labels & ATOM_MASK


def copy_number(labels: Ints) -> Ints:
    """Which copy of its channel each label is; 0 in the given network."""
    return (labels & COPY_MASK) >> COPY_SHIFT


def strip(labels: Ints) -> Ints:
    """The labels without copy numbers: what they were in the given network."""
    return labels & ~np.int64(COPY_MASK)


class Paths:
    """The paths seen so far; each is its parent path plus one step."""

    def __init__(self) -> None:
        self._ids: dict[tuple[int, str, int], int] = {}
        self._steps: list[tuple[int, str, int]] = [(0, "", 0)]

    def extend(self, labels: Ints, kind: str, numbers: Ints | int = 0) -> Ints:
        """The labels with one more step on their path.

        Args:
            labels: Any shape.
            kind: The step's word.
            numbers: Its number for each label, broadcast against `labels`.

        Returns:
            Labels of the broadcast shape.
        """
        labels, numbers = np.broadcast_arrays(labels, np.asarray(numbers, dtype=np.int64))
        if labels.size == 0:
            return labels
        keys = (labels >> PATH_SHIFT << 32) | numbers
        unique, inverse = np.unique(keys, return_inverse=True)
        ids = np.array([self._id(int(k) >> 32, kind, int(k) & 0xFFFFFFFF) for k in unique], dtype=np.int64)
        low = labels & ((1 << PATH_SHIFT) - 1)
        return low | (ids[inverse].reshape(labels.shape) << PATH_SHIFT)

    def _id(self, parent: int, kind: str, number: int) -> int:
        known = self._ids.get((parent, kind, number))
        if known is None:
            known = len(self._steps)
            if known >= 1 << PATH_BITS:
                raise GraphError(
                    f"The graph has more than {1 << PATH_BITS} label paths. Give it a smaller example image."
                )
            self._ids[parent, kind, number] = known
            self._steps.append((parent, kind, number))
        return known

    def undo(self, labels: Ints, kind: str) -> tuple[Ints, Ints] | None:
        """Parents and numbers of labels whose last step is `kind`; None if one ends otherwise."""
        unique, inverse = np.unique(labels >> PATH_SHIFT, return_inverse=True)
        steps = [self._steps[int(path)] for path in unique]
        if any(step[1] != kind for step in steps):
            return None
        parents = np.array([step[0] for step in steps], dtype=np.int64)[inverse].reshape(labels.shape)
        numbers = np.array([step[2] for step in steps], dtype=np.int64)[inverse].reshape(labels.shape)
        return (labels & ((1 << PATH_SHIFT) - 1)) | (parents << PATH_SHIFT), numbers


class Atoms:
    """Union-find over channels, on arrays; a class is frozen by the earliest reason among its members."""

    def __init__(self) -> None:
        self._parent: Ints = np.arange(1024, dtype=np.int64)
        self._reason: Ints = np.full(1024, FREE)
        self.count = 0
        self.reasons: list[str] = []
        self.version = 0  # grows with every tie and freeze
        self._flat = False

    def new(self, count: int) -> Ints:
        """Fresh atoms, each its own class."""
        first, self.count = self.count, self.count + count  # a new atom is its own class: still flat
        if self.count > ATOM_MASK:
            raise GraphError(
                f"The graph has more than {ATOM_MASK} channels. Freeze the widest layers: ChannelGraph(..., "
                "frozen=[...])."
            )
        while self.count > len(self._parent):
            size = len(self._parent)
            self._parent = np.concatenate([self._parent, np.arange(size, 2 * size, dtype=np.int64)])
            self._reason = np.concatenate([self._reason, np.full(size, FREE)])
        return np.arange(first, self.count, dtype=np.int64)

    def find(self, labels: Ints) -> Ints:
        """The class (its smallest atom) of each label or atom."""
        atoms = labels & ATOM_MASK
        root = self._parent[atoms]
        while not self._flat:
            above = self._parent[root]
            if (above == root).all():
                self._parent[atoms] = root
                break
            root = above
        return root

    def flatten(self) -> None:
        """Point every atom at its class, so that `find` is one look-up until the next tie."""
        self._flat = False
        self.find(np.arange(self.count))
        self._flat = True

    def tie(self, a: Ints, b: Ints) -> None:
        """Make the classes of `a` and `b` one, position by position (broadcast)."""
        a, b = np.broadcast_arrays(a, b)
        while True:
            ra, rb = self.find(a), self.find(b)
            differ = ra != rb
            if not differ.any():
                return
            self._flat = False
            self.version += 1
            low, high = np.minimum(ra, rb)[differ], np.maximum(ra, rb)[differ]
            np.minimum.at(self._parent, high, low)
            np.minimum.at(self._reason, low, self._reason[high])

    def freeze(self, labels: Ints, reason: str) -> None:
        """No channel of these labels' classes may change; an earlier reason stays."""
        roots = np.unique(self.find(labels))
        free = roots[self._reason[roots] == FREE]
        if free.size:
            self.version += 1
            if reason not in self.reasons:
                self.reasons.append(reason)
            self._reason[free] = self.reasons.index(reason)

    def frozen(self, labels: Ints) -> npt.NDArray[np.bool_]:
        """Whether each label's class is frozen."""
        return self._reason[self.find(labels)] != FREE

    def frozen_state(self, roots: Ints) -> Ints:
        """A number for each class' reason, 0 when it is free."""
        numbers = self._reason[roots]
        return np.where(numbers == FREE, 0, numbers + 1)

    def reason(self, root: int) -> str | None:
        """Why a class is frozen; None when it is free."""
        number = int(self._reason[root])
        return None if number == FREE else self.reasons[number]
