"""Matched, surplus and missed points of each test picture, as they stand in a record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from linnet.data.nuclei import NucleusImage
from linnet.nuclei.detector.detector import Detector
from linnet.nuclei.scoring.scores import evaluate
from linnet.results import Record

Radius = Literal["px", "half"]
RADII: tuple[Radius, ...] = ("px", "half")
FACT = "counts"  # the record's fact that holds them


@dataclass(frozen=True)
class Counts:
    """(pictures, 3) matched, surplus and missed points, and the pictures' names."""

    pictures: tuple[str, ...]
    table: np.ndarray

    @property
    def f1(self) -> float:
        """Pooled over the pictures; NaN without any point."""
        return float(f1_of(self.table.sum(axis=0)))


def f1_of(sums: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) of (..., 3) sums; NaN where there is no point."""
    tp, fp, fn = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    whole = 2 * tp + fp + fn
    return np.where(whole > 0, 2 * tp / np.where(whole > 0, whole, 1), np.nan)


def count(detector: Detector, images: Sequence[NucleusImage], radii: Mapping[Radius, float]) -> dict[Radius, Counts]:
    """Counts of a detector over images at their own size, at each radius.

    Args:
        detector: With its thresholds.
        images: Of one group.
        radii: Largest distance of a matched pair in pixels.
    """
    found = {image.image_id: detector(image.pixels(), diameter_px=None).points for image in images}
    truth = {image.image_id: image.points for image in images}
    picture = {image.image_id: image.mosaic_id for image in images}
    result: dict[Radius, Counts] = {}
    for radius, px in radii.items():
        sums: dict[str, np.ndarray] = {}
        for score in evaluate(truth, found, px).per_image:
            row = np.array([score.tp, score.fp, score.fn])
            sums[picture[score.image]] = sums.get(picture[score.image], np.zeros(3, dtype=int)) + row
        names = tuple(sorted(sums))
        result[radius] = Counts(names, np.stack([sums[name] for name in names]))
    return result


def as_fact(counts: Mapping[str, Mapping[Radius, Counts]]) -> str:
    """Counts by group and radius as one line of JSON."""
    plain = {
        group: {radius: dict(zip(c.pictures, c.table.tolist(), strict=True)) for radius, c in by_radius.items()}
        for group, by_radius in counts.items()
    }
    return json.dumps(plain, separators=(",", ":"))


def counts_of(record: Record, group: str, radius: Radius) -> Counts | None:
    """The counts of a record on a group; None where it wasn't tested there."""
    found = _parsed(str(record.context[FACT])).get(group)
    if found is None:
        return None
    rows = found[radius]
    return Counts(tuple(rows), np.array(list(rows.values()), dtype=int).reshape(-1, 3))


@lru_cache(maxsize=4096)  # a page asks each record some hundred times
def _parsed(text: str) -> dict[str, dict[str, dict[str, list[int]]]]:
    return json.loads(text)
