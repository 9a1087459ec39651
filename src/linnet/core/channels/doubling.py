"""Ask the program: double every free channel, and see which sizes follow and which lines refuse.

A split of a channel axis ((C) -> (2, C/2)) doesn't tell which of its axes grows with C; sizes written into the code
can't follow at all. So the weightless model is recorded once more with every free class doubled. Sizes that changed
decide the splits; classes whose doubling fails are frozen, with the failing line as the reason.
"""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from linnet.arrays import Ints
from linnet.core.channels.classes import signatures
from linnet.core.channels.propagation import propagate
from linnet.core.channels.propagation_state import Frozen, Mismatch, PropagationState, where
from linnet.core.channels.replay import Tracer, follow, needs_recording, ones, record_again
from linnet.core.program.operators import operator_of
from linnet.core.program.program import Node, Program
from linnet.core.program.recorder import TORCH
from linnet.errors import GraphError

ONE_BY_ONE = 3  # operators that fail are frozen one by one so often, then line by line: each try is a recording
SEARCH_S = 2.0  # for the classes that can't be doubled, where the failing operator has none
Outcome = tuple[Ints, Exception]


def label(
    program: Program,
    model: nn.Module,
    example: Any,
    *,
    frozen: Frozen,
    whole: bool,
    norm_groups: bool = False,
    refuses: bool = False,
    again: Tracer | None = None,
) -> PropagationState:
    """Labels of a network in which every class that isn't frozen can really be doubled.

    Args:
        program: The recording of `model` on `example`.
        model: The unwrapped module.
        example: The example.
        frozen: What the caller froze.
        whole: Whether grouped convolutions are edited by whole groups.
        norm_groups: Whether GroupNorm layers are.
        refuses: Whether operators without a rule are refused; else they freeze what they touch.
        again: The tracer for the doubled network.

    Returns:
        The pass over the given network.

    Raises:
        UnsupportedOperator: an operator without a rule touches channels.
    """
    grows: dict[tuple[int, int], int] = {}
    lines: set[str] = set()
    tries = 0
    while True:
        walk = propagate(
            PropagationState(program, frozen=frozen, grows=grows, whole=whole, norm_groups=norm_groups, refuses=refuses)
        )
        spread_freezes(walk)
        tries += 1
        trial = _Trial(walk, model, example, again, whole_lines=tries > ONE_BY_ONE)
        failed = trial.culprits()
        if failed:
            if trial.searched:  # a line that fails again fails in the next block too: freeze all blocks alike
                known = [failing_line(error.__cause__ or error) in lines for _, error in failed]
                lines |= {failing_line(error.__cause__ or error) for _, error in failed}
                failed = [(_alike_blocks(walk, r) if k else r, e) for k, (r, e) in zip(known, failed, strict=True)]
            frozen = _freeze(walk, frozen, failed)
            continue
        pending = [split for split in walk.undecided if not walk.atoms.frozen(split[2]).all()]
        if not pending:
            return walk
        assert trial.program is not None
        for node, number, labels, outside in pending:
            before, after = program.shape(node.outputs[0]), trial.program.shape(node.outputs[0])
            grown = [axis for axis in outside if before[axis] != after[axis]]
            if len(grown) == 1:
                grows[node.index, number] = grown[0]
            else:
                reason = GraphError(f"no single axis grows with it in {where(node)}")
                frozen = _freeze(walk, frozen, [(np.unique(walk.atoms.find(labels)), reason)])


def spread_freezes(walk: PropagationState) -> None:
    """Whatever axis of a split grows, it ties channels across the others: a frozen one freezes the split."""
    changed = True
    while changed:
        changed = False
        for _, _, labels, _ in walk.undecided:
            frozen = walk.atoms.frozen(labels)
            if frozen.any() and not frozen.all():
                root = int(walk.atoms.find(labels[frozen][:1])[0])
                walk.atoms.freeze(labels, walk.atoms.reason(root) or "")
                changed = True


