"""What the writers of points need of detections, column by column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float64

MEAN = "mean_"
"""Begins the names of columns of mean intensities."""


@dataclass(frozen=True)
class Count:
    """Number of nuclei in one image, with its interval where the model carries calibration data.

    Attributes:
        n: Number of points at the threshold.
        lo: Lower end of the interval, or None: a model without calibration data has no interval.
        hi: Upper end of the interval, or None.
        level: Requested coverage (0..1), or None.
    """

    n: int
    lo: int | None = None
    hi: int | None = None
    level: float | None = None


class PointColumns(Protocol):
    """The columns of a table of points, in the units of `Detections`."""

    @property
    def points(self) -> Float64[np.ndarray, "n 2"]: ...
    @property
    def score(self) -> Float64[np.ndarray, " n"]: ...
    @property
    def confidence(self) -> Float64[np.ndarray, " n"] | None: ...
    @property
    def sd_px(self) -> Float64[np.ndarray, " n"] | None: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def count(self) -> Count: ...
    @property
    def flag(self) -> str: ...
    @property
    def flag_reasons(self) -> tuple[str, ...]: ...
    @property
    def scale(self) -> float: ...
    @property
    def diameter_px(self) -> float | None: ...
    @property
    def diameters_px(self) -> Float64[np.ndarray, " n"] | None: ...
    @property
    def intensities(self) -> Mapping[str, Float64[np.ndarray, " n"]]: ...
    @property
    def pixel_size_um(self) -> float | None: ...

    def __len__(self) -> int: ...


def measured_columns(detections: PointColumns) -> dict[str, Float64[np.ndarray, " n"]]:
    """What is known about each nucleus beside its place, by column: scores, sizes and intensities, in that order.

    Areas are those of discs of the diameters; `mean_` and the name of a channel is its mean intensity inside.
    """
    diameters, size = detections.diameters_px, detections.pixel_size_um
    area = None if diameters is None else np.pi / 4 * np.square(diameters)
    columns = {
        "confidence": detections.confidence,
        "score": detections.score,
        "sd_px": detections.sd_px,
        "diameter_px": diameters,
        "area_px": area,
        "area_um2": None if area is None or size is None else area * size**2,
    }
    known = {name: column for name, column in columns.items() if column is not None}
    return known | {f"{MEAN}{name}": column for name, column in detections.intensities.items()}
