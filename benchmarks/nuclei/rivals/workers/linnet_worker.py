"""linnet: the trainer of `linnet.nuclei.train` with as many steps as fit into the CPU seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from protocol import Find, Picture, main

import linnet
from linnet.engine import Average, Compute, Schedule, fit
from linnet.nuclei import Detector
from linnet.nuclei import load as load_detector
from linnet.nuclei.detector.files import new_network
from linnet.nuclei.training.crops import Annotated, CropLoader
from linnet.nuclei.training.task import NucleusTask, choose_thresholds

_FILE, _PRESET, _TRIAL_STEPS = "detector.safetensors", "small", 20


class Linnet:
    """A detector from scratch, with the settings of `linnet.nuclei.train`."""

    def train(self, train: Sequence[Picture], val: Sequence[Picture], folder: Path, seconds: float) -> dict[str, Any]:
        """Trains for so many CPU seconds: a short trial, which isn't counted, tells how many steps they are."""
        torch.set_num_threads(1)
        learned, judged = ([Annotated(p.pixels, p.centres, p.group) for p in part] for part in (train, val))
        _fitted(learned, 2)
        trial = time.process_time()
        _fitted(learned, _TRIAL_STEPS)
        steps = max(1, int(seconds / (time.process_time() - trial) * _TRIAL_STEPS))
        began = time.process_time()
        raw = _fitted(learned, steps)
        trained = time.process_time()
        detector = Detector(raw.network, _PRESET, choose_thresholds(raw, judged))
        chosen = time.process_time() - trained
        detector.save(folder / _FILE)
        facts = {"steps": steps, "train_cpu_s": trained - began, "choose_cpu_s": chosen}
        facts |= {"file_bytes": (folder / _FILE).stat().st_size, "threshold": detector.thresholds.score}
        facts |= {"versions": f"linnet {linnet.__version__}, torch {torch.__version__}"}
        return facts | {"parameters": sum(p.numel() for p in detector.network.parameters())}

    def load(self, folder: Path, threshold: float | None) -> Find:
        """The detector with its own threshold, which was chosen on the validation images."""
        torch.set_num_threads(1)
        detector = load_detector(folder / _FILE)

        def find(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            found = detector(pixels, diameter_px=None)
            return found.points, found.score

        return find


def _fitted(images: Sequence[Annotated], steps: int) -> Detector:
    torch.manual_seed(0)
    network = new_network(_PRESET).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    result = fit(
        network,
        NucleusTask((), preset=_PRESET),
        CropLoader(images, int(network.stride), batches=steps),  # pyright: ignore[reportArgumentType]
        optimizer=torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2),
        epochs=1,
        schedule=Schedule("cosine", warmup_steps=max(1, min(100, steps // 10))),
        compute=Compute.pick(),
        grad_clip=1.0,
        average=Average(0.995),
        progress="off",
    )
    if result.averaged is not None:
        network.load_state_dict(result.averaged)
    return Detector(network.cpu().eval(), _PRESET)


if __name__ == "__main__":
    main(Linnet())
