"""Pruning inside `engine.fit`: a listener of a few lines."""

from __future__ import annotations

from typing import Any

from torch import nn

from linnet.engine import Listener, Run
from linnet.prune.pruner import Pruner
from linnet.prune.training.schedule import PruneStep


class Pruning(Listener):
    """Calls a pruner after each update of `engine.fit`, and keeps its state in the checkpoints.

    Under `torchrun` the network becomes small on every process alike, and `fit` wraps it in DDP anew.

    A run that is resumed after its network became small becomes small again before its weights are read. An average of
    weights (`fit(..., average=)`) begins anew for the tensors that became smaller. Early stop doesn't go with it: the
    best epoch may be one of the larger network.

    Args:
        pruner: Made from the network that is trained.

    Attributes:
        steps: The result of each update.

    Example:
        >>> pruner = Pruner(model, example, Budget(macs=0.4), steps=epochs * len(loader))  # doctest: +SKIP
        >>> fit(model, task, loader, optimizer=opt, epochs=epochs, listeners=[Pruning(pruner)])  # doctest: +SKIP
        >>> small = pruner.finish()  # doctest: +SKIP
    """

    def __init__(self, pruner: Pruner):
        self.pruner = pruner
        self.pruner.rewrap = pruner.rewrap or _by_the_loop
        self.steps: list[PruneStep] = []

    def on_step(self, run: Run) -> None:
        """After an update, a skipped one too: its gradients weren't finite, so they are no measurement."""
        self.steps.append(self.pruner.step(run.optimizer))

    def state_dict(self) -> dict[str, Any]:
        """The pruner's."""
        return self.pruner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The pruner's; makes the network small again if it was."""
        self.pruner.load_state_dict(state)


def _by_the_loop(model: nn.Module) -> None:
    """Nothing: `fit` looks after each step whether a weight has another size."""
