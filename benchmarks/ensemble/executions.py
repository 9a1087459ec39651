"""The members of an ensemble in one call: the chosen execution against the loop, in training and in inference."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.goal import bounded, compared, machine_state, reached
from benchmarks.sidebyside import Side, compare, unchecked
from linnet.core import ChannelGraph
from linnet.ensemble import hatch
from linnet.ensemble.training.choice import build, choose
from linnet.ensemble.training.executions import Execution
from linnet.models import MLP, ConvNet, ResNet
from linnet.results import Record
from papers.resnet18 import ResNet18

SHAPE, BATCH = (1, 14, 14), 64
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "perceptron": lambda: MLP(input_shape=SHAPE),
    "convolutions": lambda: ConvNet(input_shape=SHAPE),
    "residual, 8 layers": lambda: ResNet(depth=8, width=8, input_shape=SHAPE),
}
LEAST = 0.97
GOAL = f">= {LEAST}x, 2x aimed at"
TURN_S = 0.05  # of each side in a pair: steps are repeated for so long, as a single one is too short to be timed


def measure(*, quick: bool) -> list[Record]:
    """Speed of the chosen execution over the loop's, and the seconds of a hatch."""
    torch.manual_seed(0)
    x, y = torch.randn(BATCH, *SHAPE), torch.randint(0, 10, (BATCH,))
    records = []
    for name in list(NETWORKS)[: 1 if quick else None]:
        for count in (2,) if quick else (2, 5, 10):
            members = [NETWORKS[name]() for _ in range(count)]
            for work, prepare in (("training", partial(_training, x, y)), ("inference", partial(_inference, x))):
                records.append(_compared(name, count, work, members, x, prepare, pairs=3 if quick else 15))
    return records if quick else [*records, _hatched()]


def _compared(
    name: str,
    count: int,
    work: str,
    members: Sequence[nn.Module],
    x: Tensor,
    prepare: Callable[[Execution], Callable[[], object]],
    *,
    pairs: int,
) -> Record:
    choice = choose(members, x, prepare)
    what = f"{work}, {count} members, {name}, batch {BATCH}: {choice.name}"
    row = f"ensemble.execution.{work}.{name}.{count}"
    if choice.name == "loop":
        return reached(
            row,
            what,
            1.0,
            least=LEAST,
            goal=GOAL,
            beside="the member loop, which it is",
            unit="x",
            context=machine_state(),
        )
    repeats = max(1, math.ceil(TURN_S / min(choice.seconds.values())))
    sides = []
    for execution in (choice.name, "loop"):
        made = build(execution, copy.deepcopy(list(members)), x)
        assert made is not None
        sides.append(Side(execution, _repeated(prepare(made), repeats), unchecked))
    found = compare(sides[0], sides[1], pairs=pairs)
    told = {"what": what, "beside": "the member loop", "goal": GOAL, "least": LEAST}
    return compared(row, found, found.speed_ratio, found.interval, context=told | machine_state())


def _repeated(step: Callable[[], object], times: int) -> Callable[[], object]:
    def steps() -> None:
        for _ in range(times):
            step()

    return steps


def _hatched() -> Record:
    """Seconds of a hatch beyond tracing."""
    net, example = ResNet18(), torch.zeros(1, 3, 32, 32)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        ChannelGraph(net, example)
        traced = time.perf_counter()
        hatch(net, example, 5, data=[torch.zeros(2, 3, 32, 32)])
        seconds.append(time.perf_counter() - traced - (traced - start))
    return bounded(
        "ensemble.hatch",
        "hatch, 5 members of a ResNet-18 (11 million parameters), beyond tracing",
        sorted(seconds)[1],
        bound=1.0,
        goal="<= 1 s",
        beside="-",
        unit="s",
        n=3,
        context=machine_state(),
        reason="half of it is the proof: eight passes in float64 (both networks, eval and train mode, given and drawn "
        "weights), for which torch has no fast convolution on a CPU",
    )


def _training(x: Tensor, y: Tensor, execution: Execution) -> Callable[[], object]:
    optimizer = torch.optim.SGD(execution.train().parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        outputs = execution(x)
        torch.stack([cross_entropy(one, y) for one in outputs]).sum().backward()
        optimizer.step()

    return step


def _inference(x: Tensor, execution: Execution) -> Callable[[], object]:
    execution.eval()

    def answer() -> None:
        with torch.no_grad():
            execution(x)

    return answer
