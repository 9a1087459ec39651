"""Push channel labels through a recorded program, one rule per operator.

A rule is a function from a `Call` to what its output tensors carry. It reads the inputs' flows, ties labels that must
stay together, consumes or produces labels on axes of parameters, freezes what can't be edited, and returns a `Flow`
(or a tuple of them, or None for unlabelled). Other packages add rules for their own operators:

    from linnet.core import rule

    @rule("mylib::scaled_silu")              # or torch.ops.mylib.scaled_silu
    def scaled_silu(call):
        return call.flow(0)                  # elementwise: labels pass

Anything that touches a label and has no rule is refused with its name; nothing passes in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from linnet.arrays import Ints
from linnet.core.channels.propagation_state import Mismatch, PropagationState, where
from linnet.core.channels.tensor_labels import NOTHING, AxisLabels, Factor, Flow, Source
from linnet.core.program.operators import add_operator, operator_of
from linnet.core.program.program import Node, Ref
from linnet.core.program.window import Window

Outcome = Flow | tuple[Flow, ...] | None
Rule = Callable[["Call"], Outcome]

COMPUTED = "it meets a tensor that is computed, not a parameter"


def rule(*ops: Any) -> Callable[[Rule], Rule]:
    """Register a rule for operators. What else there is to know of them goes to `linnet.core.add_operator`.

    Args:
        ops: Names (`add`, `mylib::f`) or `torch.ops` objects. The in-place form of an operator shares its rule.

    Returns:
        The decorator; it gives the function back.
    """

    def register(function: Rule) -> Rule:
        add_operator(*ops, rule=function)
        return function

    return register


class Call:
    """One operator call, as its rule sees it."""

    def __init__(self, walk: PropagationState, node: Node):
        self.walk, self.node = walk, node
        self.used: set[int] = set()  # tensors whose values this operator takes as those of channels

    def arg(self, position: int, keyword: str = "", default: Any = None) -> Any:
        """An argument as recorded; tensors are `Ref`s."""
        return self.node.argument(position, keyword, default)

    def refs(self) -> list[int]:
        """Value numbers of all tensor arguments."""
        return list(self.node.inputs)

    def value(self, position: int) -> int | None:
        """Value number of a tensor argument; None when the argument is no tensor."""
        given = self.arg(position)
        return given.value if isinstance(given, Ref) else None

    def window(self) -> Window:
        """Geometry of a convolution or a pooling."""
        window = operator_of(self.node).window
        assert window is not None, f"{self.node.op} has no window"
        return window(self.walk.program, self.node)

    def flow(self, position: int) -> Flow:
        """What a tensor argument carries."""
        value = self.value(position)
        return NOTHING if value is None else self.walk.flow(value)

    def shape(self, position: int) -> tuple[int, ...]:
        """Sizes of a tensor argument in the walked network."""
        value = self.value(position)
        return () if value is None else self.walk.shape(value)

    def out_shape(self, output: int = 0) -> tuple[int, ...]:
        """Recorded sizes of an output (in a replay those of the given network)."""
        return self.walk.program.shape(self.node.outputs[output])

    def choose(self, key: Any, decide: Callable[[], Any]) -> Any:
        """A decision taken once, on the given network, and kept for edited ones."""
        key = (self.node.index, key)
        if key not in self.walk.choices:
            self.walk.choices[key] = decide()
        return self.walk.choices[key]

    def tie(self, a: Ints, b: Ints) -> None:
        """The channels at the same positions live and die together."""
        self.walk.same(self.node, a, b)

    def freeze(self, flow: Flow | Ints, why: str) -> None:
        """No channel of a flow (or label array) may change; the reason gets the operator and line."""
        labels = flow.all_labels() if isinstance(flow, Flow) else flow
        self.walk.freeze(labels.ravel(), f"{why} by {where(self.node)}")

    def sized(self) -> None:
        """Sizes among the arguments came from the caller's code: edits need a new recording."""
        if self.walk.first is None:
            self.walk.size_dependent.append(self.node)

    def cut(self, labels: Ints) -> None:
        """These channels are cut into parts by sizes that the caller's code computes."""
        if self.walk.first is None:
            self.walk.cuts.append(labels.ravel())

    def sized_unless_owned(self, layer: str) -> None:
        """`sized`, unless a torch layer of that kind keeps the sizes as attributes, which follow an edit."""
        if self.node.layer != layer:
            self.sized()

    def mismatch(self, message: str, labels: Ints) -> NoReturn:
        """The sizes of an edited program don't fit its channels."""
        raise Mismatch(self.node, message, labels.ravel())

    def refuse_unless_frozen(self, labels: Ints, kind: str) -> None:
        """Freeze the labels at stake, or refuse the operator, as the graph's caller wants."""
        self.walk.refuse_unless_frozen(self.node, labels.ravel(), kind)

    def fixed(self, key: Any, count: int) -> Ints:
        """Labels of channels that no edit can change (constants beside channels)."""
        made = self.walk.made
        name = f"fixed {key}"
        if (self.node.index, name, count) not in made:
            made[self.node.index, name, count] = self.walk.atoms.new(count)
        labels = made[self.node.index, name, count]
        self.freeze(labels, "it is a constant")
        return labels

    def table(self, position: int) -> Ints | None:
        """Elements of an integer tensor argument, where they are known."""
        return self.table_of(self.arg(position))

    def table_of(self, given: Any) -> Ints | None:
        """`table` for a `Ref`."""
        known = self.walk.program.constants.get(given.value) if isinstance(given, Ref) else None
        return None if known is None or known.dtype == np.bool_ else known.astype(np.int64)

    def step(self, labels: Ints, kind: str, numbers: Ints | int = 0) -> Ints:
        """The labels with one more step on their path."""
        return self.walk.paths.extend(labels, kind, numbers)

    def labels(self, position: int, axis: int) -> Ints | None:
        """Labels along one axis of an argument, 1-d; None when it is unlabelled."""
        axis %= max(len(self.shape(position)), 1)
        factor = self.flow(position).on(axis)
        return None if factor is None else self.collapse(factor, axis)

    def collapse(self, factor: Factor, axis: int) -> Ints:
        """Labels along one axis of a joint factor: all that share an index on it are tied."""
        place = factor.axes.index(axis)
        if factor.labels.ndim == 1:
            return factor.labels
        rows = np.moveaxis(factor.labels, place, 0).reshape(factor.labels.shape[place], -1)
        return self.join(rows)

    def join(self, rows: Ints) -> Ints:
        """One label for each row of tied labels; a merged axis taken apart again gives its labels back."""
        if rows.shape[1] == 1:
            return rows[:, 0]
        undone = self.walk.paths.undo(rows, "pos")
        if undone is not None:
            parents, numbers = undone
            if (numbers == np.arange(rows.shape[1])).all() and (parents == parents[:, :1]).all():
                return parents[:, 0]
        self.tie(rows, rows[:, :1])
        return self.step(rows[:, 0], "shuffle")

    def produce(self, position: int, axis: int, labels: Ints | None) -> None:
        """The parameter's values along an axis belong to these channels (scale, shift, depthwise kernel)."""
        self._touch(position, axis, labels, "produce")

    def consume(self, position: int, axis: int, labels: Ints | None) -> None:
        """The parameter is summed over these channels along an axis."""
        self._touch(position, axis, labels, "consume")

    def _touch(self, position: int, axis: int, labels: Ints | None, role: str) -> None:
        value = self.value(position)
        if value is not None and labels is not None:
            self.touch(value, axis, labels, role)
        elif value is not None:
            self.fix(value, axis, "it meets a tensor of fixed size")

    def fix(self, value: int, axis: int, why: str) -> None:
        """A parameter's axis is used at its present size, whatever else it is used for."""
        self.used.add(value)
        view = self.walk.flow(value).view
        source = None if view is None else view.axes[axis % len(view.axes)]
        if view is not None and source is not None:
            self.walk.fix(view.tensor, source.axis, f"{why} by {where(self.node)}")

    def touch(self, value: int, axis: int, labels: Ints, role: str) -> None:
        """`produce` or `consume` for a value number."""
        self.used.add(value)
        view = self.walk.flow(value).view
        source = None if view is None else view.axes[axis % len(view.axes)]
        if view is None or source is None or (role == "consume" and not view.exact):
            self.freeze(labels, COMPUTED)
            self.freeze(self.walk.flow(value), COMPUTED)
            return
        entry = self._entry(view.tensor, source.axis)
        self._role(entry, view.tensor, role)
        self._assign(entry, view.tensor, source, labels)

    def _role(self, entry: AxisLabels, name: str, role: str) -> None:
        entry.roles.add("stat" if role == "produce" and name in self.walk.program.buffers else role)
        if len(entry.roles) > 1:
            self.freeze(entry.labels[entry.labels >= 0], f"`{name}` is both made and summed over on one axis")

    def _assign(self, entry: AxisLabels, name: str, source: Source, labels: Ints) -> None:
        at = slice(None) if source.positions is None else source.positions
        known = entry.labels[at]
        if known.shape != labels.shape:
            raise Mismatch(self.node, f"`{name}` has {known.size} places for {labels.size} channels", labels)
        held = known >= 0
        if source.positions is None:
            entry.labels = np.where(held, known, labels) if held.any() else labels  # shared, so never written into
        else:
            entry.labels = entry.labels.copy()
            entry.labels[at] = np.where(held, known, labels)
        if held.any():
            self.tie(known[held], labels[held])
        frozen = self.walk.frozen.axes.get((name, source.axis), ()) if self.walk.first is None else ()
        for some, reason in frozen:
            held = entry.labels if some is None else entry.labels[some]
            self.walk.freeze(held[held >= 0], reason)  # the axis may be filled part by part
        if (name, source.axis) in self.walk.fixed:
            self.walk.freeze(entry.labels[entry.labels >= 0], self.walk.fixed[name, source.axis])
        if len(entry.roles) > 1:
            self.freeze(entry.labels[entry.labels >= 0], f"`{name}` is both made and summed over on one axis")

    def _entry(self, name: str, axis: int) -> AxisLabels:
        entry = self.walk.axes.get((name, axis))
        if entry is None:
            size = self.walk.shape(self.walk.program.tensors[name])[axis]
            entry = self.walk.axes[name, axis] = AxisLabels(np.full(size, -1, dtype=np.int64))
        return entry

    def fresh(self, position: int, axis: int) -> Ints | None:
        """New channels made by a parameter along an axis; those of its first use when it is used again.

        Returns:
            Labels, or None when the argument is no parameter: then the axis can't be edited and is unlabelled.
        """
        value = self.value(position)
        if value is None:
            return None
        made = self.fresh_of(value, axis)
        if made is None:
            self.freeze(self.walk.flow(value), COMPUTED)
        return made

    def fresh_of(self, value: int, axis: int) -> Ints | None:
        """`fresh` for a value number."""
        self.used.add(value)
        view = self.walk.flow(value).view
        source = None if view is None else view.axes[axis % len(view.axes)]
        if view is None or source is None:
            return None
        entry = self._entry(view.tensor, source.axis)
        self._role(entry, view.tensor, "produce")
        known = entry.labels[slice(None) if source.positions is None else source.positions]
        if (known >= 0).all():
            return known
        key = (self.node.index, view.tensor, source.axis)
        if self.walk.first is None:
            self.walk.made.setdefault(key, self.walk.atoms.new(known.size))
            labels = self.walk.made[key]
        else:
            labels = self.walk.expand(self.walk.made[key])
        self._assign(entry, view.tensor, source, labels)
        return entry.labels[slice(None) if source.positions is None else source.positions]

    def uniform(self, labels: Ints, groups: int = 1) -> None:
        """A normalisation takes these channels together: they need one equal multiplicity."""
        text = f"it needs one equal multiplicity: {where(self.node)} normalises its channels together"
        self.walk.demand(self.node.index, text, labels.ravel(), groups)
