"""What a study will take, before anything starts: trainings, time and disk."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from linnet.engine import Compute
from linnet.nuclei.detector.detector import Detector
from linnet.nuclei.detector.files import new_network
from linnet.nuclei.training.crops import Annotated, CropLoader
from linnet.nuclei.training.task import NucleusTask
from linnet.nuclei.transfer.running import Prepared

_STEPS = 3  # that are timed, after one that isn't
_FILE_SHARE = 1.02  # a network's file over its weights
_SIDES = {"train": "train on", "val": "validate", "test": "test"}
_RECORD_BYTES = 60  # of a record for each group, radius and picture


@dataclass(frozen=True)
class Forecast:
    """A study before it starts.

    Attributes:
        groups: Each in a line.
        trainings: Their number by part.
        wall_s: Seconds with the given workers, from a few steps timed now.
        disk_bytes: Networks and records.
    """

    groups: Sequence[str]
    trainings: Mapping[str, int]
    wall_s: float
    disk_bytes: int

    def lines(self) -> list[str]:
        """In words."""
        parts = ", ".join(f"{count} {part}" for part, count in self.trainings.items())
        return [
            *self.groups,
            f"{sum(self.trainings.values())} trainings: {parts}",
            f"about {_duration(self.wall_s)} on this machine (a few steps were timed now)",
            f"about {self.disk_bytes / 1e6:.0f} MB on disk",
        ]


def forecast(prepared: Prepared, *, workers: int = 0) -> Forecast:
    """Counts the trainings, times a few steps and one search, and adds up."""
    settings, parts = prepared.plan.settings, prepared.trainings.count()
    step_s, pixel_s, weights = _timed(prepared)
    shots = parts.get("few target images", 0)
    steps = settings.steps * (sum(parts.values()) - shots) + settings.shot_steps * shots
    images = [i for group in prepared.groups.values() for i in group.of("test", settings.test_images)]
    pixels = sum(int(np.prod(image.pixels().shape[:2])) for image in images)
    total = (
        steps * step_s + sum(parts.values()) * pixels * pixel_s * 1.5
    )  # thresholds and validation: half as much again
    pictures = sum(len(group.pictures("test")) for group in prepared.groups.values())
    kept = sum(parts.get(part, 0) for part in ("each group alone", "mixtures of all other groups"))
    disk = kept * weights * _FILE_SHARE + sum(parts.values()) * pictures * 2 * _RECORD_BYTES
    cores = max(1, (os.cpu_count() or 1) // settings.threads)
    return Forecast(_groups(prepared), parts, total / max(1, min(workers, cores)), int(disk))


def _groups(prepared: Prepared) -> list[str]:
    """What each group has, and what of its folder is left out."""
    lines = []
    for name, facts in prepared.description.groups.items():
        sides = ", ".join(f"{facts.pictures[side]} to {words}" for side, words in _SIDES.items())
        left_out = prepared.groups[name].left_out
        more = f"; {left_out} image(s) without points are left out" if left_out else ""
        lines.append(f"{name}: {sum(facts.pictures.values())} pictures ({sides}), {facts.nuclei:,} nuclei{more}")
    return lines


def _timed(prepared: Prepared) -> tuple[float, float, int]:
    """Seconds of a step and of a searched pixel, and the bytes of the weights."""
    settings = prepared.plan.settings
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        image = next(iter(prepared.groups.values())).of("train", 1)[0]
        annotated = Annotated(image.pixels(), image.points)
        with torch.random.fork_rng(devices=[]):
            network = new_network(settings.preset)
            loader = CropLoader(
                [annotated],
                int(network.stride),  # pyright: ignore[reportArgumentType]
                batches=_STEPS + 1,
                batch_size=settings.batch_size,
                side=settings.side,
            )
            step_s = _steps(network, loader)
        detector = Detector(network.cpu().eval(), settings.preset)
        began = time.perf_counter()
        detector(annotated.pixels, diameter_px=None)
        pixel_s = (time.perf_counter() - began) / float(np.prod(annotated.pixels.shape[:2]))
    finally:
        torch.set_num_threads(before)
    return step_s, pixel_s, sum(p.numel() * p.element_size() for p in network.parameters())


def _steps(network: torch.nn.Module, loader: CropLoader) -> float:
    compute, task = Compute.pick(), NucleusTask(())
    network.to(compute.device)
    optimizer = torch.optim.AdamW(network.parameters())
    began = 0.0
    for number, batch in enumerate(loader.epoch(0)):
        if number == 1:
            began = time.perf_counter()
        loss, _ = task.loss(network, {name: value.to(compute.device) for name, value in batch.items()})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return (time.perf_counter() - began) / _STEPS


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
