"""Walk a program and label it: the given network first, then any edit of it along the first walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from linnet.core.atoms import COPY_SHIFT, Atoms, Ints, Paths, copy_number, strip
from linnet.core.flow import NOTHING, AxisLabels, Factor, Flow, Source, View
from linnet.core.labels import RULES, Call, Outcome
from linnet.core.mismatch import Mismatch, where
from linnet.core.program import Node, Program
from linnet.errors import UnsupportedOperator

SIZED = {"view", "_unsafe_view", "reshape", "_reshape_alias", "expand", "as_strided"}
# Functions of torch whose inner views follow from their inputs; views of any other caller hold the user's own numbers.
DERIVED = frozenset(
    [
        "flatten",
        "linear",
        "matmul",
        "bmm",
        "baddbmm",
        "addmm",
        "prelu",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "native_channel_shuffle",
        "einsum",
        "conv1d",
        "conv2d",
        "conv3d",
        "conv_transpose1d",
        "conv_transpose2d",
        "conv_transpose3d",
        "batch_norm",
        "group_norm",
        "layer_norm",
        "adaptive_avg_pool1d",
        "adaptive_avg_pool2d",
        "adaptive_avg_pool3d",
        "max_pool1d",
        "avg_pool1d",
        "adaptive_max_pool1d",
        "interpolate",
        "scaled_dot_product_attention",
        "__matmul__",
        "__rmatmul__",
        "cosine_similarity",
    ]
)


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


class Pass:
    """Labels of the given network (first pass), or of an edited one, laid out along the first.

    Args:
        program: What is walked.
        frozen: The caller's and the doubling test's freezes.
        grows: (node, group of a reshape) -> output axis that grows, as the doubling test found.
        whole: Whether grouped convolutions are edited by whole groups.
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
        first: Pass | None = None,
        copies: Ints | None = None,
        shapes: dict[int, tuple[int, ...]] | None = None,
    ):
        self.program, self.frozen, self.grows, self.whole = program, frozen, grows, whole
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
        self._agreed: dict[tuple[int, int], tuple[Ints, Ints]] = {}  # arrays that passed a check, kept alive

    def run(self) -> Pass:
        """Walk the program.

        Returns:
            self.

        Raises:
            UnsupportedOperator: an operator without a rule touches labels that may be edited.
            Mismatch: an edited network doesn't follow its edit.
        """
        for name, value in self.program.tensors.items():
            axes = tuple(Source(axis) for axis in range(len(self.program.shape(value))))
            self.flows[value] = Flow(view=View(name, axes))
        for name, value in self.program.inputs:
            self.flows[value] = self._input(name, value)
        for node in self.program.nodes:
            if self.first is None and _written_size(node):
                self.size_dependent.append(node)
            self._step(node)
        for name, value in self.program.outputs:
            self.freeze(self.flow(value).all_labels(), f"it is the model's {name}")
        self.atoms.flatten()
        return self

    def _input(self, name: str, value: int) -> Flow:
        shape = self.program.shape(value)
        if len(shape) < 2 or not self.program.values[value].dtype.is_floating_point:
            return NOTHING
        labels = self.made.get((-1, name, 1))
        if labels is None:
            labels = self.made[-1, name, 1] = self.atoms.new(shape[1])
        self.freeze(labels, f"it is the model's {name}")
        return Flow((Factor((1,), labels),))

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

    def _step(self, node: Node) -> None:
        flows = [self.flow(value) for value in node.inputs]
        if not any(flow.factors or flow.view for flow in flows):
            return
        call = Call(self, node)
        inside = self.frozen.covers(node.module)
        if inside:
            for flow in flows:
                self.freeze(flow.all_labels(), f"`{node.module}` is frozen by the caller")
        outcome = self._apply(call, flows)
        outputs = outcome if isinstance(outcome, tuple) else (outcome,)
        self._fix_lost(call, outputs)
        for value, flow in zip(node.outputs, outputs, strict=False):
            if flow is None or value < 0:
                continue
            if inside:
                self.freeze(flow.all_labels(), f"`{node.module}` is frozen by the caller")
            self.flows[value] = flow
            if self.first is not None and flow.factors:
                self._check(node, value, flow)

    def _fix_lost(self, call: Call, outputs: Sequence[Flow | None]) -> None:
        """Parameters whose values go on as those of no channel (a sum of weights, a row of them) keep their sizes."""
        if self.first is not None:
            return
        for value in call.node.inputs:
            view = self.flow(value).view
            if view is None or value in call.used:
                continue
            kept = [flow.view.axes for flow in outputs if flow is not None and flow.view is not None]
            seen = {source.axis for axes in kept for source in axes if source is not None}
            for source in view.axes:
                if source is not None and source.axis not in seen:
                    self.fix(view.tensor, source.axis, f"`{view.tensor}` is read as a whole by {where(call.node)}")

    def fix(self, name: str, axis: int, reason: str) -> None:
        """An axis of a parameter must keep its size: channels on it are frozen, now and when they come."""
        if self.first is None and (name, axis) not in self.fixed:
            self.fixed[name, axis] = reason
            entry = self.axes.get((name, axis))
            if entry is not None:
                self.freeze(entry.labels[entry.labels >= 0], reason)

    def _apply(self, call: Call, flows: Sequence[Flow]) -> Outcome:
        node, function = call.node, RULES.get(call.node.name)
        stake = np.concatenate([flow.all_labels() for flow in flows])
        partial = bool(node.mutates) and any(self._partial(value) for value in node.mutates)
        if partial:
            shared = {self.program.values[value].storage for value in node.mutates}
            others = [f.all_labels() for v, f in self.flows.items() if self.program.values[v].storage in shared]
            stake = np.concatenate([stake, *others])
        if function is not None and not partial:
            return function(call)
        self.refuse_unless_frozen(node, stake, "writes into a part of a tensor" if partial else "has no channel rule")
        return None

    def refuse_unless_frozen(self, node: Node, stake: Ints, kind: str) -> None:
        """Raise unless no label at stake may be edited anyway.

        Raises:
            UnsupportedOperator: with the operator, the channels at stake and the call that freezes them.
        """
        if self.first is None and stake.size and not self.atoms.frozen(stake).all():
            raise UnsupportedOperator(self._refusal(node, kind, stake))

    def _partial(self, value: int) -> bool:
        known = self.program.values[value]
        return int(np.prod(known.shape)) * known.dtype.itemsize < known.storage_bytes

    def _refusal(self, node: Node, kind: str, stake: Ints) -> str:
        free = np.unique(self.atoms.find(stake[~self.atoms.frozen(stake)]))
        heads = [key for key, entry in self.axes.items() if np.isin(self.atoms.find(entry.labels), free).any()]
        made = list(dict.fromkeys(key for key in heads if "produce" in self.axes[key].roles))
        names = ", ".join(f"`{name}` axis {axis}" for name, axis in made[:4]) + (" ..." if len(made) > 4 else "")
        remedy = f"[{node.module!r}]" if node.module else str(made[:8])
        return (
            f"{where(node)} {kind}, and {len(free)} channels made by {names} reach it; they could be neither widened "
            f"nor pruned safely. Freeze them: ChannelGraph(..., frozen={remedy}), or teach the operator: "
            f"@linnet.core.labels.rule({node.name!r})."
        )

    def _check(self, node: Node, value: int, flow: Flow) -> None:
        """Each axis of an edited tensor must hold each old label as often as its multiplicity says."""
        assert self.first is not None
        assert self.copies is not None
        old = self.first.flow(value)
        if [f.axes for f in old.factors] != [f.axes for f in flow.factors]:
            raise Mismatch(node, "the edited program labels other axes", old.all_labels())
        shape = self.shape(value)
        for before, after in zip(old.factors, flow.factors, strict=True):
            if tuple(shape[axis] for axis in after.axes) != after.labels.shape:
                raise Mismatch(node, f"sizes {shape} don't fit its {after.labels.shape} channels", before.labels)
            pair = id(before.labels), id(after.labels)
            if pair not in self._agreed:
                positions(node, before.labels.ravel(), after.labels.ravel(), self)
                self._agreed[pair] = before.labels, after.labels

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


def _written_size(node: Node) -> bool:
    """Whether the user's own code gave sizes to this operator; they may come from channel numbers."""
    if node.name not in SIZED or node.caller in DERIVED:
        return False
    sizes = node.argument(1)
    return isinstance(sizes, (list, tuple)) and any(isinstance(size, int) and size > 1 for size in sizes)


def _counts(times: Ints) -> Ints:
    """0..k-1 for each k, one after another."""
    total = int(times.sum())
    ends = np.cumsum(times)
    return np.arange(total, dtype=np.int64) - np.repeat(ends - times, times)


def positions(node: Node, old: Ints, new: Ints, walk: Pass) -> Ints:
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
        raise Mismatch(node, f"{int(wrong.sum())} channels come to a place where they weren't", np.r_[bare[wrong], old])
    expected = walk.copies[walk.atoms.find(old)]
    counted = np.bincount(index, minlength=len(old))
    if not np.array_equal(counted, expected):
        stake = old[counted != expected]
        raise Mismatch(node, f"{stake.size} channels don't come as often as their multiplicity", stake)
    return index
