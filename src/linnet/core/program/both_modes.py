"""Record what a network runs in eval mode and, where that is another path, in training mode; and say what is missed."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from linnet.core.program.example import Example
from linnet.core.program.program import Node, Program, Ref, Value
from linnet.core.program.recorder import record
from linnet.errors import GraphError

# What training mode adds without another path for channels: dropout and counters.
PASSING = frozenset({"native_dropout", "dropout"})
# These say by an argument which mode they run in.
TOLD = ("batch_norm", "instance_norm", "scaled_dot_product_attention")
COUNTERS = "num_batches_tracked"
NAMED = 6  # weights that are named


def record_both(
    model: nn.Module,
    example: Any,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    attributes: Mapping[str, Mapping[str, Any]] | None = None,
    like: Program | None = None,
) -> Program:
    """The program of eval mode, joined with that of training mode where it takes another path.

    Args:
        model: Any module.
        example: As for `record`.
        shapes: As for `record`.
        attributes: As for `record`.
        like: A program of the same network at other sizes, whose choices are followed: hooks that are left out, and
            whether training mode is recorded.

    Returns:
        The program. `training_error` says so where training mode can't run on the example.

    Raises:
        GraphError: the model can't run on the example in eval mode; with `like`, in training mode.
    """
    sized = {"shapes": shapes, "attributes": attributes}
    if like is not None:
        program = record(model, example, **sized, observers=like.observers)
        if not like.training:
            return program
        try:
            return join(program, _training(model, example, sized, like))
        except GraphError as error:
            place = getattr(error.__cause__, "recorded_nodes", None)
            if place is not None:
                error.__cause__.recorded_nodes = place + len(program.nodes)  # type: ignore[union-attr]
            raise
    program = record(model, example, **sized)
    try:
        training = _training(model, example, sized, program)
    except GraphError as error:
        return dataclasses.replace(program, training_error=str(error.__cause__ or error).splitlines()[0])
    return program if same_path(program, training) else join(program, training)


def _training(model: nn.Module, example: Any, sized: Mapping[str, Any], like: Program) -> Program:
    """What training mode runs: on one sample, on two where batch statistics need them."""
    options = {**sized, "training": True, "observers": like.observers}
    try:
        return record(model, example, **options)
    except GraphError:
        two = Example.of(example).first_sample().twice()
        return record(model, two, **options)


def same_path(first: Program, second: Program) -> bool:
    """Whether two programs of one network run the same operators on the same tensors, but for dropout and counters."""
    numbers = first.samples == second.samples
    return list(_steps(first, numbers=numbers)) == list(_steps(second, numbers=numbers))


def _steps(program: Program, *, numbers: bool) -> Any:
    """Operators and outputs with tensors numbered by what made them."""
    known: dict[int, Any] = {value: name for name, value in program.tensors.items()}
    known.update({value: ("given", name) for name, value in program.inputs})
    count = 0
    for node in program.nodes:
        if node.name == "empty" and node.argument(0) == [0]:
            continue  # what batch norm reserves
        if node.name in PASSING or (node.inputs and str(known.get(node.inputs[0])).endswith(COUNTERS)):
            known.update({value: known.get(node.inputs[0]) for value in node.outputs[:1]})
            continue
        kind = next((name for name in TOLD if name in node.name), node.name)
        count += 1
        known.update({value: (count, place) for place, value in enumerate(node.outputs)})
        literal = None if kind in TOLD else _plain((node.args, dict(node.kwargs)), numbers=numbers)
        yield kind, node.module, [known.get(value) for value in node.inputs], literal
    yield [(name, known.get(value)) for name, value in program.outputs]


def _plain(tree: Any, *, numbers: bool) -> Any:
    """Arguments without tensors, and without whole numbers where sizes differ."""
    if isinstance(tree, (tuple, list)):
        return [_plain(item, numbers=numbers) for item in tree]
    if isinstance(tree, dict):
        return {key: _plain(item, numbers=numbers) for key, item in tree.items()}
    if isinstance(tree, Ref) or (isinstance(tree, int) and not numbers):
        return None
    return str(tree)


def join(program: Program, training: Program) -> Program:
    """One program of both: parameters and buffers are shared, everything else of training mode is numbered on."""
    shared = len(program.tensors)
    moved = len(program.values) - shared
    storages = 1 + max((value.storage for value in program.values), default=0)
    held = {value.storage for value in training.values[:shared]}

    def number(value: int) -> int:
        return value if value < shared else value + moved

    def again(tree: Any) -> Any:
        if isinstance(tree, Ref):
            return Ref(number(tree.value))
        if isinstance(tree, (tuple, list)):
            return type(tree)(again(item) for item in tree)
        return {key: again(item) for key, item in tree.items()} if isinstance(tree, dict) else tree

    def node_of(node: Node) -> Node:
        return dataclasses.replace(
            node,
            index=node.index + len(program.nodes),
            args=again(node.args),
            kwargs=again(dict(node.kwargs)),
            outputs=tuple(number(value) for value in node.outputs),
            mutates=tuple(number(value) for value in node.mutates),
        )

    def value_of(value: Value) -> Value:
        return value if value.storage in held else dataclasses.replace(value, storage=value.storage + storages)

    constants = {number(value): table for value, table in training.constants.items() if value >= shared}
    return dataclasses.replace(
        program,
        values=(*program.values, *(value_of(value) for value in training.values[shared:])),
        constants={**program.constants, **constants},
        training=tuple(node_of(node) for node in training.nodes),
        training_inputs=tuple((name, number(value)) for name, value in training.inputs),
        training_outputs=tuple((name, number(value)) for name, value in training.outputs),
    )


def unreached(program: Program) -> list[str]:
    """Names of the parameters that no recorded forward pass read, in neither mode; no edit changes them."""
    read = {value for node in program.all_nodes for value in (*node.inputs, *node.mutates)}
    read |= {value for _, value in (*program.outputs, *program.training_outputs)}
    return [name for name, value in program.parameters.items() if value not in read]


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f", ... and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def unreached_notes(program: Program) -> list[str]:
    """What wasn't reached, in sentences."""
    notes = []
    missed = unreached(program)
    if missed:
        notes.append(
            f"The example reaches no code that reads {listed(missed)}: no edit changes these weights, and a path that "
            "reads them isn't proved."
        )
    if program.training_error:
        notes.append(
            f"Training mode can't be recorded on the example ({program.training_error}), so what only training runs "
            "isn't proved. Give an example that the network can be trained on, targets included."
        )
    return notes


def warn_unreached(program: Program, *, stacklevel: int) -> None:
    """Warns of what wasn't reached.

    Args:
        program: Of the network.
        stacklevel: As `warnings.warn` has it, for a call from the caller's code.
    """
    for note in unreached_notes(program):
        warnings.warn(note, UserWarning, stacklevel=stacklevel)
