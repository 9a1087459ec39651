"""The agreement of the processes on one step: which blocks it adds to, what stops it, and sums over their samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from linnet.core.capture.layers.layer_rule import Sharing
from linnet.core.distributed import objects_of_all
from linnet.errors import CaptureError, InputError, LinnetError, TrainingError
from linnet.optim.natural.kronecker.blocks import Block
from linnet.optim.natural.kronecker.exact_block import SmallBlock
from linnet.optim.natural.kronecker.kronecker_block import KroneckerBlock, Sums

_ERRORS = {kind.__name__: kind for kind in (InputError, CaptureError, TrainingError)}


@dataclass
class Facts:
    """What a process knows of its forwards since the last step, as plain values.

    Attributes:
        forwards: Number of those whose backward ran.
        plans: Key of a block -> form and sizes of its sums, and how the block is made.
        covered: Parameter name -> how.
        uncovered: Parameter name -> why not.
        numbers: Sums over the samples: |u|^2, N, loss, loss of outputs 0, |r|_1.
        error: (kind, sentence) of what stopped the reading of a forward.
    """

    forwards: int = 0
    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    covered: dict[str, str] = field(default_factory=dict)
    uncovered: dict[str, str] = field(default_factory=dict)
    numbers: tuple[float, ...] = (0.0,) * 5
    error: tuple[str, str] | None = None


def agreed(own: Facts) -> Facts:
    """The facts of all processes together, the same on each.

    Raises:
        InputError, CaptureError, TrainingError: one process was stopped; all raise its error.
    """
    every: list[Facts] = objects_of_all(own)
    error = next((facts.error for facts in every if facts.error is not None), None)
    if error is not None:
        raise _ERRORS.get(error[0], TrainingError)(error[1])
    whole = Facts()
    for facts in every:
        whole.forwards += facts.forwards
        whole.plans = {**facts.plans, **whole.plans}
        whole.covered = {**facts.covered, **whole.covered}
        whole.uncovered = {**facts.uncovered, **whole.uncovered}
        whole.numbers = tuple(a + b for a, b in zip(whole.numbers, facts.numbers, strict=True))
    return whole


def told(error: LinnetError) -> tuple[str, str]:
    """An error as plain values."""
    return type(error).__name__, str(error)


def plans_of(sums: Mapping[str, Sums], blocks: Mapping[str, Block], model: nn.Module) -> dict[str, dict[str, Any]]:
    """How the sums of this process, and their blocks, are made."""
    paths = {id(module): path for path, module in model.named_modules()}
    result = {}
    for key, part in sums.items():
        block = blocks[key]
        module = paths[id(block.module)] if isinstance(block, KroneckerBlock) else None
        result[key] = {**part.plan, "names": block.names, "module": module}
    return result


def planned_blocks(
    keys: Iterable[str], plans: Mapping[str, Mapping[str, Any]], model: nn.Module, sharing: Sharing
) -> dict[str, Block]:
    """The blocks that only other processes have met so far."""
    blocks: dict[str, Block] = {}
    for key in keys:
        names: tuple[str, ...] = tuple(plans[key]["names"])
        module = plans[key]["module"]
        if module is None:
            blocks[key] = SmallBlock(names)
        else:
            bias = next(iter(names[1:]), None)
            blocks[key] = KroneckerBlock(model.get_submodule(module), names[0], bias, sharing)
    return blocks
