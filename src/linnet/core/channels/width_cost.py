"""Cost as a function of how many channels each class has: exact integer polynomials, many widths at once.

`ChannelGraph.cost` answers for one edit and tells where the cost lies; a search asks thousands of times for the totals
alone. Every size in the program is an affine function of the class widths, every cost a sum of products of sizes, so
both are read off once and evaluated as two arrays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from linnet.arrays import Floats, Ints
from linnet.core.channels.graph import ChannelGraph
from linnet.core.channels.propagation_state import PropagationState
from linnet.core.program.operation_cost import macs_of
from linnet.core.program.peak_memory import lifetimes, storage_bytes
from linnet.core.program.program import Program

TOTALS = ("macs", "params", "bytes", "peak_activation_bytes")


class WidthCost:
    """Totals of a network's cost at any class widths.

    Where channels of one class are used unequally outside of weights (a part of them enters a sum, say), the memory
    that they take is counted as if all stayed: `peak_activation_bytes` is then an upper bound.

    Args:
        graph: The network's channel graph.

    Attributes:
        columns: Names of the totals.
        names: Class names, in the order of the widths.
        dense: int64 (classes,): the given network's widths.

    Source:
        ours.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
        >>> law = WidthCost(ChannelGraph(net, torch.zeros(1, 3, 8, 8)))
        >>> law.names, law.totals(np.array([[3, 8, 4], [3, 4, 4]]))[:, 0].tolist()
        (('input', '0', '2'), [12384, 6192])
    """

    columns: tuple[str, ...] = TOTALS

    def __init__(self, graph: ChannelGraph):
        self.names = tuple(graph.classes)
        self.dense = np.array([known.size for known in graph.classes.values()], dtype=np.int64)
        sizes = _Sizes(graph)
        program = graph.program
        sized: Any = sizes  # has the two things of a program that the cost rules read: sizes and values
        storages = storage_bytes(sized)
        born, dies = lifetimes(program)
        self._events = _Events.of(born, dies, len(program.nodes))
        totals = [
            sum((macs_of(sized, node) for node in program.nodes), start=_Sum({})),
            sum((math.prod(sized.shape(v)) for v in program.parameters.values()), start=_Sum({})),
            sum(
                (math.prod(sized.shape(v)) * program.values[v].dtype.itemsize for v in program.tensors.values()),
                start=_Sum({}),
            ),
        ]
        self._products = _Products.of([*totals, *(storages[number] for number in born)])
        self._slope, self._offset = sizes.affine()
        self._shapes = [value.shape for value in sizes.values]
        self._samples = program.samples

    def axes(self, places: Sequence[tuple[int, int]], widths: Ints) -> Ints:
        """Sizes of tensors' axes at many widths.

        Args:
            places: (number of a value of the program, axis).
            widths: int64 (trials, classes).

        Returns:
            int64 (trials, places).
        """
        sizes = np.atleast_2d(widths) @ self._slope.T + self._offset
        found = np.empty((len(sizes), len(places)), dtype=np.int64)
        for column, (value, axis) in enumerate(places):
            size = self._shapes[value][axis]
            found[:, column] = size if isinstance(size, int) else sizes[:, next(iter(size.terms))[0]]
        return found

    def totals(self, widths: Ints) -> Ints:
        """Cost at many widths.

        Args:
            widths: int64 (trials, classes): how many channels each class keeps (or has, where it is widened).

        Returns:
            int64 (trials, 4): MACs, parameters, bytes of weights and peak activation bytes, of one sample.
        """
        sizes = np.atleast_2d(widths) @ self._slope.T + self._offset
        values = self._products.at(sizes)
        found = np.empty((len(values), len(TOTALS)), dtype=np.int64)
        found[:, :3] = values[:, :3]
        found[:, 0] = -(-values[:, 0] // self._samples)
        found[:, 3] = -(-self._events.peak(values[:, 3:]) // self._samples)
        return found

    def real(self, widths: Floats) -> Floats:
        """`totals` at widths that needn't be whole, in float64; the peak is that of the widths rounded.

        Args:
            widths: float64 (trials, classes).
        """
        wide = np.atleast_2d(np.asarray(widths, dtype=np.float64))
        values = self._products.at(wide @ self._slope.T + self._offset)  # type: ignore[arg-type]
        peak = self.totals(np.rint(wide).astype(np.int64))[:, 3:]
        return np.concatenate([values[:, :1] / self._samples, values[:, 1:3], peak], axis=1).astype(np.float64)


class _Sum:
    """A polynomial in the sizes: {sorted numbers of sizes: coefficient}."""

    __slots__ = ("terms",)

    def __init__(self, terms: Mapping[tuple[int, ...], int]):
        self.terms = dict(terms)

    def __mul__(self, other: _Sum | int) -> _Sum:
        made: dict[tuple[int, ...], int] = {}
        for a, x in self.terms.items():
            for b, y in _terms(other).items():
                key = tuple(sorted(a + b))
                made[key] = made.get(key, 0) + x * y
        return _Sum(made)

    def __add__(self, other: _Sum | int) -> _Sum:
        made = dict(self.terms)
        for key, coefficient in _terms(other).items():
            made[key] = made.get(key, 0) + coefficient
        return _Sum(made)

    __rmul__ = __mul__
    __radd__ = __add__


def _terms(value: _Sum | int) -> Mapping[tuple[int, ...], int]:
    return value.terms if isinstance(value, _Sum) else {(): value}


class _Value(NamedTuple):
    """What the cost rules read of a tensor."""

    shape: tuple[_Sum | int, ...]
    storage: int
    dtype: Any


class _Sizes:
    """The program with sizes that are numbers, or names of affine functions of the widths."""

    def __init__(self, graph: ChannelGraph):
        self.graph, self.walk = graph, graph.walk
        self.program: Program = graph.program
        self.known: dict[tuple[tuple[int, int], ...], int] = {}
        self.rank = np.full(self.walk.atoms.count, -1)
        for number, known in enumerate(graph.classes.values()):
            self.rank[known.roots] = number
        axes = self._axes(self.walk)
        self.values = [
            _Value(
                tuple(axes.get((number, axis), size) for axis, size in enumerate(value.shape)),
                value.storage,
                value.dtype,
            )
            for number, value in enumerate(self.program.values)
        ]

    def shape(self, value: int) -> tuple[_Sum | int, ...]:
        """Sizes of a tensor's axes."""
        return self.values[value].shape

    def affine(self) -> tuple[Ints, Ints]:
        """(slope (sizes, classes), offset (sizes,)) of all named sizes."""
        slope = np.zeros((len(self.known), len(self.graph.classes)), dtype=np.int64)
        offset = np.zeros(len(self.known), dtype=np.int64)
        for row, form in enumerate(self.known):
            for number, count in form:
                if number < 0:
                    offset[row] = count
                else:
                    slope[row, number] = count
        return slope, offset

    def _axes(self, walk: PropagationState) -> dict[tuple[int, int], _Sum]:
        found: dict[tuple[int, int], _Sum] = {}
        for (name, axis), entry in walk.axes.items():
            form = self._form(entry.labels)
            if form is not None:
                found[self.program.tensors[name], axis] = form
        for value, axis, labels in walk.parameter_views():
            form = self._form(labels)
            if form is not None:
                found[value, axis] = form
        made: dict[int, _Sum | None] = {}
        for value, flow in walk.flows.items():
            for factor in flow.factors:
                if len(factor.axes) == 1:
                    if id(factor.labels) not in made:
                        made[id(factor.labels)] = self._form(factor.labels)
                    form = made[id(factor.labels)]
                    if form is not None:
                        found[value, factor.axes[0]] = form
        return found

    def _form(self, labels: Ints) -> _Sum | None:
        """The size of an axis as (class, times) pairs; None when no class that may change sits there."""
        held = labels[labels >= 0]
        roots, counts = np.unique(self.walk.atoms.find(held), return_counts=True)
        fixed = len(labels) - len(held)
        form = []
        for number in np.unique(self.rank[roots]):
            known = list(self.graph.classes.values())[number] if number >= 0 else None
            times = counts[self.rank[roots] == number]
            even = known is not None and len(times) == known.size and (times == times[0]).all()
            if known is None or known.frozen is not None or not even:
                fixed += int(times.sum())
            else:
                form.append((int(number), int(times[0])))
        if not form:
            return None
        key = ((-1, fixed), *form) if fixed else tuple(form)
        return _Sum({(self.known.setdefault(key, len(self.known)),): 1})


