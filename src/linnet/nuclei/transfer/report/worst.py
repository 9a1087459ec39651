"""The worst transfer, shown: what a detector for one group finds on another, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from linnet.engine.trials.trial import Trial
from linnet.nuclei.points.columns import Count
from linnet.nuclei.points.detections import Detections
from linnet.nuclei.scoring.scores import evaluate
from linnet.nuclei.transfer.findings import Findings
from linnet.nuclei.transfer.groups import Group
from linnet.nuclei.transfer.kept import kept_network
from linnet.nuclei.transfer.training import network_file

_SIDE = 512


@dataclass(frozen=True)
class Shown:
    """One test image with points drawn on it.

    Attributes:
        caption: What it shows.
        pixels: (h, w, 3) uint8.
    """

    caption: str
    pixels: NDArray[np.uint8]


def worst_pair(findings: Findings) -> tuple[str, str] | None:
    """The source and target with the lowest F1 of the matrix; None where no pair is finished."""
    cells = {
        (source, target): cell.mean
        for source in findings.groups
        for target in findings.groups
        if source != target and (cell := findings.cell(source, target)) is not None
    }
    return min(cells, key=lambda pair: (cells[pair], pair), default=None)


def worst_pictures(findings: Findings, groups: Mapping[str, Group], folder: Path) -> list[Shown]:
    """The truth, what the worst source's detector finds and what the target's own finds in one test image.

    The image is the one of the first seed's test images in which the two detectors differ most in F1. Nothing is shown
    where no pair is finished or the networks aren't in the folder.
    """
    from linnet.nuclei.batch.overlay import draw_overlay

    pair = worst_pair(findings)
    files = [] if pair is None else [network_file(folder, Trial("alone", {"group": g, "seed": 0})) for g in pair]
    if pair is None or not all(file.is_file() for file in files):
        return []
    source, target = pair
    strange, own = (kept_network(file) for file in files)
    radius, best = findings.study.settings["radius_px"], None
    for image in groups[target].of("test", findings.study.settings["test_images"]):
        pixels = image.pixels()
        found = [detector(pixels, diameter_px=None) for detector in (strange, own)]
        scores = [float(np.nan_to_num(evaluate(image.points, each.points, radius).f1)) for each in found]
        if best is None or scores[1] - scores[0] > best[0]:
            best = (scores[1] - scores[0], image, pixels, found, scores)
    assert best is not None
    _, image, pixels, found, scores = best
    truth = Detections(image.points, np.ones(len(image.points)), shape=pixels.shape[:2], count=Count(len(image.points)))
    drawn = [draw_overlay(pixels, points, max_side=_SIDE, legend=False) for points in (truth, *found)]
    texts = (
        f"Truth: {len(image.points)} nuclei in a test image of {target}",
        f"Trained on {source}: {len(found[0].points)} found, F1 {scores[0]:.2f}",
        f"Trained on {target}: {len(found[1].points)} found, F1 {scores[1]:.2f}",
    )
    return [Shown(text, picture) for text, picture in zip(texts, drawn, strict=True)]
