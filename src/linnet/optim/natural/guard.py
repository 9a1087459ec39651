"""The guard of a run: it stops where the loss has left its start far behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from linnet.errors import TrainingError

_WINDOW = 10  # losses in a mean: one bad batch stops nothing


@dataclass
class Guard:
    """Compares the mean of the last ten losses with the start.

    The start is the first loss, or that of outputs that are all 0 (log C for cross entropy) where it is larger, so that
    a network that fits already has room.

    Attributes:
        start: The largest so far of the first loss and the losses of outputs 0.
        recent: The last losses.
    """

    start: float | None = None
    recent: list[float] = field(default_factory=list)

    def check(self, loss: float, at_zero: float, *, most: float | None) -> None:
        """Takes one step's loss in, before the step.

        Args:
            loss: On the step's batch.
            at_zero: That of outputs 0 on the same targets.
            most: Largest mean, in units of the start; None: nothing is compared.

        Raises:
            TrainingError: the mean is too large.
        """
        self.start = max(loss, at_zero) if self.start is None else max(self.start, at_zero)
        self.recent = [*self.recent[1 - _WINDOW :], loss]
        mean = sum(self.recent) / len(self.recent)
        if most is None or len(self.recent) < _WINDOW or mean <= most * self.start:
            return
        raise TrainingError(
            f"The loss must stay below {most:g} times its start, {self.start:.3g} (got {mean:.3g}, the mean of "
            f"{_WINDOW} steps), so the steps are too long. Lower `kl_clip` (0.001 to 0.01 for cross entropy) or `lr` "
            "or `c`, or raise `damping`; stop_above=None turns this check off."
        )

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {"start": self.start, "recent": list(self.recent)}

    def load(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave; nothing from a file that is older than the guard."""
        self.start, self.recent = state.get("start"), list(state.get("recent", ()))
