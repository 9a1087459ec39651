"""Which execution trains the members: whichever is fastest on the real shapes, and the member loop where none is."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from torch import Tensor, nn

from linnet.ensemble.training.executions import Execution, MemberLoop, alike
from linnet.ensemble.training.grouped import grouped
from linnet.ensemble.training.stacked import Stacked

# What an execution must save to replace the loop: less is lost in the noise of a few steps.
LEAST_GAIN = 0.05
WARMUPS, STEPS = 2, 7
LONG_S = 2.0  # a loop step of this length is timed twice only


@dataclass(frozen=True)
class Choice:
    """Which execution was chosen, and why.

    Attributes:
        name: "loop", "stacked" or "grouped".
        reason: In words.
        seconds: Execution -> median seconds of a step, for those that were timed.
    """

    name: str
    reason: str
    seconds: Mapping[str, float] = field(default_factory=dict)


def build(name: str, members: Sequence[nn.Module], x: Tensor) -> Execution | None:
    """An execution by name; None where these members can't be run like that.

    Args:
        name: "loop", "stacked" or "grouped".
        members: The networks.
        x: A batch of inputs of one member.
    """
    if name == "loop":
        return MemberLoop(members)
    if len(members) < 2 or not alike(members):
        return None
    return Stacked(members) if name == "stacked" else grouped(members, x)


def choose(members: Sequence[nn.Module], x: Tensor, prepare: Callable[[Execution], Callable[[], object]]) -> Choice:
    """Times every execution that these members have for a few steps, in turns, on copies of the members.

    Args:
        members: The networks; they stay as they are.
        x: A batch of inputs of one member.
        prepare: Makes a step from an execution: a training step, or a forward pass.

    Returns:
        The execution whose median is fastest, or the loop where that isn't faster by 5 % in the median and at its best.
    """
    if len(members) < 2:
        return Choice("loop", "there is one member")
    if not alike(members):
        return Choice("loop", "the members have different architectures")
    steps = {"loop": prepare(MemberLoop(_copies(members)))}
    refused = []
    for name in ("stacked", "grouped"):
        step = _step(name, members, x, prepare)
        if callable(step):
            steps[name] = step
        else:
            refused.append(f"{name} can't run these members{step}")
    found = _timed(steps)
    seconds = {name: median(one) for name, one in found.items()}
    best = min(seconds, key=lambda name: seconds[name])
    gains = [seconds["loop"] / seconds[best], min(found["loop"]) / min(found[best])]
    if best != "loop" and min(gains) * (1 - LEAST_GAIN) >= 1:
        return Choice(best, f"{min(gains):.2f} x as fast as the loop", seconds)
    return Choice("loop", "; ".join([f"no other execution is faster by {LEAST_GAIN:.0%}", *refused]), seconds)


def _copies(members: Sequence[nn.Module]) -> list[nn.Module]:
    return [copy.deepcopy(member) for member in members]


def _step(
    name: str, members: Sequence[nn.Module], x: Tensor, prepare: Callable[[Execution], Callable[[], object]]
) -> Callable[[], object] | str:
    """A step by this execution that was run once, or why there is none: empty, or the error in brackets."""
    try:
        execution = build(name, _copies(members), x)
        if execution is None:
            return ""
        step = prepare(execution)
        step()
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:  # vmap has no rule for an operator
        return f" ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
    return step


def _timed(steps: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each step, repeated; they take turns, so that a busy machine slows all of them."""
    for _ in range(WARMUPS):
        for step in steps.values():
            step()
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(STEPS):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
        if number and seconds["loop"][-1] > LONG_S:
            break
    return seconds
