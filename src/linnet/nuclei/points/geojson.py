"""Detections as GeoJSON for QuPath, and points from GeoJSON.

QuPath puts the corner of the first pixel at 0 and writes x before y: pixel (y, x) is the point (x + 0.5, y + 0.5).
"""

import hashlib
import json
import math
import uuid
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linnet.errors import PointsError
from linnet.nuclei.points.columns import PointColumns

_COLOR = (33, 145, 140)  # the middle of viridis
_NAMES = uuid.uuid5(uuid.NAMESPACE_URL, "linnet/nuclei")


def geojson_lines(detections: PointColumns, digest: str = "") -> Iterator[str]:
    """The pieces of a FeatureCollection, one feature a line, so that it is never in memory as a whole.

    Args:
        detections: What to write.
        digest: SHA-256 of the image; with the index it gives each feature its id, the same in every run. Without it the
            points' own digest stands in.

    Raises:
        PointsError: a coordinate isn't finite.
    """
    if not np.isfinite(detections.points).all():
        raise PointsError("A point is NaN or infinite, which GeoJSON can't hold. Drop it before writing.")
    key = digest or hashlib.sha256(np.ascontiguousarray(detections.points).tobytes()).hexdigest()
    yield '{"type": "FeatureCollection", "features": ['
    for index in range(len(detections)):
        yield (",\n" if index else "\n") + json.dumps(
            _feature(detections, key, index), ensure_ascii=False, allow_nan=False
        )
    yield "\n]}\n"


def to_geojson(detections: PointColumns, digest: str = "") -> str:
    """The whole of `geojson_lines` as one string."""
    return "".join(geojson_lines(detections, digest))


def from_geojson(text: str, *, name: str = "GeoJSON") -> NDArray[np.float64]:
    """Points of Point and MultiPoint geometries, in the order of the file.

    Args:
        text: A FeatureCollection, a Feature, a geometry, or a list of features.
        name: Name of the file, for messages.

    Returns:
        (n, 2) y, x; pixel centres at integers.

    Raises:
        PointsError: it is no GeoJSON, or holds other shapes or values that aren't numbers.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PointsError(f"{name}: this is no JSON ({error}). Export it again.") from error
    pairs = [_pair(p, name) for geometry in _geometries(content, name) for p in _positions(geometry, name)]
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def _feature(detections: PointColumns, key: str, index: int) -> dict[str, Any]:
    y, x = detections.points[index].tolist()
    measured = {"confidence": detections.confidence, "score": detections.score, "sd_px": detections.sd_px}
    values = {name: float(column[index]) for name, column in measured.items() if column is not None}
    return {
        "type": "Feature",
        "id": str(uuid.uuid5(_NAMES, f"{key}/{index}")),
        "geometry": {"type": "Point", "coordinates": [x + 0.5, y + 0.5]},
        "properties": {
            "objectType": "detection",
            "classification": {"name": "Nucleus", "color": list(_COLOR)},
            "measurements": {name: value for name, value in values.items() if math.isfinite(value)},
        },
    }


def _geometries(content: Any, name: str) -> Iterator[dict[str, Any]]:
    if isinstance(content, list):
        for feature in content:
            yield from _geometries(feature, name)
        return
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "FeatureCollection":
        features = content.get("features")
        yield from _geometries(features if isinstance(features, list) else None, name)
    elif kind == "Feature":
        yield from _geometries(content.get("geometry"), name)
    elif kind in ("Point", "MultiPoint"):
        yield content
    else:
        found = f"a {kind}" if isinstance(kind, str) else f"{str(content)[:40]!r}"
        raise PointsError(
            f"{name}: it holds {found}; points are read from Point and MultiPoint geometries. In QuPath, export "
            "detections "
            "or point annotations as GeoJSON."
        )


def _positions(geometry: dict[str, Any], name: str) -> list[Any]:
    coordinates = geometry.get("coordinates")
    if geometry["type"] == "Point":
        return [coordinates]
    if not isinstance(coordinates, list):
        raise PointsError(f"{name}: a MultiPoint has no list of coordinates. Export it again.")
    return coordinates


def _pair(position: Any, name: str) -> tuple[float, float]:
    good = isinstance(position, list) and len(position) >= 2
    if not good or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in position[:2]):
        raise PointsError(f"{name}: {str(position)[:40]!r} is no position; [x, y] in pixels was needed.")
    try:
        x, y = float(position[0]), float(position[1])
    except OverflowError:
        x = y = math.inf
    if not (math.isfinite(x) and math.isfinite(y)):
        raise PointsError(f"{name}: {str(position)[:40]} isn't finite. Drop this point.")
    return y - 0.5, x - 0.5
