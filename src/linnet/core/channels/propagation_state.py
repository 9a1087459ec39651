"""What a walk over a program knows of its channels: labels, ties, freezes, and how copies are laid out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import nn

from linnet.arrays import Ints
from linnet.core.channels.tensor_labels import NOTHING, AxisLabels, Flow
from linnet.core.channels.union_find import COPY_SHIFT, Atoms, Paths, copy_number, strip
from linnet.core.program.program import Node, Program
from linnet.errors import GraphError, UnsupportedOperator
from linnet.suggest import nearest


@dataclass(frozen=True)
class Uniform:
    """Channels that a normalisation takes together: they need one equal multiplicity.

    Attributes:
        node: Index of the norm's node.
        text: The demand in words.
        labels: The normalised labels, in order.
        groups: Number of equal groups that they are normalised in.
    """

    node: int
    text: str
    labels: Ints
    groups: int


@dataclass(frozen=True)
class Frozen:
    """What may not be edited, with reasons: modules by path, axes of tensors (all positions or some)."""

    modules: tuple[str, ...] = ()
    axes: dict[tuple[str, int], list[tuple[Ints | None, str]]] = field(default_factory=dict)

    def covers(self, path: str) -> bool:
        """Whether a module path lies in a frozen module."""
        return any(path == module or path.startswith(f"{module}.") for module in self.modules)

    @classmethod
    def asked(cls, model: nn.Module, program: Program, asked: Iterable[str | tuple[str, int]]) -> Frozen:
        """What the caller of `ChannelGraph` names.

        Raises:
            GraphError: a name or axis is none of the network's.
        """
        paths = dict(model.named_modules())
        frozen = cls((), {})
        modules: list[str] = []
        for item in asked:
            if isinstance(item, str):
                if item not in paths:
                    raise GraphError(
                        f"`frozen` must name modules or tensors of the network (got {item!r}){nearest(item, paths)}"
                    )
                modules.append(item)
                continue
            name, axis = item
            name = program.aliases.get(name, name)
            if name not in program.tensors:
                raise GraphError(
                    f"`frozen` must name tensors of the network (got {item!r}){nearest(name, program.tensors)}"
                )
            rank = len(program.shape(program.tensors[name]))
            if not -rank <= axis < rank:
                raise GraphError(f"`frozen` must name an axis of `{name}`, from 0 to {rank - 1} (got {item!r}).")
            frozen.axes.setdefault((name, axis % rank), []).append((None, "it is frozen by the caller"))
        return cls(tuple(modules), frozen.axes)


class Mismatch(GraphError):
    """An edited program doesn't carry the labels that the edit promises; `labels` are at stake."""

    def __init__(self, node: Node, message: str, labels: Ints):
        super().__init__(f"{where(node)}: {message}")
        self.node, self.labels = node, labels