def follows_surely(walk: PropagationState) -> bool:
    """Whether every edit is known to be followed, so that the doubling test can be left out.

    That is so when no made axis holds a class twice (each channel's copies then come one after the other on every
    axis, so axes that agree now agree afterwards) and every operator treats all channels alike.
    """
    if walk.undecided or walk.cuts or walk.size_dependent:
        return False
    for made in walk.made.values():
        roots = np.sort(walk.atoms.find(made))
        alone = len(roots) < 2 and not walk.atoms.frozen(roots).all()  # one channel may be taken for none
        if alone or (roots[1:] == roots[:-1]).any():
            return False
    return all(_alike(walk, node) for node in walk.program.all_nodes)


def _alike(walk: PropagationState, node: Node) -> bool:
    flows = [walk.flow(value) for value in node.inputs]
    labelled = [flow for flow in flows if flow.factors]
    known = operator_of(node)
    if not labelled or known.alike:
        return True
    if any(len(factor.axes) > 1 for flow in labelled for factor in flow.factors):
        return False
    if known.window is not None and known.factor is not None:
        return known.window(walk.program, node).groups in (1, walk.program.shape(node.inputs[0])[1])
    if node.name in ("add", "mul", "cat"):
        axes = {tuple(factor.axes for factor in flow.factors) for flow in flows}
        joined = node.argument(1, "dim", 0) == 1 or node.name != "cat"
        return len(axes) == 1 and axes == {((1,),)} and joined
    return node.name in ("view", "reshape", "_reshape_alias") and node.caller == "flatten"


class _Trial:
    """One doubling test; keeps the recording with everything doubled."""

    def __init__(
        self, walk: PropagationState, model: nn.Module, example: Any, again: Tracer | None, *, whole_lines: bool
    ):
        self.walk, self.model, self.example, self.again = walk, model, example, again
        self.program: Program | None = None
        self.decided = all(walk.atoms.frozen(labels).all() for _, _, labels, _ in walk.undecided)
        self.record = needs_recording(walk)
        self.end, self.whole_lines, self.searched = 0.0, whole_lines, False

    def culprits(self) -> list[Outcome]:
        """Class roots that can't be doubled, with what went wrong."""
        if not self.record and follows_surely(self.walk):
            return []
        units = self._units()
        if not units:
            return []
        error = self._failure(np.concatenate(units))
        if error is None:
            return []
        stake = self._stake(error)
        if stake.size:
            return [(stake, error)]
        entering = self._entering(error)
        if entering.size:
            return [(entering, error)]
        self.end, self.searched = time.monotonic() + SEARCH_S, True
        return self._search(units, error)

    def _stake(self, error: Exception) -> Ints:
        """Free class roots at the operator where the doubled network failed; after some tries at all of its line."""
        walk, cause = self.walk, error.__cause__ or error
        labels = [error.labels] if isinstance(error, Mismatch) else []
        place = error.node.index if isinstance(error, Mismatch) else getattr(cause, "recorded_nodes", None)
        nodes = walk.program.all_nodes
        if place is not None and place < len(nodes):
            at = nodes[place]
            alike = [at, *(n for n in nodes if self.whole_lines and (n.op, n.source) == (at.op, at.source))]
            labels += [walk.flow(value).all_labels() for node in alike for value in node.inputs]
        held = np.concatenate([np.zeros(0, dtype=np.int64), *labels])
        roots = np.unique(walk.atoms.find(held[held >= 0])) if held.size else held
        return roots[~walk.atoms.frozen(roots)] if roots.size else roots

    def _entering(self, error: Exception) -> Ints:
        """Free class roots that enter the module whose line fails, if their doubling alone makes it fail.

        A line such as `x.reshape(B, N, C)` fails for the sake of another tensor, whose size the module reads first.
        The channels that enter other modules by the same line are taken along.
        """
        nodes, line = self.walk.program.all_nodes, failing_line(error.__cause__ or error)
        place = getattr(error.__cause__ or error, "recorded_nodes", None)
        if place is None or place >= len(nodes) or not nodes[place].module or not nodes[place].source:
            return np.zeros(0, dtype=np.int64)
        own = self._first_read(place)
        again = self._failure(own) if own.size else None
        if again is None or failing_line(again.__cause__ or again) != line:
            return np.zeros(0, dtype=np.int64)
        at = nodes[place]
        alike = [node.index for node in nodes if (node.op, node.source) == (at.op, at.source)]
        return np.unique(np.concatenate([own, *(self._first_read(index) for index in alike)]))

    def _first_read(self, place: int) -> Ints:
        """Free class roots of the first labelled tensor that the module of a node reads, up to that node."""
        walk, nodes = self.walk, self.walk.program.all_nodes
        module, found = nodes[place].module, np.zeros(0, dtype=np.int64)
        while place >= 0 and f"{nodes[place].module}.".startswith(f"{module}."):
            for value in nodes[place].inputs:
                held = walk.flow(value).all_labels()
                roots = np.unique(walk.atoms.find(held[held >= 0])) if held.size else held
                free = roots[~walk.atoms.frozen(roots)] if roots.size else roots
                found = free if free.size else found
            place -= 1
        return found

    def _units(self) -> list[Ints]:
        """Free classes; those that one cut of the user's code takes apart are tested together."""
        walk = self.walk
        groups = [roots for roots, _ in signatures(walk) if not walk.atoms.frozen(roots[:1])[0]]
        number = np.full(walk.atoms.count, -1)
        for place, roots in enumerate(groups):
            number[roots] = place
        joined = list(range(len(groups)))

        def find(place: int) -> int:
            while joined[place] != place:
                place = joined[place]
            return place

        for labels in walk.cuts:
            met = [find(int(n)) for n in np.unique(number[walk.atoms.find(labels)]) if n >= 0]
            for other in met[1:]:
                joined[find(other)] = find(met[0])
        units: dict[int, list[Ints]] = {}
        for place, roots in enumerate(groups):
            units.setdefault(find(place), []).append(roots)
        return [np.concatenate(parts) for parts in units.values()]

    def _search(self, units: list[Ints], error: Exception | None = None) -> list[Outcome]:
        error = error or self._failure(np.concatenate(units))
        if error is None:
            return []
        if len(units) == 1 or time.monotonic() > self.end:
            return [(units[0], error)]
        half = len(units) // 2  # the first one found is enough: its like in other blocks follow by their names
        return self._search(units[:half]) or self._search(units[half:]) or [(np.concatenate(units), error)]

    def _failure(self, roots: Ints) -> Exception | None:
        copies = ones(self.walk)
        copies[roots] = 2
        try:
            program = None
            if self.record:
                program = record_again(self.walk, copies, self.model, self.example, self.again)
            if self.program is None:
                self.program = program
            if self.decided:
                follow(self.walk, copies, program)
        except Exception as error:  # the user's forward may raise anything
            return error
        return None


