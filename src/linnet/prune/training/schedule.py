"""The pruner's schedule: when it measures, masks and freezes, and the result of each step."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, Literal

from linnet.errors import InputError

Phase = Literal["warmup", "masked", "frozen"]

# Without a known number of steps: ours.
_WARMUP_STEPS = 100
_QUIET_UPDATES = 20
_QUIET_SHARE = 0.001
_LOW_LR = 0.1
_DROP = 0.5  # a learning rate below so much of what it was is a drop
_SETTLE = 0.1  # share of the time before the freeze over which the memory's decay rises to 1


@dataclass(frozen=True)
class PruneStep:
    """The result of one call of `Pruner.step`.

    Attributes:
        step: Index of the training step.
        phase: "warmup", "masked" or "frozen".
        used: Name of each limit -> share of it that the masked network costs; above 1 only before the first mask.
        changed: Channels whose mask changed.
        compacted: Whether the network itself became smaller now.
    """

    step: int
    phase: Phase
    used: Mapping[str, float]
    changed: int
    compacted: bool


@dataclass
class Timetable:
    """Phases of pruning while training: warm-up (measure only), masked (masks move), frozen (masks stay).

    Attributes:
        steps: Steps of the whole training; None when unknown.
        warmup: Steps before the first mask: a fraction of `steps`, or a whole number.
        freeze: Step from which masks stay, likewise. Without `steps` masks freeze when fewer than 0.1 % of the channels
            changed over 20 updates of the mask, or the learning rate has fallen to a tenth of its maximum.
        every: Steps between measurements.
        step: Steps done.
        drops: How often the learning rate has fallen to less than half of what it was: at its start, or at the last
            drop.

    Raises:
        InputError: a value is out of its range; it is named.
    """

    steps: int | None = None
    warmup: float = 0.05
    freeze: float = 0.5
    every: int = 4
    step: int = 0
    frozen: bool = False
    drops: int = 0
    _changes: deque[float] = field(default_factory=lambda: deque(maxlen=_QUIET_UPDATES))
    _highest_lr: float = 0.0
    _mark: float = 0.0  # learning rate at the last drop, or the highest since

    def __post_init__(self) -> None:
        if self.steps is not None and (not isinstance(self.steps, Real) or self.steps < 2):
            raise InputError(f"`steps` must be the number of training steps, >= 2, or None (got {self.steps!r}).")
        if self.every < 1:
            raise InputError(f"`every` must be a number of steps >= 1 (got {self.every}).")
        for name in ("warmup", "freeze"):
            value = getattr(self, name)
            if value < 0 or (isinstance(value, float) and value > 1):
                raise InputError(
                    f"`{name}` must be a fraction of `steps` in 0..1, or a whole number of steps (got {value})."
                )
        if self.freeze_at is not None and self.freeze_at <= self.warmup_steps:
            raise InputError(
                f"`freeze` must come after `warmup`, which ends at step {self.warmup_steps} (got step "
                f"{self.freeze_at}). Give the masks some steps in between."
            )

    @property
    def warmup_steps(self) -> int:
        """Steps before the first mask."""
        if isinstance(self.warmup, int):
            return self.warmup
        return _WARMUP_STEPS if self.steps is None else round(self.warmup * self.steps)

    @property
    def freeze_at(self) -> int | None:
        """Step from which masks stay; None when that is found on the way."""
        if isinstance(self.freeze, int) and not isinstance(self.freeze, bool):
            return self.freeze
        return None if self.steps is None else round(self.freeze * self.steps)

    @property
    def phase(self) -> Phase:
        """The phase of the step under way."""
        if self.frozen:
            return "frozen"
        return "warmup" if self.step < self.warmup_steps else "masked"

    @property
    def measures(self) -> bool:
        """Whether the step under way is measured: every so many, the first mask's and the very first always."""
        first_mask = self.step == max(self.warmup_steps - 1, 0)
        return not self.frozen and (self.step % self.every == 0 or first_mask)

    def decay(self, decay: float) -> float:
        """The decay of the running mean at this step: it rises to 1 over the last tenth before the freeze."""
        if self.freeze_at is None:
            return decay
        left = self.freeze_at - self.step
        window = max(_SETTLE * self.freeze_at, 1.0)
        return decay if left >= window else decay + (1 - decay) * (1 - max(left, 0) / window)

    @property
    def settles(self) -> bool:
        """Whether the step under way begins the settling, where the price is looked for anew."""
        return self.freeze_at is not None and self.step == self.freeze_at - round(_SETTLE * self.freeze_at)

    def next(self, *, changed: float | None, lr: float) -> bool:
        """Counts a step.

        Args:
            changed: Share of the channels whose mask changed, if the mask was set.
            lr: Learning rate of the step.

        Returns:
            Whether masks freeze now.
        """
        self.step += 1
        self._highest_lr, self._mark = max(self._highest_lr, lr), max(self._mark, lr)
        if lr < _DROP * self._mark:
            self.drops, self._mark = self.drops + 1, lr
        if changed is not None:
            self._changes.append(changed)
        if self.frozen or self.step <= self.warmup_steps:
            return False
        if self.freeze_at is not None:
            self.frozen = self.step >= self.freeze_at
        else:
            quiet = len(self._changes) == _QUIET_UPDATES and sum(self._changes) < _QUIET_SHARE
            self.frozen = quiet or lr <= _LOW_LR * self._highest_lr
        return self.frozen

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, as plain values."""
        return {
            "step": self.step,
            "frozen": self.frozen,
            "changes": list(self._changes),
            "lr": self._highest_lr,
            "drops": self.drops,
            "mark": self._mark,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        self.step, self.frozen = int(state["step"]), bool(state["frozen"])
        self._changes = deque((float(x) for x in state["changes"]), maxlen=_QUIET_UPDATES)
        self._highest_lr, self._mark = float(state["lr"]), float(state["mark"])
        self.drops = int(state["drops"])
