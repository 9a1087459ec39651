"""The stages of a plan that is being carried out, and the networks that they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import nn

from linnet.engine import Average, EarlyStop, FitResult, Listener, fit
from linnet.errors import RecipeError
from linnet.prune import Pruner, Pruning
from linnet.recipe.ensembles import EnsembleWork
from linnet.recipe.plan import Built, Plan
from linnet.results import RunFolder


@dataclass(frozen=True)
class Work:
    """A plan that is being carried out; what a stage needs is made on first use.

    Attributes:
        plan: What is to be done.
        folder: Where.
    """

    plan: Plan
    folder: RunFolder

    @cached_property
    def built(self) -> Built:
        """The task, made ready."""
        return self.plan.task.build(self.plan)

    @cached_property
    def pruner(self) -> Pruner | None:
        """What makes the network small while it trains, if [prune] asks for it."""
        return None if self.plan.prune is None else pruner_of(self.plan, self.built)

    @cached_property
    def result(self) -> FitResult:
        """The training, done, or gone on with, or (when it was complete) read from its last checkpoint."""
        listeners: list[Listener] = [] if self.pruner is None else [Pruning(self.pruner)]
        hatching = None if self.ensembles is None else self.ensembles.listener()
        listeners += [] if hatching is None else [hatching]
        result = _fitted(self.plan, self.built, self.folder.checkpoints, listeners)
        if self.ensembles is not None:
            _averaged(result)
            self.ensembles.result = result
        return result

    @cached_property
    def ensembles(self) -> EnsembleWork | None:
        """What the stages of [hatch] need; None without it."""
        return None if self.plan.hatch is None else EnsembleWork(self.plan, self.built, self.folder.path)

    @cached_property
    def members(self) -> EnsembleWork:
        """The same, with its members trained."""
        _ = self.result
        assert self.ensembles is not None
        _ = self.ensembles.ensemble
        return self.ensembles

    @cached_property
    def model(self) -> nn.Module:
        """The network to keep, in eval mode: small if it was pruned, averaged if [train] `average` is set."""
        model = _averaged(self.result)
        return model if self.pruner is None else self.pruner.finish().eval()

    @cached_property
    def dense_built(self) -> Built:
        """The same task once more, for the network that isn't pruned."""
        return self.plan.task.build(self.plan)

    @cached_property
    def dense_result(self) -> FitResult:
        """Its training."""
        return _fitted(self.plan, self.dense_built, self.folder.path / "checkpoints-dense", [])

    @cached_property
    def dense_model(self) -> nn.Module:
        """The network of the same recipe without [prune], trained."""
        return _averaged(self.dense_result)


def pruner_of(plan: Plan, built: Built) -> Pruner:
    """The pruner of a task's network.

    Raises:
        RecipeError: the task names no example, so its network can't be traced.
        BudgetError: the budget can't be reached.
    """
    assert plan.prune is not None
    if built.example is None:
        raise RecipeError(
            f'[prune] needs an example of the input, and the task "{plan.task.name}" gives none. Remove the '
            "section, or give `Built(example=...)` in the task."
        )
    steps = plan.train.epochs * len(built.loader)
    return plan.prune.pruner(built.model, built.example, steps=steps, rng_seed=plan.train.rng_seed)


def _fitted(plan: Plan, built: Built, folder: Path, listeners: Sequence[Listener]) -> FitResult:
    train = plan.train
    metric, mode = plan.task.watch
    return fit(
        built.model,
        built.task,
        built.loader,
        optimizer=plan.optimizer.build(built.model, loss=plan.task.loss),
        epochs=train.epochs,
        schedule=train.rate(),
        compute=train.compute(),
        folder=folder,
        checkpoint_every=train.checkpoint_every,
        grad_clip=train.grad_clip,
        listeners=[*plan.optimizer.listeners(), *listeners],
        early_stop=EarlyStop(metric, train.early_stop, mode) if train.early_stop else None,
        rng_seed=train.rng_seed,
        average=Average(train.average) if train.average else None,
    )


def _averaged(result: FitResult) -> nn.Module:
    if result.averaged is not None:
        result.model.load_state_dict(result.averaged)
    return result.model.eval()
