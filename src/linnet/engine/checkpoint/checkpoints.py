"""Checkpoints: where a run's checkpoints are kept, and how many."""

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Checkpoints:
    """Options of `fit` for what it writes while it trains.

    `fit` checks the values, and names the field that can't be used.

    Attributes:
        folder: Where checkpoints are kept; None makes none.
        every: Updates between checkpoints; after each epoch if None. One is always made before the first update (so
            that an unwritable folder is known at once) and one at the end.
        keep: Newest checkpoints that stay.
        resume: Go on from the folder's last checkpoint. False starts anew and removes the checkpoints in it.

    Example:
        >>> from linnet.engine import Checkpoints
        >>> Checkpoints("runs/digits", every=500)
        Checkpoints(folder='runs/digits', every=500, keep=2, resume=True)
    """

    folder: str | os.PathLike[str] | None = None
    every: int | None = None
    keep: int = 2
    resume: bool = True
