"""Writing what was found: points by suffix, counts and failures of a batch. Each file is whole or absent."""

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from linnet.errors import InputError
from linnet.nuclei.points.columns import PointColumns
from linnet.nuclei.points.csv import csv_lines
from linnet.nuclei.points.geojson import geojson_lines
from linnet.nuclei.read.find import Failure
from linnet.results import atomic_path, atomic_write

COUNT_COLUMNS = ("image", "path", "count", "lo", "hi", "level", "density_per_mm2", "flag", "reasons", "diameter_px")
_ALWAYS = ("image", "count", "flag")
FAILED_COLUMNS = ("image", "error")
FORMATS = ("csv", "geojson", "geojson.gz", "json")


def write_detections(detections: PointColumns, path: str | Path, *, digest: str = "") -> Path:
    """Writes detections in the format of the suffix: .csv, .geojson, .geojson.gz or .json.

    Args:
        detections: What to write.
        path: The file; replaced in one step.
        digest: SHA-256 of the image, for the ids in GeoJSON.

    Returns:
        The path.

    Raises:
        InputError: the suffix names no format.
        PointsError: a coordinate isn't finite.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(".csv"):
        return _stream(path, csv_lines(detections))
    if name.endswith(".geojson"):
        return _stream(path, geojson_lines(detections, digest))
    if name.endswith(".geojson.gz"):
        return _stream_gzip(path, geojson_lines(detections, digest))
    if name.endswith(".json"):
        return atomic_write(path, to_json(detections))
    raise InputError(f"{path}: {path.suffix or 'no suffix'!r} names no format for points. Use .{', .'.join(FORMATS)}.")


def to_json(detections: PointColumns) -> str:
    """Everything a `Detections` holds, as one JSON object; arrays as lists, what isn't known as null."""
    count = detections.count
    content = {
        "shape": list(detections.shape),
        "pixel_size_um": detections.pixel_size_um,
        "scale": detections.scale,
        "diameter_px": detections.diameter_px,
        "count": {"n": count.n, "lo": count.lo, "hi": count.hi, "level": count.level},
        "flag": detections.flag,
        "flag_reasons": list(detections.flag_reasons),
        "points": detections.points.tolist(),
        "score": detections.score.tolist(),
        "confidence": None if detections.confidence is None else detections.confidence.tolist(),
        "sd_px": None if detections.sd_px is None else detections.sd_px.tolist(),
        "diameters_px": None if detections.diameters_px is None else detections.diameters_px.tolist(),
        "intensities": {name: values.tolist() for name, values in detections.intensities.items()},
    }
    return json.dumps(content, allow_nan=False) + "\n"


def density_per_mm2(detections: PointColumns) -> float | None:
    """Nuclei per square millimetre of image, or None without a pixel size."""
    if detections.pixel_size_um is None:
        return None
    h, w = detections.shape
    return detections.count.n * 1e6 / (h * w * detections.pixel_size_um**2)


def write_counts(
    path: str | Path, found: Iterable[tuple[str, PointColumns]], paths: Sequence[str | Path] | None = None
) -> Path:
    """Writes counts.csv: one line per image, and of `COUNT_COLUMNS` those that at least one image fills.

    Args:
        path: The file; replaced in one step.
        found: (name of the image, what was found in it).
        paths: Path of each image as it was given, in the same order.
    """
    rows = [_count_row(name, d) for name, d in found]
    for row, given in zip(rows, paths or (), strict=bool(paths)):
        row["path"] = str(given)
    columns = [c for c in COUNT_COLUMNS if c in _ALWAYS or any(row.get(c) not in (None, "") for row in rows)]
    return atomic_write(path, _table(columns, ([row.get(c) for c in columns] for row in rows)))


def _count_row(name: str, d: PointColumns) -> dict[str, object]:
    """The cells of one image, by column."""
    return {
        "image": name,
        "count": d.count.n,
        "lo": d.count.lo,
        "hi": d.count.hi,
        "level": d.count.level,
        "density_per_mm2": density_per_mm2(d),
        "flag": d.flag,
        "reasons": "; ".join(d.flag_reasons),
        "diameter_px": None if d.diameter_px is None else round(d.diameter_px, 1),
    }


def write_failed(path: str | Path, failures: Sequence[Failure]) -> Path:
    """Writes failed.csv: one line per image that gave no result; only the header when all did."""
    return atomic_write(path, _table(FAILED_COLUMNS, ((f.image, f.error) for f in failures)))


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return buffer.getvalue()


def _stream(path: Path, pieces: Iterator[str]) -> Path:
    with atomic_path(path) as temporary, temporary.open("x", encoding="utf-8", newline="") as file:
        file.writelines(pieces)
    return path


def _stream_gzip(path: Path, pieces: Iterator[str]) -> Path:
    """Without a time in its header, so that the same points give the same bytes."""
    with (
        atomic_path(path) as temporary,
        temporary.open("xb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as file,
    ):
        file.writelines(piece.encode() for piece in pieces)
    return path
