"""What a nucleus network is trained for, and how its thresholds are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from linnet.engine import Compute
from linnet.nuclei.detector.detector import Detector, Thresholds, peaks_in, settle
from linnet.nuclei.scoring.scores import Evaluation, evaluate
from linnet.nuclei.training.crops import Annotated
from linnet.nuclei.training.loss import ProximityLoss

WINDOWS = (1, 2, 3)  # cells
APART_PX = (3.0, 4.0, 5.0, 6.0)
SCORES = tuple(float(s) for s in np.round(np.arange(0.1, 0.71, 0.04), 2))


@dataclass(frozen=True)
class NucleusTask:
    """Loss on batches of crops; F1 at 5 px on validation images, with the default thresholds.

    Attributes:
        validation: Annotated images that are never trained on; empty for no validation.
        loss_of: The loss.
        preset: Name of the network.
    """

    validation: Sequence[Annotated] = ()
    loss_of: ProximityLoss = field(default_factory=ProximityLoss)
    preset: str = "small"

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean loss of a batch of crops, and its parts."""
        return self.loss_of(model(batch["image"].contiguous(memory_format=torch.channels_last)), batch)

    def validate(self, model: nn.Module, compute: Compute) -> dict[str, float]:
        """F1, precision and recall over the validation images, with the default thresholds."""
        if not self.validation:
            return {}
        scores = score_images(Detector(model, self.preset), self.validation)
        return {"f1": scores.f1, "precision": scores.precision, "recall": scores.recall}


def score_images(detector: Detector, images: Sequence[Annotated], radius_px: float = 5.0) -> Evaluation:
    """Scores of a detector over annotated images at their own size; image k is called by its place, "0", "1", ..."""
    truth = {str(k): image.points for k, image in enumerate(images)}
    found = {str(k): detector(image.pixels, diameter_px=None).points for k, image in enumerate(images)}
    return evaluate(truth, found, radius_px)


def choose_thresholds(detector: Detector, images: Sequence[Annotated], radius_px: float = 5.0) -> Thresholds:
    """The thresholds with the best pooled F1 over annotated images; ties go to the first in the grid's order.

    Every combination of WINDOWS, APART_PX and SCORES is tried. A higher score threshold removes points only, so each
    image is searched once per (window, distance) at the lowest threshold.

    Args:
        detector: Its own thresholds don't matter.
        images: Validation images, or the training images where there are no others.
        radius_px: Largest distance of a matched pair.
    """
    truth = {str(k): image.points for k, image in enumerate(images)}
    varied = {str(k): image.pixels for k, image in enumerate(images) if not image.range.constant}
    outputs = {name: detector.whole(pixels) for name, pixels in varied.items()}
    best, best_f1 = Thresholds(), -1.0
    for window in WINDOWS:
        loose = Thresholds(SCORES[0], window)
        peaks = {name: peaks_in(output, tile, detector.stride, loose) for name, (_, tile, output) in outputs.items()}
        for apart in APART_PX:
            settled = {
                name: settle(points, logit, outputs[name][0], Thresholds(SCORES[0], window, apart))
                for name, (points, logit) in peaks.items()
            }
            for score in SCORES:
                found = {name: points[height > score] for name, (points, height) in settled.items()}
                f1 = evaluate(truth, found, radius_px).f1
                if f1 > best_f1:
                    best, best_f1 = Thresholds(score, window, apart), f1
    return best
