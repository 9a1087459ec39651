"""The members' task: each member's own loss, their sum's gradient, and what to do when one member's loss breaks."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from linnet.engine import Compute, Listener, Run
from linnet.ensemble.training.executions import Execution
from linnet.ensemble.training.first_batch import Loss, pair_of, require_labels
from linnet.errors import TrainingError

_log = logging.getLogger(__name__)


class MembersTask:
    """The mean of the members' losses, with the gradient of their sum: members don't interact, so each has its own.

    A member whose loss becomes NaN or infinite is stopped; the others go on.

    Args:
        loss: Of (outputs, targets) of one member, a scalar.
        separate: Whether each member has its own batch.
        numbers: The members' numbers in the whole ensemble, for messages.

    Attributes:
        separate: As given.
        stopped: Member -> why.
        losses: The last batch's loss of each member.
    """

    def __init__(self, loss: Loss, *, separate: bool, numbers: Sequence[int]) -> None:
        self._loss, self.separate, self._numbers = loss, separate, tuple(numbers)
        self.stopped: dict[int, str] = {}
        self.losses: list[float] = []

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch; see `linnet.engine.Task`."""
        each = self.each(model, batch)
        finite = torch.isfinite(each.detach())
        for place, number in enumerate(self._numbers):
            if number not in self.stopped and not bool(finite[place]):
                self.stopped[number] = f"its loss became {float(each[place].detach())}"
                _log.warning("members[%d] is stopped: %s. The others go on.", number, self.stopped[number])
        live = [place for place, number in enumerate(self._numbers) if number not in self.stopped]
        if not live:
            raise TrainingError(
                f"The losses of all {len(self._numbers)} members are NaN or infinite. Lower `lr`, or clip gradients."
            )
        self.losses = each.detach().tolist()
        total = each[live].sum()
        return total + (total.detach() / len(live) - total.detach()), {}

    def each(self, model: nn.Module, batch: Any) -> Tensor:
        """(M,): each member's own loss of a batch, which may be NaN or infinite; nobody is stopped."""
        x, targets = pair_of(batch)
        outputs = model(x, separate=self.separate)
        for k in range(len(self._numbers) if self.separate else 1):
            require_labels(self._of(outputs, k), targets[k] if self.separate else targets, self._loss)
        return torch.stack(
            [
                self._loss(self._of(outputs, k), targets[k] if self.separate else targets)
                for k in range(len(self._numbers))
            ]
        )

    def validate(self, model: nn.Module, compute: Compute) -> dict[str, float]:
        """Nothing: `evaluate` measures ensembles."""
        return {}

    @staticmethod
    def _of(outputs: Any, member: int) -> Any:
        return outputs[member] if isinstance(outputs, Tensor) else tuple(part[member] for part in outputs)


class MemberRules(Listener):
    """What must be done member by member between gradients and step, though all are updated together.

    Args:
        task: Knows who is stopped.
        execution: Of the members.
        numbers: Their numbers in the whole ensemble.
        grad_clip: Largest norm of one member's gradients; None: not clipped.
        rates: Each member's learning rate over the optimizer's; None: all are 1.
    """

    def __init__(
        self,
        task: MembersTask,
        execution: Execution,
        numbers: Sequence[int],
        *,
        grad_clip: float | None,
        rates: Sequence[float] | None,
    ) -> None:
        self._task, self._execution, self._numbers = task, execution, tuple(numbers)
        self._grad_clip, self._rates = grad_clip, rates
        self._before: list[list[Tensor]] = []

    @torch.no_grad()
    def on_gradients(self, run: Run) -> None:
        """Clips each member's gradients, clears those of stopped members, and keeps the weights where rates differ."""
        for place, number in enumerate(self._numbers):
            gradients = self._execution.member_gradients(place)
            if number in self._task.stopped:
                for gradient in gradients:
                    gradient.zero_()
            elif self._grad_clip is not None:
                norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
                for gradient in gradients:
                    gradient.mul_((self._grad_clip / (norm + 1e-6)).clamp(max=1.0))
        if self._rates is not None:
            self._before = [
                [p.clone() for p in self._execution.member_parameters(k)] for k in range(len(self._numbers))
            ]

    @torch.no_grad()
    def on_step(self, run: Run) -> None:
        """Gives each member its own rate, and keeps the weights of stopped members finite."""
        for place, number in enumerate(self._numbers):
            if number in self._task.stopped:
                for tensor in [*self._execution.member_parameters(place), *self._execution.member_buffers(place)]:
                    tensor.zero_()
            elif self._rates is not None and self._before:
                for now, before in zip(self._execution.member_parameters(place), self._before[place], strict=True):
                    # from the old weights on: 1 - rate would round a small rate of a member away
                    now.copy_(before.lerp_(now, self._rates[place]))

    def state_dict(self) -> dict[str, Any]:
        """Who is stopped, and why."""
        return {"stopped": {str(number): reason for number, reason in self._task.stopped.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes that back."""
        self._task.stopped = {int(number): reason for number, reason in state["stopped"].items()}
