"""Cellpose: its network for nuclei, whose weights lie on a model hub; with random ones it takes the same time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cellpose.models import CellposeModel
from protocol import Find, Picture, main

_NUCLEUS_PX = 17.0  # the diameter that its network for nuclei sees: images are searched at their own size


class CellposeNetwork:
    """The network and the tiles of the library, without the step from its flows to outlines."""

    def train(self, train: Sequence[Picture], val: Sequence[Picture], folder: Path, seconds: float) -> dict[str, Any]:
        """Isn't tried."""
        raise NotImplementedError("Cellpose is timed with random weights (it isn't trained here).")

    def load(self, folder: Path, threshold: float | None) -> Find:
        """The network over a picture; it finds no points."""
        torch.set_num_threads(1)
        torch.manual_seed(0)
        model = CellposeModel(gpu=False, pretrained_model=False, diam_mean=_NUCLEUS_PX)

        def find(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            model.eval(pixels, channels=[0, 0], diameter=_NUCLEUS_PX, compute_masks=False)
            return np.empty((0, 2)), np.empty(0)

        return find


if __name__ == "__main__":
    main(CellposeNetwork())
