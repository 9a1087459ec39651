"""Points that ImageJ keeps: sets of ROIs (.roi, .zip) and the markers of its Cell Counter (.xml)."""

import io
import logging
import zipfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from linnet.errors import PointsError
from linnet.nuclei.points.csv import read_text
from linnet.nuclei.points.outlines import outline_centroid, turned

_log = logging.getLogger(__name__)

ROIS = (".roi", ".zip")
MARKERS = (".xml",)
_MOST_BYTES = 2**28  # of ROIs in a set once unpacked; ours
_LINES = ("LINE", "POLYLINE", "FREELINE", "ANGLE", "NOROI")


def read_rois(path: Path) -> NDArray[np.float64]:
    """A point for each point of the ROIs and for each area its centroid; lines are left out, with a word.

    ImageJ counts the vertices of areas, and points of sub-pixel resolution, from the corner of the first pixel: half a
    pixel is taken away. A point without that resolution is a pixel.

    Raises:
        PointsError: the file is no ROI or set of ROIs, or holds no point and no area.
    """
    points, lines = [], 0
    for roi in _rois(path):
        if roi.roitype.name in _LINES:
            lines += 1
        else:
            points += _of_roi(roi)
    if lines:
        left_out = "1 line was" if lines == 1 else f"{lines} lines were"
        if not points:
            raise PointsError(f"{path}: {left_out} found, and neither points nor areas. Mark nuclei with points.")
        _log.warning("%s: %s left out; points and areas were taken.", path, left_out)
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def read_markers(path: Path) -> NDArray[np.float64]:
    """The markers of a file of ImageJ's Cell Counter, of all types together.

    Raises:
        PointsError: it is no such file, or a marker has no position.
    """
    text, _ = read_text(path, fallback="cp1252")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise PointsError(f"{path}: it defines entities, which no file of points needs. Save it again in Cell Counter.")
    try:
        root = ElementTree.fromstring(text.encode("utf-8") if not text.startswith("<?xml") else _undeclared(text))
    except ElementTree.ParseError as error:
        raise PointsError(f"{path}: this is no XML ({error}). Save it again in Cell Counter.") from error
    if root.tag != "CellCounter_Marker_File":
        raise PointsError(
            f"{path}: this is XML of another kind ({root.tag}); the files of ImageJ's Cell Counter are read. Export "
            "the points as a table with columns y and x, or as GeoJSON."
        )
    markers = list(root.iter("Marker"))
    if len({marker.findtext("MarkerZ", "1").strip() for marker in markers}) > 1:
        _log.warning("%s: its markers lie in several slices; all of them are taken.", path)
    points = [[_coordinate(marker, name, path) for name in ("MarkerY", "MarkerX")] for marker in markers]
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _undeclared(text: str) -> bytes:
    """XML without its first line, whose encoding no longer holds."""
    return text[text.index("?>") + 2 :].encode() if "?>" in text else text.encode()


def _coordinate(marker: ElementTree.Element, name: str, path: Path) -> float:
    text = marker.findtext(name)
    try:
        value = float(text or "")
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise PointsError(f"{path}: {name} of a marker is {text!r}; a number of pixels was needed. Save it again.")
    return value


def _rois(path: Path) -> list[Any]:
    """The ROIs of a file, read by roifile."""
    import roifile

    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise PointsError(f"{path}: there is no such file. Check the spelling and the folder.") from None
    except OSError as error:
        raise PointsError(f"{path}: can't be read ({error.strerror}). Check your permission to read it.") from None
    rois = []
    for name, one in _members(path, content):
        try:
            rois.append(roifile.ImagejRoi.frombytes(one))
        except Exception as error:  # a damaged ROI fails in many ways inside roifile
            raise PointsError(f"{path}: {name} is no ROI of ImageJ ({error}). Save the set again.") from error
    return rois


def _members(path: Path, content: bytes) -> list[tuple[str, bytes]]:
    """(name, content) of each ROI in a file."""
    if content[:4] == b"Iout":
        return [(path.name, content)]
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = [
                e for e in archive.infolist() if e.filename.lower().endswith(".roi") and "__MACOSX" not in e.filename
            ]
            if sum(entry.file_size for entry in entries) > _MOST_BYTES:
                raise PointsError(f"{path}: its ROIs take more than {_MOST_BYTES // 2**20} MiB. Split the set.")
            members = [(entry.filename, archive.read(entry)) for entry in entries]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise PointsError(
            f"{path}: this is neither a ROI nor a readable zip of ROIs ({error}). Save it in ImageJ's ROI Manager."
        ) from error
    if not members:
        raise PointsError(f"{path}: there is no .roi file in this zip. Save the set in ImageJ's ROI Manager.")
    return members


def _of_roi(roi: Any) -> list[tuple[float, float]]:
    given = np.asarray(roi.coordinates(), dtype=np.float64).reshape(-1, 2)
    if roi.roitype.name == "POINT" or len(given) == 1:
        corner = 0.5 if roi.subpixelresolution else 0.0
        return [(y - corner, x - corner) for x, y in given.tolist()]
    rings = [np.asarray(ring, dtype=np.float64) for ring in roi.coordinates(multi=True)]
    rings = [ring for ring in rings if ring.ndim == 2 and len(ring)]
    if not rings:
        return []
    if len(rings) == 1:
        rings = [turned(rings[0], positive=True)]
    x, y = outline_centroid(rings)
    return [(y - 0.5, x - 0.5)]
