"""What a batch left in its folder, as the page needs it: images, points, and what a person changed."""

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from linnet.errors import InputError, PointsError
from linnet.nuclei.points.readers import read_points
from linnet.results import atomic_write

CORRECTED = "corrected"
"""Folder, inside that of the results, of the points that a person saved."""

CORRECTED_COUNTS = "corrected_counts.csv"
_ENDINGS = ("csv", "geojson", "geojson.gz", "json")


@dataclass(frozen=True)
class FoundImage:
    """One image of a batch.

    Attributes:
        stem: Name of its results.
        name: Name of the image.
        path: The image, where it was when it was searched.
        count: Number of nuclei found.
        flag: "ok", "look" or "out_of_domain".
        reasons: Why.
        options: Page, channel and projection with which it was read, for `open_picture`.
    """

    stem: str
    name: str
    path: Path
    count: int
    flag: str
    reasons: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class FoundFolder:
    """A folder that `linnet nuclei detect` wrote.

    Attributes:
        folder: The folder; nothing outside it is written.
        images: Its images, those to look at first.
    """

    folder: Path
    images: tuple[FoundImage, ...]

    def points(self, image: FoundImage) -> NDArray[np.float64]:
        """Points of an image: those that a person saved, else those that were found.

        Raises:
            PointsError: there is no file of them, or it can't be read.
        """
        for place in (self.corrected(image), *(self.folder / f"{image.stem}.{ending}" for ending in _ENDINGS[:3])):
            if place.exists():
                return read_points(place)
        whole = self.folder / f"{image.stem}.json"
        if whole.exists():
            return np.array(_json(whole).get("points", []), dtype=np.float64).reshape(-1, 2)
        raise PointsError(f"{self.folder}: there are no points of {image.name}. Detect them again with --format csv.")

    def corrected(self, image: FoundImage) -> Path:
        """The file of points that a person saved for an image."""
        return self.folder / CORRECTED / f"{image.stem}.csv"

    def save_points(self, image: FoundImage, points: NDArray[np.float64]) -> Path:
        """Writes a person's points of an image, for `linnet nuclei train`."""
        lines = "".join(f"{y!r},{x!r}\n" for y, x in np.asarray(points, dtype=np.float64).tolist())
        place = self.corrected(image)
        place.parent.mkdir(parents=True, exist_ok=True)
        return atomic_write(place, "y,x\n" + lines)

    def save_counts(self) -> Path:
        """Writes corrected_counts.csv: for each image the number found, and the number after a person looked."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(("image", "path", "found", "corrected"))
        for image in self.images:
            place = self.corrected(image)
            counted = len(read_points(place)) if place.exists() else ""
            writer.writerow((image.name, image.path, image.count, counted))
        return atomic_write(self.folder / CORRECTED_COUNTS, buffer.getvalue())


def read_found(folder: str | Path) -> FoundFolder:
    """The images and points of a folder that `linnet nuclei detect` wrote.

    Raises:
        InputError: it is no such folder, or one of an earlier version, which doesn't say where its images are.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder. Name one that `linnet nuclei detect` wrote.")
    if not (folder / "run.json").exists():
        raise InputError(f"{folder}: this folder holds no results (run.json is missing). Detect nuclei first.")
    run, rows = _json(folder / "run.json"), _counts(folder / "counts.csv")
    done = run.get("done")
    if not isinstance(done, list):
        raise InputError(f"{folder}: an earlier version wrote it, without the paths of its images. Detect them again.")
    images = [_image(one, row, run, folder) for one, row in zip(done, rows, strict=False) if isinstance(one, dict)]
    worst_first = sorted(images, key=lambda image: {"out_of_domain": 0, "look": 1}.get(image.flag, 2))
    return FoundFolder(folder, tuple(worst_first))


def _image(done: dict[str, Any], row: dict[str, str], run: dict[str, Any], folder: Path) -> FoundImage:
    options = run.get("options", {})
    reading = {k: options.get(k) for k in ("page", "channel", "project")}
    if done.get("page") is not None or reading["page"] == "all":  # one of several pages, or the only one there is
        reading["page"] = done.get("page")
    stem = _inside(str(done.get("stem", "")))
    return FoundImage(
        stem=stem,
        name=row.get("image", stem),
        path=_existing(Path(str(done.get("path", ""))), Path(str(run.get("folder", ""))), folder),
        count=int(row.get("count", "0") or 0),
        flag=row.get("flag", "ok"),
        reasons=row.get("reasons", ""),
        options={k: v for k, v in reading.items() if v is not None},
    )


def _inside(stem: str) -> str:
    """The name of results, with the folders inside that of the batch; nothing can lead out of that."""
    given = PurePosixPath(stem)
    return given.name if given.is_absolute() or ".." in given.parts else given.as_posix()


def _existing(path: Path, started_in: Path, folder: Path) -> Path:
    """The path as given, or relative to where the batch was started or to the folder of the results."""
    places = [path, started_in / path, folder / path, folder.parent / path]
    return next((place for place in places if place.exists()), path)  # an OME-Zarr is a folder


def _counts(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: can't be read ({error}). Detect the images again.") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read ({error}). Detect the images again.") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: it holds no facts of a run. Detect the images again.")
    return content
