"""The masks of a network in training, and what they follow from: importances, the selection and their history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from linnet.prune.masks.masked_network import MaskedNetwork
from linnet.prune.training.checks import require_alive, require_own
from linnet.prune.training.history import MaskLife
from linnet.prune.training.retire import Retirement
from linnet.prune.training.running_importance import RunningImportance
from linnet.prune.training.running_selection import RunningSelection
from linnet.prune.training.schedule import Timetable


class MaskState:
    """Selects channels by their importance and masks the others.

    Args:
        network: The network with its masks.
        importance: Of its channels.
        selection: Under the budget.
        retirement: What has been masked for long.
        time: The schedule.
        asked: The pruner's arguments, as words.

    Attributes:
        changes: Channels whose mask changed, over all updates.
        compacted: Whether the network became smaller for good.
        life: The masks' history.
    """

    def __init__(
        self,
        network: MaskedNetwork,
        importance: RunningImportance,
        selection: RunningSelection,
        retirement: Retirement,
        time: Timetable,
        asked: str,
    ):
        self.network, self.importance, self.selection = network, importance, selection
        self.retirement, self.time, self.asked = retirement, time, asked
        self.changes, self.compacted, self.life = 0, False, MaskLife(tuple(network.names))

    def importances(self) -> dict[str, Any]:
        """Class name -> (channels,); groups of which nothing was measured are held from now on.

        Raises:
            BudgetError: the budget can't be reached without them.
        """
        found = self.importance.by_class()
        if self.importance.needs_data:
            self.selection.hold_unmeasured(found)
        return found

    def update(self) -> int:
        """Selects and masks; gives how many channels changed."""
        return self.mask(self.selection.choose(self.importances(), anew=self.time.settles))

    def be_on_time(self) -> None:
        """Measures small networks as a whole until the budget's latency is met; once, with the masks that come last."""
        if self.selection.latency_model is not None and self.selection.latency is None:
            with self.network.lifted():
                named = self.selection.on_time(self.network.model, self.importances())
            self.mask(named)

    def mask(self, named: Mapping[str, tuple[int, ...]]) -> int:
        """Masks all channels but these; gives how many changed."""
        network = self.network
        before, kept = network.kept, np.zeros(network.total, dtype=np.bool_)
        for name, channels in named.items():
            kept[network.slices[name]][list(channels)] = True
        network.keep(kept)
        self.retirement.note(kept)
        changed = int((kept != before).sum())
        self.changes += changed
        self.life.note(self.time.step, [int(kept[part].sum()) for part in network.slices.values()], self.selection.used)
        return changed

    def named(self) -> dict[str, tuple[int, ...]]:
        """Class name -> channels that stay at this moment; nothing is changed."""
        if self.selection.selection is None:
            return self.selection.trial(self.importances())
        parts = self.network.slices.items()
        return {name: tuple(np.flatnonzero(self.network.kept[part]).tolist()) for name, part in parts}

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers and words."""
        return {
            "asked": self.asked,
            "sizes": {
                name: self.network.slices[name].stop - self.network.slices[name].start for name in self.network.names
            },
            "memory": self.importance.state_dict(),
            "kept": torch.from_numpy(self.network.kept.copy()),
            "alive": torch.from_numpy(self.network.alive.copy()),
            "quiet": torch.from_numpy(self.retirement.quiet.copy()),
            "time": self.time.state_dict(),
            "chosen": self.selection.state_dict(),
            "changes": self.changes,
            "compacted": self.compacted,
            "proof_error": self.network.error,
            "life": self.life.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state_dict` gave.

        Raises:
            TrainingError: the state is of another network, damaged, or of a time before this network became smaller.
        """
        require_own(state, self.state_dict())
        kept, alive = (state[name].cpu().numpy().astype(np.bool_) for name in ("kept", "alive"))
        network = self.network
        require_alive(alive, network.alive, compacted=self.compacted)
        network.keep(kept)
        if state["compacted"] or not np.array_equal(alive, network.alive):
            network.take_out(alive, last=state["compacted"])
            self.selection.narrow(self.retirement.widths(alive))
        network.error = float(state["proof_error"])  # of the trained network, not of this start
        self.importance.load_state_dict(state["memory"])
        self.life.load_state_dict(state["life"])
        self.retirement.quiet = state["quiet"].cpu().numpy().copy()
        self.time.load_state_dict(state["time"])
        self.selection.load_state_dict(state["chosen"])
        self.changes, self.compacted = int(state["changes"]), bool(state["compacted"])
