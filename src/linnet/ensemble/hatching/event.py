"""Early hatching inside `engine.fit`: the seed becomes members in the middle of its training."""

from __future__ import annotations

import logging
import math
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.distributed import added
from linnet.engine import Compute, Listener, Ranks, Run, Schedule
from linnet.engine.listeners.schedule import learning_rates, set_learning_rates
from linnet.ensemble.arguments import is_positive, whole_number
from linnet.ensemble.hatch_ensemble import HatchEnsemble
from linnet.ensemble.hatching.construction import hatch
from linnet.errors import CheckpointError, InputError, TrainingError
from linnet.suggest import nearest

_log = logging.getLogger(__name__)
WARMUP = 0.05  # share of the members' steps; linnet's choice
_OPTIONS = tuple(signature(hatch).parameters)[3:]


class Hatch(Listener):
    """Turns the network that `fit` trains into members, and goes on within the budget that the run had.

    The budget is what all steps of the run cost with the seed, in MACs. The seed gets the share `at` of it; what is
    left is divided by the cost of a step of all members, in whole steps. Their learning rate warms up over 5 % of
    those steps and falls to 0 by a cosine at the very end, where the run stops. `fit(...).model` is then a
    `HatchEnsemble`. Each member has its own loss; the run's loss is their mean, and the task's validation sees the
    logarithm of the pooled probabilities.

    A run that is killed before, in or after the hatch goes on to the same bits. Under `torchrun` every process has all
    members and its part of each batch, as it has for the seed. It doesn't go with early stop: the best epoch may be the
    seed's.

    Args:
        example: Inputs as the network takes them.
        at: Share of the budget after which the seed hatches, in (0, 1).
        members: M.
        lr: Learning rate of the members (of the first parameter group; the others keep their ratio to it); None: the
            rate that the seed began with.
        **options: Of `hatch`: widths, factor, noise, split, maps, rng_seed ...

    Attributes:
        ensemble: The members; None before the hatch.
        stopped: Member -> why it was stopped.
        macs: MACs of one training image: of the seed, and of all members together; (0, 0) before the hatch.

    Raises:
        InputError: `at`, `members` or `lr` is out of its range, or an option isn't known.

    Example:
        >>> hatching = Hatch(example, at=0.4, members=5)  # doctest: +SKIP
        >>> result = fit(model, task, loader, optimizer=opt, epochs=20, listeners=[hatching])  # doctest: +SKIP
        >>> result.model(x).epistemic  # doctest: +SKIP
    """

    def __init__(
        self, example: Any, *, at: float = 0.4, members: int = 5, lr: float | None = None, **options: Any
    ) -> None:
        if not is_positive(at) or at >= 1:
            raise InputError(
                f"`at` must be a share of the budget in (0, 1) (got {at!r}). Give 0.4 to hatch after 40 %."
            )
        if lr is not None and not is_positive(lr):
            raise InputError(f"`lr` must be a positive number, or None (got {lr!r}).")
        whole_number("members", members, least=1, remedy="Give 5 for five networks.")
        for name in options:
            if name not in _OPTIONS:
                raise InputError(f"`{name}` isn't an option of `hatch`{nearest(name, _OPTIONS)}")
        self.example, self.at, self.members, self.lr, self.options = example, at, members, lr, options
        self.ensemble: HatchEnsemble | None = None
        self.stopped: dict[int, str] = {}
        self.macs = (0, 0)
        self._hatched_at = self._end = -1
        self._rates: list[float] = []
        self._ranks = Ranks()

    def on_start(self, run: Run) -> None:
        """Refuses what can't be hatched, before the first step.

        Raises:
            TrainingError: the budget leaves no step for the members.
        """
        self._ranks = Ranks.join(run.compute)
        self._rates = self._rates or learning_rates(run.optimizer)
        if self.ensemble is not None:
            if run.step >= self._end:
                run.stop("the budget is used up")
            return
        planned = hatch(run.model, self.example, self.members, **{**self.options, "noise": 0.0})
        steps = self._steps_left(run, planned)
        if steps < 1:
            raise TrainingError(
                f"The budget of {run.steps_total} steps of the seed network leaves no step for {self.members} members "
                f"after at={self.at}. Train for more epochs, lower `at`, or hatch fewer or narrower members."
            )

    def _steps_left(self, run: Run, ensemble: HatchEnsemble) -> int:
        """Steps of all members that the rest of the budget pays for."""
        facts = [widening for widening in ensemble.widenings if widening is not None]
        self.macs = facts[0].macs[0], sum(widening.macs[1] for widening in facts)
        return (run.steps_total - self._hatch_step(run)) * self.macs[0] // self.macs[1]

    def _hatch_step(self, run: Run) -> int:
        return hatch_step(self.at, run.steps_total)

    def on_gradients(self, run: Run) -> None:
        """Averages the members' gradients over the processes, and sets the learning rate of the step to come."""
        if self.ensemble is not None:
            _average_gradients(self.ensemble, self._ranks)
            steps = self._end - self._hatched_at
            schedule = Schedule("cosine", warmup_steps=max(1, round(WARMUP * steps)))
            factor = schedule.factor(run.step - self._hatched_at, steps)
            scale = 1.0 if self.lr is None else self.lr / self._rates[0]
            set_learning_rates(run.optimizer, [rate * scale * factor for rate in self._rates])

    def on_step(self, run: Run) -> None:
        """Hatches when it is time, and stops the run when the budget is used up."""
        if self.ensemble is None and run.step >= self._hatch_step(run):
            self._ranks.share(run.model.buffers())  # each process has statistics of its own part of the batches
            ensemble = hatch(run.model, self.example, self.members, **self.options)
            self._end = run.step + self._steps_left(run, ensemble)
            self._hatched_at = run.step
            self._put(run, ensemble)
        elif self.ensemble is not None:
            for number in self.stopped:
                _make_finite(self.ensemble.members[number])
            if run.step >= self._end:
                run.stop("the budget is used up")

    def _put(self, run: Run, ensemble: HatchEnsemble) -> None:
        """The ensemble in the seed's place: network, task, and the optimizer's parameters, with fresh state."""
        seed = dict(run.model.named_parameters())
        names = {id(parameter): name for name, parameter in seed.items()}
        own = [dict(member.named_parameters()) for member in ensemble.members]
        for group in run.optimizer.param_groups:
            group["params"] = [parameters[names[id(p)]] for parameters in own for p in group["params"]]
        run.optimizer.state.clear()
        run.task = _TaskOfMembers(run.task, ensemble, self.stopped, self._ranks)
        run.model = ensemble.train()
        self.ensemble = ensemble

    def on_end(self, run: Run) -> None:
        """Drops the members that were stopped."""
        if self.ensemble is not None:
            self._ranks.share(self.ensemble.buffers())
        if self.ensemble is not None and self.stopped:
            kept = [m for number, m in enumerate(self.ensemble.members) if number not in self.stopped]
            self.ensemble.members = nn.ModuleList(kept)

    def state_dict(self) -> dict[str, Any]:
        """Whether and when the seed hatched, when the budget ends, the rates at the start, and who is stopped."""
        return {
            "at": self.at,
            "members": self.members,
            "hatched_at": self._hatched_at,
            "end": self._end,
            "rates": list(self._rates),
            "stopped": {str(number): reason for number, reason in self.stopped.items()},
        }

    def take_up(self, run: Run, state: dict[str, Any]) -> None:
        """Hatches again if the run had hatched, so that the members' weights find their place.

        Raises:
            CheckpointError: the checkpoint was made with another `at` or number of members.
        """
        if (state["at"], state["members"]) != (self.at, self.members):
            raise CheckpointError(
                f"The checkpoint was made with Hatch(at={state['at']}, members={state['members']}), and this is "
                f"at={self.at}, members={self.members}. Give this run its own folder, or start anew with resume=False."
            )
        self._rates = list(state["rates"])
        self.stopped.update({int(number): reason for number, reason in state["stopped"].items()})
        if state["hatched_at"] >= 0:
            ensemble = hatch(run.model, self.example, self.members, **{**self.options, "noise": 0.0})
            self._hatched_at, self._end = state["hatched_at"], state["end"]
            self._put(run, ensemble)


