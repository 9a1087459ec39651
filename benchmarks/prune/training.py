"""A whole training that ends small, beside dense training, and beside dense training, pruning and fine-tuning."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.goal import bounded, missing, reached
from linnet.data import fashion_mnist
from linnet.errors import DataError
from linnet.models import create
from linnet.prune import Budget, Pruner, extract, plan
from linnet.results import Record

BUDGET = Budget(macs=0.24)
BATCH, LR = 64, 0.05


@dataclass(frozen=True)
class Course:
    """One training.

    Attributes:
        wall_s: Seconds of its steps.
        accuracy: On the test part, at the end.
    """

    wall_s: float
    accuracy: float


@dataclass(frozen=True)
class Task:
    """Images and labels, and how long a network is trained on them.

    Attributes:
        x: (n, 1, 28, 28), normalised.
        y: (n,).
        x_test: Of the test part.
        y_test: Its labels.
        steps: Of one dense training.
    """

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    steps: int


def records(*, quick: bool) -> list[Record]:
    """Seconds of whole trainings in turns, one of each way for each seed."""
    what = "whole training, a thin VGG on Fashion-MNIST at 24 % of the MACs"
    try:
        task = _task(quick=quick)
    except DataError as error:
        return [missing("prune.training.dense", what, goal=0.75, beside="dense training", reason=str(error))]
    seeds = range(1 if quick else 3)
    ours, dense, tuned = zip(*(_trainings(task, rng_seed) for rng_seed in seeds), strict=True)
    found = {"ours": ours, "dense": dense, "tuned": tuned}
    told = ", ".join(f"{name} {np.mean([c.accuracy for c in courses]):.4f}" for name, courses in found.items())
    words = f"{what}, {task.steps} steps of {BATCH}, {len(seeds)} seeds; test accuracy: {told}"
    finetuned = "dense training, one-shot pruning by weights, and as many steps of fine-tuning"
    return [
        _row("prune.training.dense", words, ours, dense, bound=0.75, beside="dense training", reason=_DENSE),
        _row("prune.training.fine_tuned", words, ours, tuned, bound=0.4, beside=finetuned, reason=_TUNED),
        _accuracy(words, ours, tuned, finetuned),
    ]


_DENSE = "half of the steps are whole ones with masks; on a thin network a step doesn't shrink with its MACs"
_TUNED = (
    "with as many steps of fine-tuning as of training the rival costs 1 + 0.3 of a dense training and ours about 0.65, "
    "so 0.5 is what can be had; 0.4 needs a rival that fine-tunes longer than it trains"
)


def _row(
    name: str, what: str, ours: tuple[Course, ...], theirs: tuple[Course, ...], *, bound: float, **facts: Any
) -> Record:
    ratios = [a.wall_s / b.wall_s for a, b in zip(ours, theirs, strict=True)]
    context = {"threads": torch.get_num_threads(), "ours_s": float(np.median([c.wall_s for c in ours]))}
    # The range of three values holds the true median with probability 1 - 2 / 8.
    facts |= {"n": len(ratios), "interval": (min(ratios), max(ratios)), "level": 0.75, "context": context, "unit": "x"}
    return bounded(name, what, float(np.median(ratios)), bound=bound, goal=f"<= {bound:g}x", **facts)


def _accuracy(what: str, ours: tuple[Course, ...], theirs: tuple[Course, ...], beside: str) -> Record:
    apart = [a.accuracy - b.accuracy for a, b in zip(ours, theirs, strict=True)]
    reason = "fine-tuning trains on for as many steps again, so the rival saw the data twice as often"
    return reached(
        "prune.training.accuracy", f"test accuracy above that of the rival: {what}", float(np.mean(apart)), least=0.0,
        goal=">= 0", beside=beside, n=len(apart), reason=reason,
    )  # fmt: skip


def _task(*, quick: bool) -> Task:
    train, test = fashion_mnist("train"), fashion_mnist("test")
    count, steps = (256, 8) if quick else (16_000, 400)
    x, x_test = (_normalised(images[:count]) for images in (train.images, test.images))
    return Task(x, train.labels[:count], x_test, test.labels[:count], steps)


def _normalised(images: Tensor) -> Tensor:
    return (images.float() / 255 - 0.286) / 0.353


def _trainings(task: Task, rng_seed: int) -> tuple[Course, Course, Course]:
    """Ours, dense, and dense with pruning and fine-tuning, from the same start."""
    pruned = _net(rng_seed)
    steps = task.steps
    pruner = Pruner(pruned, task.x[:1], BUDGET, steps=steps)
    optimizer, step = _step(pruned, task, steps, rng_seed)

    def with_pruner(number: int) -> None:
        step(number)
        pruner.step(optimizer)

    ours_s = _timed(with_pruner, steps)
    small = pruner.finish()
    dense = _net(rng_seed)
    dense_s = _timed(_step(dense, task, steps, rng_seed)[1], steps)
    begin = time.perf_counter()
    cut = extract(dense, plan(dense, task.x[:1], BUDGET))
    cut_s = time.perf_counter() - begin
    tuned_s = dense_s + cut_s + _timed(_step(cut, task, steps, rng_seed + 100)[1], steps)
    seconds = (ours_s, dense_s, tuned_s)
    ours, whole, tuned = (
        Course(wall_s, _score(net, task)) for wall_s, net in zip(seconds, (small, dense, cut), strict=True)
    )
    return ours, whole, tuned


def _net(rng_seed: int) -> nn.Module:
    torch.manual_seed(rng_seed)
    return create("vgg", input_shape=(1, 28, 28))


def _step(net: nn.Module, task: Task, steps: int, rng_seed: int) -> tuple[torch.optim.Optimizer, Callable[[int], None]]:
    """An optimizer, and what makes one step; the learning rate falls to 0 along half a cosine."""
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=0.9, weight_decay=5e-4)
    order = torch.randint(len(task.x), (steps, BATCH), generator=torch.Generator().manual_seed(rng_seed))

    def step(number: int) -> None:
        optimizer.param_groups[0]["lr"] = LR * 0.5 * (1 + np.cos(np.pi * number / steps))
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(task.x[order[number]]), task.y[order[number]]).backward()
        optimizer.step()

    return optimizer, step


def _timed(step: Callable[[int], None], steps: int) -> float:
    begin = time.perf_counter()
    for number in range(steps):
        step(number)
    return time.perf_counter() - begin


def _score(net: nn.Module, task: Task) -> float:
    net.eval()
    with torch.no_grad():
        found = torch.cat([net(batch).argmax(1) for batch in task.x_test.split(500)])
    return float((found == task.y_test).double().mean())