@dataclass(frozen=True)
class _Products:
    """Sums of products as arrays: term t adds coefficient[t] * prod of sizes[factor[t]] to its sum."""

    coefficient: Ints
    factor: Ints
    starts: Ints

    @classmethod
    def of(cls, sums: Sequence[_Sum | int]) -> _Products:
        rows = [list(_terms(one).items()) or [((), 0)] for one in sums]
        degree = max((len(key) for row in rows for key, _ in row), default=0)
        flat = [(key, value) for row in rows for key, value in row]
        factor = np.full((len(flat), max(degree, 1)), -1, dtype=np.int64)
        for place, (key, _) in enumerate(flat):
            factor[place, : len(key)] = key
        starts = np.cumsum([0, *(len(row) for row in rows[:-1])])
        return cls(np.array([value for _, value in flat], dtype=np.int64), factor, starts.astype(np.int64))

    def at(self, sizes: Ints) -> Ints:
        """(trials, sums) of (trials, sizes)."""
        padded = np.concatenate([sizes, np.ones((len(sizes), 1), dtype=np.int64)], axis=1)  # -1 reads the 1
        terms = padded[:, self.factor].prod(axis=2) * self.coefficient
        return np.add.reduceat(terms, self.starts, axis=1)


@dataclass(frozen=True)
class _Events:
    """When each storage comes and goes, as steps of the program."""

    born: Ints
    gone: Ints
    steps: int

    @classmethod
    def of(cls, born: Mapping[int, int], dies: Mapping[int, int], steps: int) -> _Events:
        ends = [min(dies[storage], steps - 1) + 1 for storage in born]
        return cls(np.array(list(born.values()), dtype=np.int64), np.array(ends, dtype=np.int64), steps)

    def peak(self, storages: Ints) -> Ints:
        """(trials,) most bytes alive of (trials, storages)."""
        if not self.steps:
            return storages.sum(axis=1)
        change = np.zeros((self.steps + 1, len(storages)), dtype=np.int64)
        np.add.at(change, self.born, storages.T)
        np.subtract.at(change, self.gone, storages.T)
        return np.cumsum(change[:-1], axis=0).max(axis=0)