def hatch_step(at: float, steps: int) -> int:
    """The step after which a seed hatches that has the share `at` of a run of so many steps."""
    return max(1, round(at * steps))


class _TaskOfMembers:
    """A task done by every member: the mean of the losses, with the gradient of their sum.

    The members are called past the wrapper of several processes, which knows no single member: `Hatch` averages their
    gradients itself.
    """

    def __init__(self, task: Any, ensemble: HatchEnsemble, stopped: dict[int, str], ranks: Ranks) -> None:
        self._task, self._ensemble, self._stopped, self._ranks = task, ensemble, stopped, ranks

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch; see `linnet.engine.Task`."""
        own = {
            number: self._task.loss(member, batch)
            for number, member in enumerate(self._ensemble.members)
            if number not in self._stopped
        }
        everywhere = self._ranks.mean([float(loss.detach()) for loss, _ in own.values()])
        for number, mean in zip(tuple(own), everywhere, strict=True):
            if not math.isfinite(mean):
                del own[number]
                self._stopped[number] = f"its loss became {mean}"
                _log.warning("members[%d] is stopped: %s. The others go on.", number, self._stopped[number])
        found = list(own.values())
        if not found:
            raise TrainingError("The losses of all members are NaN or infinite. Lower `lr`, or clip gradients.")
        total = torch.stack([loss for loss, _ in found]).sum()
        means = {name: torch.stack([torch.as_tensor(m[name]) for _, m in found]).mean() for name in found[0][1]}
        return total + (total / len(found) - total).detach(), means

    def validate(self, model: nn.Module, compute: Compute) -> dict[str, float]:
        """What the user's own validation says about the pool."""
        return self._task.validate(_Pooled(self._ensemble), compute)


class _Pooled(nn.Module):
    """An ensemble as one network: the logarithm of its pooled probabilities, or its mean."""

    def __init__(self, ensemble: HatchEnsemble) -> None:
        super().__init__()
        self.ensemble = ensemble

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) logits, or (N, ...) values."""
        out = self.ensemble(x)
        return (out.mean if self.ensemble.task == "regression" else out.log_pooled).float()


@torch.no_grad()
def _average_gradients(ensemble: HatchEnsemble, ranks: Ranks) -> None:
    """The mean of each gradient over the processes, in its place."""
    gradients = [p.grad for p in ensemble.parameters() if p.grad is not None]
    if ranks.world == 1 or not gradients:
        return
    whole = added(torch.cat([gradient.flatten() for gradient in gradients])) / ranks.world
    for gradient, part in zip(gradients, whole.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


@torch.no_grad()
def _make_finite(member: nn.Module) -> None:
    for tensor in [*member.parameters(), *member.buffers()]:
        if tensor.is_floating_point():
            tensor.nan_to_num_(0.0, 0.0, 0.0)
