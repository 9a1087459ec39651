"""Detections as GeoJSON for QuPath, and points from GeoJSON.

QuPath puts the corner of the first pixel at 0 and writes x before y: pixel (y, x) is the point (x + 0.5, y + 0.5).
"""

import hashlib
import json
import logging
import math
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linnet.errors import PointsError
from linnet.nuclei.points.columns import PointColumns, measured_columns
from linnet.nuclei.points.outlines import outline_centroid, turned

_log = logging.getLogger(__name__)

_COLOR = (33, 145, 140)  # the middle of viridis
_POINTS, _AREAS, _LINES = ("Point", "MultiPoint"), ("Polygon", "MultiPolygon"), ("LineString", "MultiLineString")
_REGIONS, _OLD_REGIONS = ("annotation", "tile", "tma_core", "root"), ("PathAnnotationObject", "PathTileObject")
_EMPTY, _REGION, _LINE = "features without geometry", "annotated regions", "lines"
_ONE = {_EMPTY: "feature without geometry", _REGION: "annotated region", _LINE: "line"}
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
    measured = measured_columns(detections)
    yield '{"type": "FeatureCollection", "features": ['
    for index in range(len(detections)):
        yield (",\n" if index else "\n") + json.dumps(
            _feature(detections, measured, key, index), ensure_ascii=False, allow_nan=False
        )
    yield "\n]}\n"


def to_geojson(detections: PointColumns, digest: str = "") -> str:
    """The whole of `geojson_lines` as one string."""
    return "".join(geojson_lines(detections, digest))


def from_geojson(text: str, *, name: str = "GeoJSON") -> NDArray[np.float64]:
    """Points, and the centroids of cells and other areas, in the order of the file.

    A cell of QuPath has the outline of its nucleus beside its own: that one is taken. Areas that QuPath calls
    annotations are regions and no nuclei; they, lines and features without geometry are left out, and a warning counts
    them.

    Args:
        text: A FeatureCollection, a Feature, a geometry, or a list of features.
        name: Name of the file, for messages.

    Returns:
        (n, 2) y, x; pixel centres at integers.

    Raises:
        PointsError: it is no GeoJSON, holds no nucleus but other shapes, or values that aren't numbers.
    """
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PointsError(f"{name}: this is no JSON ({error}). Export it again.") from error
    pairs, left_out = [], Counter[str]()
    for shape in _shapes(content, name):
        if shape.why_not:
            left_out[shape.why_not] += 1
        else:
            pairs += [_pair(position, name) for position in shape.positions(name)]
    if left_out:
        shown = ", ".join(f"{n} {what if n > 1 else _ONE[what]}" for what, n in sorted(left_out.items()))
        if not pairs and set(left_out) - {_EMPTY}:
            raise PointsError(f"{name}: it holds no nucleus: {shown}. Export detections, cells or points from QuPath.")
        _log.warning("%s: %s left out; %d points were taken.", name, shown, len(pairs))
    return np.array(pairs, dtype=np.float64).reshape(-1, 2)


def _feature(
    detections: PointColumns, measured: Mapping[str, NDArray[np.float64]], key: str, index: int
) -> dict[str, Any]:
    y, x = detections.points[index].tolist()
    values = {name: float(column[index]) for name, column in measured.items()}
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


@dataclass(frozen=True)
class _Shape:
    """A geometry that is read, or why it is left out."""

    kind: str
    coordinates: Any
    why_not: str = ""

    def positions(self, name: str) -> list[Any]:
        """Positions [x, y] of its nuclei: each point, or the centroid of an area."""
        if self.kind == "Point":
            return [self.coordinates]
        if not isinstance(self.coordinates, list):
            raise PointsError(f"{name}: a {self.kind} has no list of coordinates. Export it again.")
        if self.kind == "MultiPoint":
            return self.coordinates
        polygons = self.coordinates if self.kind == "MultiPolygon" else [self.coordinates]
        return [list(_centroid(polygons, self.kind, name))]


def _shapes(content: Any, name: str) -> Iterator[_Shape]:
    if isinstance(content, list):
        for feature in content:
            yield from _shapes(feature, name)
        return
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "FeatureCollection":
        features = content.get("features")
        yield from _shapes(features if isinstance(features, list) else None, name)
    elif kind == "Feature":
        yield from _of_feature(content, name)
    elif kind == "GeometryCollection":
        yield from _shapes(content.get("geometries"), name)
    elif kind in (*_POINTS, *_AREAS):
        yield _Shape(kind, content.get("coordinates"))
    elif kind in _LINES:
        yield _Shape(kind, None, _LINE)
    else:
        found = f"a {kind}" if isinstance(kind, str) else f"{str(content)[:40]!r}"
        raise PointsError(
            f"{name}: it holds {found}; Point, MultiPoint, Polygon and MultiPolygon geometries are read. In QuPath, "
            "export detections or point annotations as GeoJSON."
        )


def _of_feature(feature: dict[str, Any], name: str) -> Iterator[_Shape]:
    properties = feature.get("properties")
    role = properties.get("objectType", properties.get("object_type")) if isinstance(properties, dict) else None
    region = role in _REGIONS or feature.get("id") in _OLD_REGIONS
    geometry = feature.get("nucleusGeometry") or feature.get("geometry")
    if geometry is None:
        yield _Shape("", None, _EMPTY)
        return
    for shape in _shapes(geometry, name):
        is_area = shape.kind in _AREAS
        yield _Shape(shape.kind, None, _REGION) if region and is_area and not shape.why_not else shape


def _centroid(polygons: list[Any], kind: str, name: str) -> tuple[float, float]:
    """[x, y] of the centroid of polygons, each an outline and its holes."""
    rings = []
    for polygon in polygons:
        if not isinstance(polygon, list) or not polygon:
            raise PointsError(f"{name}: a {kind} has no outline. Export it again.")
        for place, ring in enumerate(polygon):
            if not isinstance(ring, list) or not ring:
                raise PointsError(f"{name}: an outline of a {kind} has no vertices. Export it again.")
            corners = [_numbers(position, name) for position in ring]
            rings.append(turned(corners, positive=place == 0))
    return outline_centroid(rings)


def _pair(position: Any, name: str) -> tuple[float, float]:
    x, y = _numbers(position, name)
    return y - 0.5, x - 0.5


def _numbers(position: Any, name: str) -> tuple[float, float]:
    """(x, y) of a position, which may have more coordinates."""
    good = isinstance(position, list) and len(position) >= 2
    if not good or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in position[:2]):
        raise PointsError(f"{name}: {str(position)[:40]!r} is no position; [x, y] in pixels was needed.")
    try:
        x, y = float(position[0]), float(position[1])
    except OverflowError:
        x = y = math.inf
    if not (math.isfinite(x) and math.isfinite(y)):
        raise PointsError(f"{name}: {str(position)[:40]} isn't finite. Drop this point.")
    return x, y