def _alike_blocks(walk: PropagationState, roots: Ints) -> Ints:
    """Free class roots that sit on the same tensors as given ones, but for the numbers in their names."""
    kinds = [(own, {(re.sub(r"\d+", "#", name), axis) for name, axis in keys}) for own, keys in signatures(walk)]
    wanted = [kind for own, kind in kinds if np.isin(own, roots).any()]
    alike = np.concatenate([roots, *(own for own, kind in kinds if kind in wanted)])
    return np.unique(alike[~walk.atoms.frozen(alike)])


def _freeze(walk: PropagationState, frozen: Frozen, failed: list[Outcome]) -> Frozen:
    axes = {key: list(entries) for key, entries in frozen.axes.items()}
    for roots, error in failed:
        reason = f"it can't be doubled: {reason_of(error)}"
        for key, entry in walk.axes.items():
            held = np.isin(walk.atoms.find(np.maximum(entry.labels, 0)), roots) & (entry.labels >= 0)
            if held.any():
                axes.setdefault(key, []).append((np.flatnonzero(held), reason))
    return Frozen(frozen.modules, axes)


def reason_of(error: Exception) -> str:
    """What went wrong at other sizes, with the line of the user's code."""
    if isinstance(error, Mismatch):
        return str(error)
    cause = error.__cause__ or error
    words = (str(cause).strip() or type(cause).__name__).splitlines()[0].rstrip(".")
    line = failing_line(cause)
    return f"{words}, at {line}" if line else words


def failing_line(error: BaseException) -> str:
    """ "file.py:12: the line" of the innermost frame outside torch and this package; "" when there is none."""
    own = str(Path(__file__).parents[1])
    inside: Callable[[str], bool] = lambda file: file.startswith((TORCH, own))  # noqa: E731
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not inside(f.filename)]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}: {frames[-1].line}" if frames else ""
