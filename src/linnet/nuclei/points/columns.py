"""What the writers of points need of detections, column by column."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Float64


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
    def pixel_size_um(self) -> float | None: ...

    def __len__(self) -> int: ...
