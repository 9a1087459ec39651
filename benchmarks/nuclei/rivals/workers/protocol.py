"""What the trained detectors have in common: how a program is asked, and how it answers. Needs numpy and Pillow only.

worker.py train JOB FOLDER SECONDS     goes on training in FOLDER for so many CPU seconds; prints its facts
worker.py find JOB FOLDER FILE         searches the validation and test images; writes points and scores to FILE
worker.py time JOB FOLDER THRESHOLD    searches the timed images once for each line that it reads; prints CPU seconds
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

Find = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
LOWEST = 0.1  # score from which on a peak is kept: thresholds are chosen above it


@dataclass(frozen=True)
class Picture:
    """An annotated image of the job.

    Attributes:
        name: Of the image, unique in the job.
        image: Its file.
        labels: File with the outlines: 0 is ground, 1..n are nuclei.
        points: (n, 2) centres, y and x.
        split: "train", "val" or "test".
        group: Kind of image.
        timed: Whether the search of it is timed.
    """

    name: str
    image: str
    labels: str
    points: Sequence[Sequence[float]]
    split: str
    group: str
    timed: bool = False

    @cached_property
    def pixels(self) -> np.ndarray:
        """As in the file: (h, w) or (h, w, 3)."""
        return np.array(Image.open(self.image))

    @property
    def centres(self) -> np.ndarray:
        """(n, 2) float64."""
        return np.asarray(self.points, dtype=np.float64).reshape(-1, 2)

    @property
    def outlines(self) -> np.ndarray:
        """(h, w) int32 label image."""
        return np.array(Image.open(self.labels)).astype(np.int32)


class Library(Protocol):
    """A detector of a library."""

    def train(self, train: Sequence[Picture], val: Sequence[Picture], folder: Path, seconds: float) -> dict[str, Any]:
        """Trains for so many CPU seconds, going on with what the folder holds; gives facts."""
        ...

    def load(self, folder: Path, threshold: float | None) -> Find:
        """What finds points and scores in the pixels of a file; None: at its lowest threshold."""
        ...


def colour(pixels: np.ndarray) -> np.ndarray:
    """(h, w, 3) float32: 0 and 1 are the 1 and 99.8 percentiles of the whole image; gray becomes three channels."""
    low, high = np.percentile(pixels, (1, 99.8))
    scaled = (pixels.astype(np.float32) - np.float32(low)) / np.float32(max(high - low, 1e-6))
    return scaled if scaled.ndim == 3 else np.repeat(scaled[..., None], 3, axis=2)


def read_job(file: Path) -> list[Picture]:
    """The images of a job."""
    return [Picture(**told) for told in json.loads(file.read_text(encoding="utf-8"))]


def main(library: Library) -> None:
    """Does what the command line asks for."""
    task, job, place, *rest = sys.argv[1:]
    pictures = read_job(Path(job))
    folder = Path(place)
    if task == "train":
        _train(library, pictures, folder, float(rest[0]))
    elif task == "find":
        _find(library, pictures, folder, Path(rest[0]))
    else:
        _time(library, [picture for picture in pictures if picture.timed], folder, float(rest[0]))


def _train(library: Library, pictures: Sequence[Picture], folder: Path, seconds: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    imported = time.process_time()
    train, val = ([p for p in pictures if p.split == split] for split in ("train", "val"))
    for picture in (*train, *val):
        _ = picture.pixels
    read = time.process_time()
    began = time.perf_counter()
    facts = library.train(train, val, folder, seconds)
    facts |= {"import_cpu_s": imported, "read_cpu_s": read - imported, "wall_s": time.perf_counter() - began}
    _say(facts | {"train_peak_mb": _peak_mb()})


def _find(library: Library, pictures: Sequence[Picture], folder: Path, file: Path) -> None:
    find = library.load(folder, None)
    found, spent = {}, {"val": 0.0, "test": 0.0}
    for picture in pictures:
        if picture.split == "train":
            continue
        _ = picture.pixels
        began = time.process_time()
        points, scores = find(picture.pixels)
        spent[picture.split] += time.process_time() - began
        found[picture.name] = np.column_stack([points, scores]).astype(np.float64).reshape(-1, 3)
    np.savez_compressed(file, **found)
    _say({f"{split}_cpu_s": seconds for split, seconds in spent.items()})


def _time(library: Library, pictures: Sequence[Picture], folder: Path, threshold: float) -> None:
    find = library.load(folder, threshold)
    for picture in pictures:
        _ = picture.pixels
    for _line in sys.stdin:
        began, wall = time.process_time(), time.perf_counter()
        points = sum(len(find(picture.pixels)[0]) for picture in pictures)
        _say(
            {
                "cpu_s": time.process_time() - began,
                "wall_s": time.perf_counter() - wall,
                "points": points,
                "peak_mb": _peak_mb(),
            }
        )


def _peak_mb() -> float:
    """Most resident memory of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) * 1024 / 1e6


def _say(facts: dict[str, Any]) -> None:
    """The answer: the last line that begins so; what a library prints stands before it."""
    print(f"\nanswer {json.dumps(facts)}", flush=True)
