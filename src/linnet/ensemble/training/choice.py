"""Which execution trains the members: whichever is fastest on the real shapes, and the member loop where none is."""

from __future__ import annotations

import copy
import math
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
TURNS, DOUBT = 15, 0.005
TURN_S = 0.004  # a turn repeats short steps for so long: a single one of 0.3 ms can't be timed
LONGEST_S = 4.0  # after so much time and three turns no further turn begins


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
        The execution whose median is fastest, or the loop where that isn't faster by 5 %: the turns' ratios must show
        it with 99.5 % confidence, and the shortest turns too, so that on a busy machine the loop is kept.
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
    ratios = sorted(loop / other for loop, other in zip(found["loop"], found[best], strict=True))
    surely = min(ratios[_lower_rank(len(ratios))], min(found["loop"]) / min(found[best]))
    if best != "loop" and surely * (1 - LEAST_GAIN) >= 1:
        return Choice(best, f"{median(ratios):.2f} x as fast as the loop, at least {surely:.2f} x", seconds)
    return Choice("loop", "; ".join([f"no other execution is surely faster by {LEAST_GAIN:.0%}", *refused]), seconds)


def _lower_rank(count: int) -> int:
    """The rank, from 0, of the ordered value that the median of so many exceeds with 99.5 % confidence.

    The number of values below the median is binomial; the smallest value where there are too few to be sure.
    """
    below, rank = 0.5**count, 0
    while below + math.comb(count, rank + 1) * 0.5**count <= DOUBT:
        rank += 1
        below += math.comb(count, rank) * 0.5**count
    return rank


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
    """Seconds of each step in every turn; they take turns, so that a busy machine slows all of them."""
    for step in steps.values():
        step()
    started = time.perf_counter()
    fastest = min(_seconds(step, 1) for step in steps.values())
    repeats = max(1, math.ceil(TURN_S / max(fastest, 1e-6)))
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(TURNS):
        for name, step in steps.items():
            seconds[name].append(_seconds(step, repeats))
        if turn >= 2 and time.perf_counter() - started > LONGEST_S:
            break
    return seconds


def _seconds(step: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats
