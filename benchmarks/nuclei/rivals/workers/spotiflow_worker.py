"""Spotiflow: spots as peaks of a heat map with a flow towards them, trained from points."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from protocol import LOWEST, Find, Picture, colour, main

try:
    import torchvision  # noqa: F401 - Spotiflow crops with it
except RuntimeError:  # its compiled operators are of another build of torch; none that its import asks for is called
    for _name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{_name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import lightning.pytorch as pl
from spotiflow.model import Spotiflow, SpotiflowModelConfig
from spotiflow.model.config import SpotiflowTrainingConfig
from spotiflow.model.trainer import SpotiflowModelCheckpoint

_OPTIMIZER = "optimizer.pt"
_SIGMA_PX = 3  # of its targets, which its default of 1 makes for points of light


class SpotiflowDetector:
    """Its network for three channels; all but the width of its targets as the library has it."""

    def train(self, train: Sequence[Picture], val: Sequence[Picture], folder: Path, seconds: float) -> dict[str, Any]:
        """Trains for so many CPU seconds, going on with the last weights and the optimizer's state."""
        pl.seed_everything(0)
        torch.set_num_threads(1)
        goes_on = (folder / "last.pt").exists()
        model = Spotiflow(SpotiflowModelConfig(in_channels=3, sigma=_SIGMA_PX))
        if goes_on:
            model.load(str(folder), which="last", inference_mode=False, map_location="cpu")
        told = SpotiflowTrainingConfig(num_epochs=10_000)
        clock = _Clock(seconds, folder / _OPTIMIZER)
        learned, judged = (([colour(p.pixels) for p in part], [p.centres for p in part]) for part in (train, val))
        model.fit(
            *learned,
            *judged,
            normalizer=None,
            train_config=told,
            device="cpu",
            logger=False,  # pyright: ignore[reportArgumentType]
            callbacks=[_Last(folder, told), clock],
        )
        versions = f"spotiflow {version('spotiflow')}, torch {torch.__version__}"
        facts = {"steps": clock.steps, "train_cpu_s": clock.spent, "versions": versions}
        facts |= {"file_bytes": (folder / "last.pt").stat().st_size}
        return facts | {"parameters": sum(parameter.numel() for parameter in model.parameters())}

    def load(self, folder: Path, threshold: float | None) -> Find:
        """The last weights; peaks are at least as far apart as the targets are wide."""
        torch.set_num_threads(1)
        model = Spotiflow.from_folder(str(folder), which="last", map_location="cpu")
        least = LOWEST if threshold is None else threshold

        def find(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            points, details = model.predict(
                colour(pixels), prob_thresh=least, min_distance=_SIGMA_PX, normalizer=None, verbose=False, device="cpu"
            )
            return points, np.asarray(details.prob)

        return find


class _Last(SpotiflowModelCheckpoint):
    """Keeps the last weights: budgets may end before the first validation, so that there are no best ones."""

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nothing is chosen by the validation loss."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Saves the model."""
        pl_module.model.save(self._logdir, which="last")


class _Clock(pl.Callback):
    """Stops the training after so many CPU seconds of this process; keeps the optimizer's state for the next."""

    def __init__(self, seconds: float, file: Path) -> None:
        self.seconds, self.file, self.steps, self.spent = seconds, file, 0, 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Before the first step."""
        if self.file.exists():
            trainer.optimizers[0].load_state_dict(torch.load(self.file, weights_only=True))
        self._began = time.process_time()

    def on_train_batch_end(self, trainer: pl.Trainer, *told: object) -> None:
        """After each step."""
        self.steps += 1
        self.spent = time.process_time() - self._began
        if self.spent >= self.seconds:
            trainer.should_stop = True

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After the last step."""
        torch.save(trainer.optimizers[0].state_dict(), self.file)


if __name__ == "__main__":
    main(SpotiflowDetector())