class PropagationState:
    """Labels of the given network (first pass), or of an edited one, laid out along the first.

    Args:
        program: What is walked.
        frozen: The caller's and the doubling test's freezes.
        grows: (node, group of a reshape) -> output axis that grows, as the doubling test found.
        whole: Whether grouped convolutions are edited by whole groups.
        norm_groups: Whether GroupNorm layers are.
        refuses: Whether operators without a rule are refused; else they freeze what they touch.
        first: The pass over the given network, when this is one over an edited network.
        copies: With `first`: multiplicity by class root.
        shapes: With `first`, to replay `first.program` instead of walking a new recording: new sizes of tensors.
    """

    def __init__(
        self,
        program: Program,
        *,
        frozen: Frozen,
        grows: dict[tuple[int, int], int],
        whole: bool = False,
        norm_groups: bool = False,
        refuses: bool = False,
        first: PropagationState | None = None,
        copies: Ints | None = None,
        shapes: dict[int, tuple[int, ...]] | None = None,
    ):
        self.program, self.frozen, self.grows, self.whole = program, frozen, grows, whole
        self.norm_groups, self.refuses = norm_groups, refuses
        self.first, self.copies, self.shapes = first, copies, shapes
        self.atoms = first.atoms if first else Atoms()
        self.paths = first.paths if first else Paths()
        self.choices: dict[tuple[Any, ...], Any] = first.choices if first else {}
        self.made: dict[tuple[int, str, int], Ints] = first.made if first else {}
        self.flows: dict[int, Flow] = {}
        self.axes: dict[tuple[str, int], AxisLabels] = {}
        self.size_dependent: list[Node] = []
        self.undecided: list[tuple[Node, int, Ints, tuple[int, ...]]] = []
        self.uniforms: list[Uniform] = []
        self.cuts: list[Ints] = []
        self.fixed: dict[tuple[str, int], str] = {}  # axes of parameters that must keep their size, and why
        self.grouping: tuple[int, list[tuple[Ints, list[tuple[str, int]]]]] | None = None  # of `classes.signatures`
        self.agreed: dict[tuple[int, int], tuple[Ints, Ints]] = {}  # arrays that passed a check, kept alive

    def flow(self, value: int) -> Flow:
        """What a tensor carries."""
        return self.flows.get(value, NOTHING)

    def shape(self, value: int) -> tuple[int, ...]:
        """Sizes of a tensor in the walked network."""
        shape = self.program.shape(value)
        if self.shapes is None:
            return shape
        if value in self.shapes:
            return self.shapes[value]
        sizes = list(shape)
        for factor in self.flow(value).factors:
            for axis, size in zip(factor.axes, factor.labels.shape, strict=True):
                sizes[axis] = size
        return tuple(sizes)

    def parameter_views(self) -> Iterator[tuple[int, int, Ints]]:
        """(value number, axis, labels) of tensors that show a parameter's axis, such as a weight that is computed."""
        for value, flow in self.flows.items():
            if flow.view is None or value in self.program.names:
                continue
            for axis, source in enumerate(flow.view.axes):
                entry = None if source is None else self.axes.get((flow.view.tensor, source.axis))
                if entry is not None and source is not None:
                    yield value, axis, entry.labels if source.positions is None else entry.labels[source.positions]

    def fix(self, name: str, axis: int, reason: str) -> None:
        """An axis of a parameter must keep its size: channels on it are frozen, now and when they come."""
        if self.first is None and (name, axis) not in self.fixed:
            self.fixed[name, axis] = reason
            entry = self.axes.get((name, axis))
            if entry is not None:
                self.freeze(entry.labels[entry.labels >= 0], reason)

    def refuse_unless_frozen(self, node: Node, stake: Ints, kind: str) -> None:
        """Freeze the labels at stake, or raise unless none of them may be edited anyway.

        Raises:
            UnsupportedOperator: with the operator, the channels at stake and the call that freezes them.
        """
        if self.first is None and stake.size and not self.atoms.frozen(stake).all():
            if self.refuses:
                raise UnsupportedOperator(self._refusal(node, kind, stake))
            self.freeze(stake, f"it reaches {where(node)}, which {kind}")

    def _refusal(self, node: Node, kind: str, stake: Ints) -> str:
        free = np.unique(self.atoms.find(stake[~self.atoms.frozen(stake)]))
        heads = [key for key, entry in self.axes.items() if np.isin(self.atoms.find(entry.labels), free).any()]
        made = list(dict.fromkeys(key for key in heads if "produce" in self.axes[key].roles))
        names = ", ".join(f"`{name}` axis {axis}" for name, axis in made[:4]) + (" ..." if len(made) > 4 else "")
        remedy = f"[{node.module!r}]" if node.module else str(made[:8])
        return (
            f"{where(node)} {kind}, and {len(free)} channels made by {names} reach it; they could be neither widened "
            f"nor pruned safely. Freeze them: ChannelGraph(..., frozen={remedy}), or teach the operator: "
            f"@linnet.core.rule({node.name!r})."
        )

    def same(self, node: Node, a: Ints, b: Ints) -> None:
        """Tie two label arrays (first pass), or check that they agree in class and copy (edited network)."""
        if self.first is None:
            self.atoms.tie(a, b)
            return
        try:
            a, b = np.broadcast_arrays(a, b)
        except ValueError:
            raise Mismatch(
                node, f"meets {a.shape} with {b.shape} channels", np.concatenate([a.ravel(), b.ravel()])
            ) from None
        differ = (self.atoms.find(a) != self.atoms.find(b)) | (copy_number(a) != copy_number(b))
        if differ.any():
            stake = np.concatenate([a[differ], b[differ]])
            raise Mismatch(node, f"{int(differ.sum())} of {differ.size} channels meet others than before", stake)

    def demand(self, node: int, text: str, labels: Ints, groups: int) -> None:
        """Note that a normalisation needs one equal multiplicity."""
        self.uniforms.append(Uniform(node, text, labels, groups))

    def freeze(self, labels: Ints, reason: str) -> None:
        """No channel of these labels may change."""
        if self.first is None and labels.size:
            self.atoms.freeze(labels, reason)

    def expand(self, labels: Ints) -> Ints:
        """Labels of one made axis with copies in block order: each run of one class is written k times."""
        assert self.copies is not None
        roots = self.atoms.find(labels)
        starts = np.flatnonzero(np.r_[True, roots[1:] != roots[:-1]])
        lengths = np.diff(np.r_[starts, len(labels)])
        times = self.copies[roots[starts]]
        if (lengths == 1).all():
            index, number = np.repeat(np.arange(len(labels)), times), _counts(times)
        else:
            parts = [np.tile(np.arange(s, s + n), k) for s, n, k in zip(starts, lengths, times, strict=True)]
            index = np.concatenate(parts)
            counts = [np.repeat(np.arange(k), n) for n, k in zip(lengths, times, strict=True)]
            number = np.concatenate(counts)
        return labels[index] | (number.astype(np.int64) << COPY_SHIFT)


def where(node: Node) -> str:
    """Module path, operator and source line of a node, in words."""
    line = f" at {node.source}" if node.source else ""
    return f"`{node.module or '(model)'}` ({node.name}{line})"


def positions(node: Node, old: Ints, new: Ints, walk: PropagationState) -> Ints:
    """Position in `old` of each label of `new`, copies taken off.

    Raises:
        Mismatch: a label isn't there, or not as often as its class' multiplicity.
    """
    assert walk.copies is not None
    order = np.argsort(old, kind="stable")
    bare = strip(new)
    place = np.minimum(np.searchsorted(old[order], bare), len(old) - 1)
    index = order[place]
    wrong = old[index] != bare
    if wrong.any():
        raise Mismatch(
            node, f"{int(wrong.sum())} channels arrive where they didn't before the edit", np.r_[bare[wrong], old]
        )
    expected = walk.copies[walk.atoms.find(old)]
    counted = np.bincount(index, minlength=len(old))
    if not np.array_equal(counted, expected):
        stake = old[counted != expected]
        raise Mismatch(node, f"{stake.size} channels don't come as often as their multiplicity", stake)
    return index


def _counts(times: Ints) -> Ints:
    """0..k-1 for each k, one after another."""
    total = int(times.sum())
    ends = np.cumsum(times)
    return np.arange(total, dtype=np.int64) - np.repeat(ends - times, times)
