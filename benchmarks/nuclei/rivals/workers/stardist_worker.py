"""StarDist: outlines as star-convex polygons, trained from label images; its point is the polygon's own centre."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from protocol import LOWEST, Find, Picture, colour, main
from stardist.models import Config2D, StarDist2D

_LAST, _OPTIMIZER = "weights_last.h5", "optimizer.npz"
# Side of the patches and learning rate: the library's own, and ones that make more of few minutes.
_SETTINGS = {"stardist": (256, 3e-4), "stardist_short": (128, 1e-3)}


class StarDist:
    """Its network with a grid of 2 and 32 rays; the folder's name tells patches and learning rate."""

    def train(self, train: Sequence[Picture], val: Sequence[Picture], folder: Path, seconds: float) -> dict[str, Any]:
        """Trains for so many CPU seconds, going on with the last weights and the optimizer's state."""
        goes_on = (folder / "model" / _LAST).exists()
        side, rate = _SETTINGS[folder.name]
        config = Config2D(
            n_channel_in=3,
            grid=(2, 2),
            n_rays=32,
            train_patch_size=(side, side),
            train_learning_rate=rate,
            train_tensorboard=False,
            train_checkpoint_epoch=None,
        )
        model = StarDist2D(None if goes_on else config, name="model", basedir=str(folder))
        model.config.train_tensorboard = False
        model.prepare_for_training()
        if goes_on:
            model.load_weights(_LAST)
            _restore(model.keras_model.optimizer, folder / _OPTIMIZER)
        clock = _Clock(seconds, first_batch_counts=not goes_on)
        model.callbacks.append(clock)
        learned, judged = (([colour(p.pixels) for p in part], [p.outlines for p in part]) for part in (train, val))
        model.train(*learned, judged, augmenter=_augment, seed=0, epochs=10_000, steps_per_epoch=100)
        state: dict[str, np.ndarray] = {}
        model.keras_model.optimizer.save_own_variables(state)
        np.savez(folder / _OPTIMIZER, **state)
        versions = f"stardist {version('stardist')}, tensorflow {tf.__version__}"
        size = (folder / "model" / "weights_best.h5").stat().st_size
        facts = {"steps": clock.steps, "train_cpu_s": clock.spent, "file_bytes": size, "versions": versions}
        return facts | {"parameters": model.keras_model.count_params()}

    def load(self, folder: Path, threshold: float | None) -> Find:
        """The weights with the lowest validation loss; polygons overlap by at most 0.4, the library's own default."""
        model = StarDist2D(None, name="model", basedir=str(folder))
        least = LOWEST if threshold is None else threshold

        def find(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            _, found = model.predict_instances(
                colour(pixels), prob_thresh=least, nms_thresh=0.4, return_labels=False, show_tile_progress=False
            )
            return found["points"], found["prob"]

        return find


class _Clock(tf.keras.callbacks.Callback):
    """Stops the training after so many CPU seconds of this process."""

    def __init__(self, seconds: float, *, first_batch_counts: bool) -> None:
        super().__init__()
        self.seconds, self.steps, self.spent = seconds, 0, 0.0
        self._counts, self._began = first_batch_counts, time.process_time()

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """After each step."""
        if self.steps == 0 and not self._counts:
            self._began = time.process_time()  # the graph is traced again whenever training goes on
        self.steps += 1
        self.spent = time.process_time() - self._began
        if self.spent >= self.seconds:
            self.model.stop_training = True


def _augment(pixels: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turns, mirror images and other brightness, as the library's own example for this set has them."""
    turns, mirrored = np.random.randint(4), np.random.rand() < 0.5  # noqa: NPY002 - `train(seed=)` seeds this generator
    pixels, labels = np.rot90(pixels, turns), np.rot90(labels, turns)
    if mirrored:
        pixels, labels = pixels[::-1], labels[::-1]
    gain, shift = np.random.uniform(0.6, 2), np.random.uniform(-0.2, 0.2)  # noqa: NPY002
    noise = 0.02 * np.random.uniform(0, 1) * np.random.normal(0, 1, pixels.shape)  # noqa: NPY002
    return (pixels * gain + shift + noise).astype(np.float32), labels


def _restore(optimizer: Any, file: Path) -> None:
    with np.load(file) as state:
        optimizer.load_own_variables({name: state[name] for name in state.files})


if __name__ == "__main__":
    main(StarDist())
