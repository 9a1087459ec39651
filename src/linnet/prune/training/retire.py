"""Retire: channels that have been masked for long may leave the network before the masks freeze."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from linnet.arrays import Bools, Ints
from linnet.core.channels.width_cost import TOTALS
from linnet.prune.allocate.widths import Selector

_LEAST = 0.1  # of the present network's MACs; each time the network is traced and proved anew


class Retirement:
    """Counts for how many updates of the mask in a row each channel was masked.

    Args:
        selector: Width allocation, which knows the costs.
        slices: Class name -> where its channels lie.
        total: Number of channels.
        after: Updates of the mask after which a channel may be taken out.

    Attributes:
        quiet: int64 (total,): updates since the channel was last in use.
    """

    def __init__(self, selector: Selector, slices: Mapping[str, slice], total: int, after: int):
        self._selector, self._slices, self.after = selector, slices, after
        self.quiet: Ints = np.zeros(total, dtype=np.int64)

    def note(self, kept: Bools) -> None:
        """Takes an update of the mask in, bool (total,)."""
        self.quiet = np.where(kept, 0, self.quiet + 1)

    def due(self, alive: Bools) -> Bools | None:
        """The channels that would be left without those masked for long, if that saves a tenth of the MACs.

        Args:
            alive: bool (total,): what is in the network now.

        Returns:
            bool (total,), or None when it isn't worth it. Classes that are cut together lose equally many.
        """
        left = alive.copy()
        for group in self._selector.free:
            parts = [self._slices[name] for name in group.classes]
            count = min(int((self.quiet[part] >= self.after)[alive[part]].sum()) for part in parts)
            for part in parts:
                living = np.flatnonzero(alive[part])
                longest = living[np.argsort(-self.quiet[part][living], kind="stable")[:count]]
                left[part.start + longest] = False
        now, then = self._macs(alive), self._macs(left)
        return left if now - then >= _LEAST * now else None

    def _macs(self, alive: Bools) -> int:
        return int(self._selector.totals(self.widths(alive))[0, TOTALS.index("macs")])

    def widths(self, alive: Bools) -> npt.NDArray[np.int64]:
        """Living channels of each group."""
        return np.array(
            [int(alive[self._slices[group.classes[0]]].sum()) for group in self._selector.free], dtype=np.int64
        )
