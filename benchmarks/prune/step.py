"""What the one added line costs while masks are on and the network is still whole: four steps, one of them measured."""

from __future__ import annotations

import torch
import torch._dynamo
from torch import Tensor, nn

from benchmarks.goal import missing, time_ratio
from benchmarks.sidebyside import Side
from linnet.models import create
from linnet.optim.padam.implementation import compiler
from linnet.prune import Budget, Pruner
from linnet.results import Record

GOAL = 1.05
EVERY = 4  # the default: one step of four is measured
_SLOWER = (
    "the measured step of four sums products of activations and gradients; on a thin network that is no small part "
    "of a step"
)


def records(*, quick: bool) -> list[Record]:
    """Four steps with masks on beside four plain ones, eager and compiled."""
    pairs = 3 if quick else 15
    found = [
        _row(name, words, pairs, batch=8 if quick else 64, compiled=False)
        for name, words in (("vgg", "a thin VGG"), ("resnet20", "ResNet-20"))
    ]
    what = "four steps, masks on: a thin VGG, compiled"
    if quick or not compiler():
        reason = "--quick" if quick else "there is no C++ compiler"
        return [*found, missing("prune.step.vgg.compiled", what, goal=GOAL, beside="plain steps", reason=reason)]
    # Two networks of one class: torch must look whether there are hooks, or it runs one's graph for the other.
    with torch._dynamo.config.patch(skip_nnmodule_hook_guards=False):
        return [*found, _row("vgg", "a thin VGG", pairs, batch=64, compiled=True)]


def _row(network: str, words: str, pairs: int, *, batch: int, compiled: bool) -> Record:
    x, y = torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,))
    ours = Training(network, x, y, compiled=compiled, pruned=True)
    plain = Training(network, x, y, compiled=compiled, pruned=False)
    for training in (ours, plain):
        training.steps(2 * EVERY)  # masks are set, both graphs are compiled
    sides = (
        Side("masks on", lambda: ours.steps(EVERY), lambda done: done),
        Side("plain", lambda: plain.steps(EVERY), lambda done: done),
    )
    way = "compiled" if compiled else "eager"
    what = f"four steps, masks on: {words}, {way}, batch {batch}"
    return time_ratio(f"prune.step.{network}.{way}", what, *sides, goal=GOAL, pairs=pairs, reason=_SLOWER)


class Training:
    """A network in training on one batch.

    Args:
        network: A name of `linnet.models`.
        x: Images.
        y: Labels.
        compiled: By torch.compile.
        pruned: With a pruner, whose masks are on from the second step.
    """

    def __init__(self, network: str, x: Tensor, y: Tensor, *, compiled: bool, pruned: bool):
        torch.manual_seed(0)
        net = create(network)
        self.x, self.y = x, y
        self.optimizer = torch.optim.SGD(net.parameters(), lr=1e-3, momentum=0.9)
        budget = Budget(macs=0.24)
        options = {"steps": 10**6, "warmup": 1, "every": EVERY, "compact": False}
        self.pruner = Pruner(net, x[:1], budget, **options) if pruned else None
        self.net = torch.compile(net) if compiled else net

    def steps(self, count: int) -> int:
        """Trains on; gives how many steps were made."""
        for _ in range(count):
            self.optimizer.zero_grad()
            nn.functional.cross_entropy(self.net(self.x), self.y).backward()
            self.optimizer.step()
            if self.pruner is not None:
                self.pruner.step(self.optimizer)
        return count
