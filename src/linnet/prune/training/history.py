"""Mask history: how many channels of each class were in use over the training, as plain numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from linnet.errors import BudgetError

_MOST = 400  # rows; a longer history keeps every second, every fourth, ... of its changes


@dataclass
class MaskLife:
    """Kept channels of every class, noted whenever they change.

    Attributes:
        names: The classes.
        steps: Training steps, ascending; what stands in a row holds from its step to the next one's.
        kept: For each of the steps the kept channels of each class.
        used: For each of the steps the share of each limit that the masked network costs.
    """

    names: tuple[str, ...]
    steps: list[int] = field(default_factory=list)
    kept: list[list[int]] = field(default_factory=list)
    used: list[dict[str, float]] = field(default_factory=list)
    every: int = 1
    _since: int = 0

    def note(self, step: int, kept: Sequence[int], used: Mapping[str, float]) -> None:
        """Takes the widths of a step in."""
        row = [int(width) for width in kept]
        if self.kept and row == self.kept[-1]:
            return
        self._since += 1
        if self.kept and self._since < self.every:
            return
        self._since = 0
        self.steps.append(int(step))
        self.kept.append(row)
        self.used.append(dict(used))
        if len(self.steps) > _MOST:
            self.every *= 2
            for rows in (self.steps, self.kept, self.used):
                del rows[1::2]

    def state_dict(self) -> dict[str, Any]:
        """What it holds, as plain values."""
        counts = [self.every, self._since]
        return {"steps": list(self.steps), "kept": list(self.kept), "used": list(self.used), "counts": counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        self.steps = [int(step) for step in state["steps"]]
        self.kept = [[int(width) for width in row] for row in state["kept"]]
        self.used = [{name: float(share) for name, share in row.items()} for row in state["used"]]
        self.every, self._since = (int(count) for count in state["counts"])

    def to_json(self) -> str:
        """The history as JSON text."""
        return json.dumps({"names": list(self.names), "steps": self.steps, "kept": self.kept, "used": self.used})

    @classmethod
    def from_json(cls, text: str) -> MaskLife:
        """The history that `to_json` wrote.

        Raises:
            BudgetError: the text isn't such a history.
        """
        try:
            stored = json.loads(text)
            life = cls(tuple(stored["names"]))
            life.load_state_dict({**stored, "counts": [1, 0]})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BudgetError(
                f"`text` must be the mask history that `MaskLife.to_json` wrote (reading it failed: {error!r})."
            ) from error
        if not len(life.steps) == len(life.kept) == len(life.used):
            raise BudgetError(
                "`text` must be the mask history that `MaskLife.to_json` wrote, but its lists have unequal lengths."
            )
        return life
