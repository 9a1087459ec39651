"""Whether another size of the image suits the detector better: a hint, never a silent change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SCALES = (0.25, 0.5, 2.0)
_SIDE = 512  # scaled pixels of the central part that is looked at
_FEW = 5  # points below which a mean score says little
_DOUBTFUL = 0.10  # a mean score less than this above the threshold starts the search
_BETTER = 0.04  # by so much another scale's mean score must be higher

Find = Callable[[Any, float], np.ndarray]
"""(part of the image, scale) -> scores of the points found in it."""


def doubtful(score: np.ndarray, threshold: float) -> bool:
    """Whether the scores at scale 1 are few or low, as they are for nuclei far from the sizes seen in training."""
    return len(score) < _FEW or float(score.mean()) < threshold + _DOUBTFUL


def better_scale(find: Find, image: Any) -> float | None:
    """The scale among SCALES whose points in the image's centre score clearly higher than at scale 1, or None.

    On validation images the mean score is highest where nuclei have about the size the detector was trained for and
    falls on both sides. Each scale looks at its own central part, at most 512 scaled pixels on a side.

    Args:
        find: Runs the detector on a part at a scale.
        image: (h, w) or (h, w, c).

    Source:
        Ours.
    """
    means = {scale: _mean(find(_centre(image, scale), scale)) for scale in (1.0, *SCALES)}
    best = max(means, key=lambda scale: means[scale])
    return best if best != 1.0 and means[best] > means[1.0] + _BETTER else None


def _mean(score: np.ndarray) -> float:
    return float(score.mean()) if len(score) >= _FEW else 0.0


def _centre(image: Any, scale: float) -> np.ndarray:
    side = round(_SIDE / scale)
    top, left = (max(0, (size - side) // 2) for size in image.shape[:2])
    return np.asarray(image[top : top + side, left : left + side])
