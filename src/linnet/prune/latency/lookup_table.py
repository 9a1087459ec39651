"""The lookup table: a network's latency at any widths, from the times of its kernels alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from linnet.arrays import Floats, Ints
from linnet.core.channels.width_cost import TOTALS, WidthCost
from linnet.prune.latency.cache import Measured
from linnet.prune.latency.kernel import Use

KNOTS = 6  # of a grid's axis, at most


class Table:
    """Sum of the kernels' times, each bilinear between measured numbers of channels.

    Each grid is made monotone by a running maximum, so a narrower network never seems slower.

    Args:
        law: The network's cost at any widths.
        found: Its kernels.
        least: int64 (classes,): the smallest widths.
        align: Grids lie at multiples of this.
        measured: Where the times come from.
    """

    def __init__(self, law: WidthCost, found: Sequence[Use], least: Ints, *, align: int, measured: Measured):
        self.law, self.places = law, [place for use in found for place in (use.inputs, use.outputs)]
        ends = law.axes(self.places, np.stack([least, law.dense]))
        self._knots = np.empty((2, len(found), KNOTS))
        self._times = np.empty((len(found), KNOTS, KNOTS))
        for row, use in enumerate(found):
            step = math.lcm(align, use.kernel.groups or 1)
            inputs, outputs = (knots(int(low), int(high), step) for low, high in ends[:, 2 * row : 2 * row + 2].T)
            self._knots[:, row] = _padded(inputs), _padded(outputs)
            self._times[row] = _grid(use, inputs, outputs, measured)

    def ns(self, widths: Ints) -> Ints:
        """Predicted nanoseconds of the kernels.

        Args:
            widths: int64 (trials, classes).

        Returns:
            int64 (trials,).
        """
        sizes = self.law.axes(self.places, widths).reshape(len(np.atleast_2d(widths)), -1, 2)
        place, part = zip(*(self._between(self._knots[side], sizes[:, :, side]) for side in (0, 1)), strict=True)
        rows = np.arange(sizes.shape[1])
        corner = [self._times[rows, place[0] + a, place[1] + b] for a in (0, 1) for b in (0, 1)]
        low = corner[0] * (1 - part[1]) + corner[1] * part[1]
        high = corner[2] * (1 - part[1]) + corner[3] * part[1]
        return np.floor((low * (1 - part[0]) + high * part[0]).sum(axis=1)).astype(np.int64)

    @staticmethod
    def _between(own: Floats, sizes: Ints) -> tuple[Ints, Floats]:
        """Which knot lies below, and how far the size is on the way to the next."""
        place = np.clip((own[None] <= sizes[:, :, None]).sum(axis=2) - 1, 0, KNOTS - 2)
        rows = np.arange(len(own))
        low, high = own[rows, place], own[rows, place + 1]
        return place, np.clip((sizes - low) / (high - low), 0.0, 1.0)


class TimedCost:
    """The counted costs of a network at any widths, and the table's nanoseconds as one more.

    Args:
        law: The counted costs.
        table: The times.
    """

    columns: tuple[str, ...] = (*TOTALS, "latency_ns")

    def __init__(self, law: WidthCost, table: Table):
        self.names, self.dense = law.names, law.dense
        self._law, self._table = law, table

    def totals(self, widths: Ints) -> Ints:
        """int64 (trials, 5) of int64 (trials, classes)."""
        return np.column_stack([self._law.totals(widths), self._table.ns(np.atleast_2d(widths))])

    def real(self, widths: Floats) -> Floats:
        """The counted costs at widths that needn't be whole; the latency is that of the widths rounded."""
        whole = np.rint(np.atleast_2d(widths)).astype(np.int64)
        return np.column_stack([self._law.real(widths), self._table.ns(whole)]).astype(np.float64)


def knots(low: int, high: int, step: int) -> list[int]:
    """At most six numbers of channels from low to high, evenly spaced in the logarithm, at multiples of step inside."""
    inner = np.geomspace(max(low, 1), max(high, 1), KNOTS)[1:-1]
    rounded = {step * max(round(number / step), 1) for number in inner}
    return sorted({low, high, *(number for number in rounded if low < number < high)})


def _padded(own: Sequence[int]) -> Floats:
    """Six ascending knots; the added ones lie beyond the largest size."""
    return np.array([*own, *(own[-1] + 1 + n for n in range(KNOTS - len(own)))], dtype=np.float64)


def _grid(use: Use, inputs: Sequence[int], outputs: Sequence[int], measured: Measured) -> Floats:
    times = np.array([[_time(use, i, o, inputs, outputs, measured) for o in outputs] for i in inputs], dtype=np.float64)
    times = np.maximum.accumulate(np.maximum.accumulate(times, axis=0), axis=1)
    return np.pad(times, [(0, KNOTS - times.shape[0]), (0, KNOTS - times.shape[1])], mode="edge")


def _time(use: Use, i: int, o: int, inputs: Sequence[int], outputs: Sequence[int], measured: Measured) -> float:
    """Of one entry; where every channel is a group, outputs follow the inputs."""
    if not use.kernel.groups:
        o = i * outputs[-1] // inputs[-1]
    return measured.kernel_ns(use.kernel, i, o)
