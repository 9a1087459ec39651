"""Training of any networks for a number of steps, and what it cost."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from linnet.core import cost
from linnet.data import ArrayLoader
from linnet.engine import Compute, Schedule, derive_seed
from linnet.ensemble import HatchEnsemble
from papers.xia2021_hatch.problems import Problem
from papers.xia2021_hatch.scales import MEMBERS

BATCH = 64
COMPUTE = Compute("cpu", "bfloat16")  # twice as fast as float32 here, with channels last


class Steps:
    """A number of batches, over as many epochs as that takes, as one epoch.

    Args:
        loader: Where they come from.
        steps: How many.
    """

    def __init__(self, loader: ArrayLoader, steps: int) -> None:
        self._loader, self._steps = loader, steps

    def __len__(self) -> int:
        return self._steps

    def epoch(self, index: int, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, ...]]:
        """The batches from `start` on."""
        for number in range(start, self._steps):
            epoch, place = divmod(number, len(self._loader))
            if place == 0 or number == start:
                batches = self._loader.epoch(epoch, place, rank, world)
            yield next(batches)


@dataclass
class Spent:
    """What an arm has spent on training.

    Attributes:
        macs: Multiply-accumulates: 3 for each of a forward pass.
        cpu_s: Seconds of this process, which has one thread.
        parts: MACs of each part.
    """

    macs: float = 0.0
    cpu_s: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)

    def add(self, part: str, macs: float, cpu_s: float) -> None:
        """Adds the cost of a part."""
        self.macs += macs
        self.cpu_s += cpu_s
        self.parts[part] = self.parts.get(part, 0.0) + macs


class Trainer:
    """Trains networks on one problem and adds up the cost.

    Args:
        given: The images.
        rng_seed: Of the orders.
    """

    def __init__(self, given: Problem, rng_seed: int) -> None:
        self.given, self.rng_seed, self.spent = given, rng_seed, Spent()

    def macs(self, net: nn.Module) -> int:
        """Of one image."""
        return cost(net, torch.zeros(MEMBERS, *self.given.shape)).macs

    def train(
        self, part: str, nets: Sequence[nn.Module], steps: int, lr: float, *, orders: Sequence[int] | None = None
    ) -> None:
        """Trains networks in place: SGD with momentum 0.9 and weight decay 5e-4, warm-up over 5 %, cosine to 0.

        Args:
            part: Of the budget, for the record.
            nets: Networks that don't interact.
            steps: Updates.
            lr: The highest learning rate.
            orders: A number for each network's order of images; None: all share one.
        """
        began = time.process_time()
        own = [self._loader(steps, order) for order in (orders or [0])]
        HatchEnsemble(nets).fit(
            own if orders else own[0],
            epochs=1,
            lr=lr,
            optimizer=_sgd,
            schedule=Schedule("cosine", warmup_steps=max(1, steps // 20)),
            stacked=False,
            compute=COMPUTE,
            rng_seed=self.rng_seed,
        )
        macs = 3.0 * BATCH * steps * sum(self.macs(net) for net in nets)
        self.spent.add(part, macs, time.process_time() - began)

    def _loader(self, steps: int, order: int) -> Steps:
        seed = derive_seed(self.rng_seed, "order", order)
        return Steps(ArrayLoader(self.given.train, batch_size=BATCH, rng_seed=seed, drop_last=True), steps)


def _sgd(parameters: Iterable[nn.Parameter], lr: float) -> torch.optim.SGD:
    """SGD whose weight decay leaves a BatchEnsemble's factors alone."""
    groups: dict[bool, list[nn.Parameter]] = {False: [], True: []}
    for parameter in parameters:
        groups[getattr(parameter, "without_decay", False)].append(parameter)
    shown = [{"params": found, "weight_decay": 0.0 if free else 5e-4} for free, found in groups.items() if found]
    return torch.optim.SGD(shown, lr=lr, momentum=0.9)
