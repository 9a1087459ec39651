"""What the search for the scale brings: images at their own size and at others, with and without it, and its cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median

import numpy as np
from skimage.transform import rescale

import linnet.nuclei
from benchmarks.subject import Subject
from linnet.data import NucleusImage, data_root, fluorescence_field, read_nucleus_set
from linnet.nuclei import Detector
from linnet.nuclei.scoring.matching import match
from linnet.results import Record

FACTORS = (1 / 3, 0.5, 1.0, 2.0, 3.0)
SETS = ("nuclei_dsb2018", "nuclei_tnbc")
_MOST_PIXELS = 1_100_000  # of a rescaled image: larger ones are cut to their middle
_EACH = 8  # images of each group at most
_REPEATS = 9


def scale_records(*, quick: bool) -> list[Record]:
    """F1 within 5 px of the original (at least 2 px of what is shown) by group and factor.

    Args:
        quick: Two images of each group and two factors.

    Raises:
        DataError: a set isn't there.
    """
    detector = linnet.nuclei.load("default")
    images = [
        i for name in SETS for i in some_of_each(read_nucleus_set(data_root() / name, "test"), 2 if quick else _EACH)
    ]
    records = []
    for factor in FACTORS[:2] if quick else FACTORS:
        shown = [shown_at(image, factor) for image in images]
        for method, search in _methods(detector).items():
            records += _scores(images, shown, search, factor, method)
    return records


def _methods(detector: Detector) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    return {
        "own size": lambda pixels: detector(pixels, diameter_px=None).points,
        "auto": lambda pixels: detector(pixels).points,
    }


def some_of_each(images: Sequence[NucleusImage], each: int) -> list[NucleusImage]:
    """The first `each` images of every group."""
    groups = sorted({image.group for image in images})
    return [image for group in groups for image in [i for i in images if i.group == group][:each]]


def shown_at(image: NucleusImage, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and points of an image shown `factor` times as large."""
    pixels, points = image.pixels(), image.points
    height, width = pixels.shape[:2]
    if height * width * factor**2 > _MOST_PIXELS:
        side = int(_MOST_PIXELS**0.5 / factor)
        top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
        pixels, points = pixels[top : top + side, left : left + side], points - np.array([top, left])
        points = points[np.all((points >= -0.5) & (points < np.array(pixels.shape[:2]) - 0.5), axis=1)]
    if factor != 1:
        axis = 2 if pixels.ndim == 3 else None
        resized = rescale(pixels.astype(float), factor, anti_aliasing=factor < 1, order=1, channel_axis=axis)
        pixels = resized.round().clip(0, 255).astype(np.uint8)
    return pixels, (points + 0.5) * factor - 0.5


def _scores(
    images: Sequence[NucleusImage],
    shown: Sequence[tuple[np.ndarray, np.ndarray]],
    search: Callable[[np.ndarray], np.ndarray],
    factor: float,
    method: str,
) -> list[Record]:
    counts: dict[str, list[int]] = {}
    for image, (pixels, points) in zip(images, shown, strict=True):
        found = search(pixels)
        pairs = len(match(points, found, max(2.0, 5.0 * factor)).pairs)
        for group in (image.group, "all"):
            tally = counts.setdefault(group, [0, 0, 0])
            tally[0] += 2 * pairs
            tally[1] += len(points) + len(found)
            tally[2] += 1
    return [
        Record.measured(
            f"nuclei.scale.f1.{group}.factor_{factor:.2f}",
            pairs / max(1, both),
            n=n,
            split="test",
            method=method,
            context={"factor": round(factor, 3), "group": group},
        )
        for group, (pairs, both, n) in counts.items()
    ]


def cost_records(*, quick: bool) -> list[Record]:
    """Time with the search over time at the scale that it chose, on squares cut from one field.

    Args:
        quick: The two smaller squares.
    """
    detector = linnet.nuclei.load("default")
    records = []
    for side in (256, 512) if quick else (256, 512, 1024, 2048):
        pixels, _ = fluorescence_field((side, side), n=side * side // 2600, rng_seed=0)
        value = median(_cost(detector, pixels) for _ in range(_REPEATS))
        context = {"side_px": side}
        records.append(Record.measured(f"nuclei.scale.cost.side_{side}", value, unit="x", n=_REPEATS, context=context))
    return records


def _cost(detector: Detector, pixels: np.ndarray) -> float:
    scale = detector(pixels).scale
    return _seconds(lambda: detector(pixels)) / _seconds(lambda: detector(pixels, scale=scale))


def _seconds(call: Callable[[], object]) -> float:
    begin = time.process_time()
    call()
    return time.process_time() - begin


def as_markdown(records: Sequence[Record]) -> str:
    """F1 of all images by factor, with and without the search, and its cost by side."""
    rows = ["| shown at | F1 at its own size | F1 with the search |", "|---|---|---|"]
    found = {(record.name, record.method): record.value for record in records}
    for factor in FACTORS:
        name = f"nuclei.scale.f1.all.factor_{factor:.2f}"
        pair = [found.get((name, method)) for method in ("own size", "auto")]
        if None not in pair:
            rows.append(f"| {factor:.2f} | {pair[0]:.3f} | {pair[1]:.3f} |")
    rows += ["", "| side, px | time with the search |", "|---|---|"]
    costs = [record for record in records if record.name.startswith("nuclei.scale.cost.")]
    return "\n".join([*rows, *(f"| {record.context['side_px']} | {record.value:.2f} x |" for record in costs)])


SUBJECT = Subject({"f1": scale_records, "cost": cost_records}, as_markdown)
"""`python -m benchmarks nuclei_scale`."""
