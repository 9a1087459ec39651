"""What a detector returns for one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from linnet.nuclei.points.columns import Count
from linnet.nuclei.points.write import write_detections


@dataclass(frozen=True)
class Detections:
    """Nuclei found in one image, sorted by (y, x).

    Attributes:
        points: (n, 2) float64, y and x in pixels of the input image; pixel centres are integers.
        score: (n,) height of the proximity map at each point, 0..1; a rank, not a probability.
        confidence: (n,) calibrated probability that the point is a nucleus, or None for an uncalibrated model.
        sd_px: (n,) standard deviation of the centre in pixels, or None for an uncalibrated model.
        count: The number of points and, for a calibrated model, its interval.
        flag: "ok", "look" when a person should look at this image, or "out_of_domain" when it is unlike those that the
            detector learned from; `flag_reasons` says why.
        flag_reasons: One phrase per reason.
        scale: Factor by which the image was resized before detection.
        diameter_px: Diameter of the nuclei in this image that the search went by, or None when it isn't known.
        pixel_size_um: Side of one pixel in micrometres, or None when it isn't known.
        ood_score: How far the image is from those that the detector learned from; higher is farther. None for a
            detector that doesn't know them.
        shape: (height, width) of the input image in pixels.
        diameters_px: (n,) equivalent diameter of each nucleus in pixels of the input image, or None for a model that
            doesn't regress it.
        intensities: Mean of each channel over the disc of each nucleus, (n,) by the channel's name, in the image's own
            units; empty for a model that gives no diameters.
    """

    points: Float64[np.ndarray, "n 2"]
    score: Float64[np.ndarray, " n"]
    shape: tuple[int, int]
    count: Count
    confidence: Float64[np.ndarray, " n"] | None = None
    sd_px: Float64[np.ndarray, " n"] | None = None
    flag: str = "ok"
    flag_reasons: tuple[str, ...] = ()
    scale: float = 1.0
    diameter_px: float | None = None
    pixel_size_um: float | None = None
    diameters_px: Float64[np.ndarray, " n"] | None = None
    ood_score: float | None = None
    intensities: Mapping[str, Float64[np.ndarray, " n"]] = field(default_factory=dict)

    def __len__(self) -> int:
        """Number of nuclei."""
        return len(self.points)

    def write(self, path: str | Path) -> Path:
        """Write the points to `path` in the format of its suffix: .csv, .geojson or .json.

        Raises:
            InputError: the suffix names no format.
        """
        return write_detections(self, Path(path))
