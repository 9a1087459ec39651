"""Before training: do the points lie on what a detector takes for nuclei."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from linnet.nuclei.detector.detector import Detector
from linnet.nuclei.scoring.plausible import plausibility, require_plausible

_PIXELS = 12_000_000  # of images that are looked at; more would cost time and say nothing new


def check_points(images: Mapping[Any, Any], points: Mapping[Any, Any], detector: Detector) -> None:
    """Refuses points that would lie on many more nuclei when they were read otherwise.

    Some of the images are looked at, those with most points first; what isn't an image or a list of points is left to
    the checks that follow.

    Args:
        images: Pixels by name.
        points: (n, 2) y, x by name.
        detector: Finds the nuclei that the points are held against.

    Raises:
        PointsError: says how many of the points lie on a nucleus as given and how many otherwise.
    """
    given = {name: p for name, p in ((name, _points(points.get(name))) for name in images) if p is not None}
    looked: dict[Any, np.ndarray] = {}
    shapes, pixels = {}, 0
    for name in sorted(given, key=lambda key: (-len(given[key]), str(key))):
        shape = np.shape(images[name])
        if len(shape) not in (2, 3) or 0 in shape:
            return
        if looked and pixels + shape[0] * shape[1] > _PIXELS:
            break
        pixels += shape[0] * shape[1]
        shapes[name], looked[name] = (int(shape[0]), int(shape[1])), detector(images[name]).points
    require_plausible(plausibility({name: given[name] for name in looked}, looked, shapes=shapes), "`points`")


def _points(values: Any) -> np.ndarray | None:
    """Points (n, 2), or None for what isn't a list of them."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    good = array.ndim == 2 and array.shape[1] == 2 and len(array) and np.isfinite(array).all()
    return array if good else None
