"""What one tensor of the program carries: channel labels on some of its axes, or a view of a parameter.

`Flow` is a value; the functions here change axes and positions and decide nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from linnet.arrays import Ints


@dataclass(frozen=True, slots=True)
class Factor:
    """Labels of one axis, or jointly of several (a split channel axis that isn't decided yet).

    Attributes:
        axes: Axes of the tensor, ascending.
        labels: One label per position; `labels.shape` = sizes of `axes`.
    """

    axes: tuple[int, ...]
    labels: Ints


@dataclass(frozen=True, slots=True)
class Source:
    """Where an axis of a parameter view comes from.

    Attributes:
        axis: Axis of the parameter.
        positions: Positions on it; None = all, in order.
    """

    axis: int
    positions: Ints | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A tensor that is a parameter (or buffer) seen through permutations, slices and expansions.

    Attributes:
        tensor: Its dotted name.
        axes: For each axis of the view its source; None where there is none (size-1 or lost).
        exact: Values are the parameter's times a constant: it may be summed over. False: some function of each element.
    """

    tensor: str
    axes: tuple[Source | None, ...]
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Flow:
    """Labels of a tensor. An axis in no factor is unlabelled, whatever its size.

    Attributes:
        factors: Labels on axes; no axis stands in two factors.
        view: Set when the tensor is a view of a parameter (then there are no factors).
    """

    factors: tuple[Factor, ...] = ()
    view: View | None = None

    def __bool__(self) -> bool:
        return bool(self.factors)

    def on(self, axis: int) -> Factor | None:
        """The factor that labels an axis."""
        return next((factor for factor in self.factors if axis in factor.axes), None)

    def without(self, axes: Sequence[int]) -> Flow:
        """Factors that touch none of the axes."""
        return Flow(tuple(f for f in self.factors if not set(f.axes) & set(axes)))

    def touching(self, axes: Sequence[int]) -> tuple[Factor, ...]:
        """Factors that touch one of the axes."""
        return tuple(f for f in self.factors if set(f.axes) & set(axes))

    def renamed(self, to: Mapping[int, int]) -> Flow:
        """Axes renumbered; a factor with an axis not in `to` is dropped."""
        kept = [rename(f, to) for f in self.factors if all(axis in to for axis in f.axes)]
        return Flow(tuple(kept))

    def all_labels(self) -> Ints:
        """Every label, flat."""
        parts = [factor.labels.ravel() for factor in self.factors]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


NOTHING = Flow()


@dataclass
class AxisLabels:
    """Labels of one axis of a parameter or buffer; -1 where no channel sits.

    Axes with the same channels share one array: it is replaced, never written into.
    """

    labels: Ints
    roles: set[str] = field(default_factory=set)


def rename(factor: Factor, to: Mapping[int, int]) -> Factor:
    """The factor with its axes renumbered and put in ascending order again."""
    axes = [to[axis] for axis in factor.axes]
    order = sorted(range(len(axes)), key=axes.__getitem__)
    return Factor(tuple(axes[i] for i in order), factor.labels.transpose(order))


def take(factor: Factor, axis: int, positions: Ints) -> Factor:
    """The factor with only some positions along one of its axes."""
    return replace(factor, labels=np.take(factor.labels, positions, axis=factor.axes.index(axis)))


def permuted_view(view: View, order: Sequence[int]) -> View:
    """The view with axis i taken from axis order[i]."""
    return replace(view, axes=tuple(view.axes[i] for i in order))


def taken_view(view: View, axis: int, positions: Ints) -> View:
    """The view with only some positions along one axis."""
    source = view.axes[axis]
    if source is None:
        return view
    kept = positions if source.positions is None else source.positions[positions]
    axes = list(view.axes)
    axes[axis] = Source(source.axis, kept)
    return replace(view, axes=tuple(axes))
