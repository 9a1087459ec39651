"""What each part of the detector brings: trained without it, or searched without it, on what it is there for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest import mock

import numpy as np
import torch

import linnet.nuclei
from benchmarks.nuclei.scale import shown_at, some_of_each
from benchmarks.subject import Subject
from linnet import recipe
from linnet.data import data_root, read_nucleus_set
from linnet.data.augmentation.artefacts import Artefacts
from linnet.nuclei import Detector
from linnet.nuclei.detector.brightness import brightness_range
from linnet.nuclei.scoring.matching import match
from linnet.nuclei.training.crowded import crowded
from linnet.nuclei.training.negatives import negatives
from linnet.results import Record

Shown = tuple[np.ndarray, np.ndarray, float]
"""Pixels, points, and the radius in pixels within which a point is right."""

RECIPE = Path(__file__).parents[2] / "recipes" / "nuclei.toml"
RUNS = Path("runs") / "ablation"
EPOCHS = 3
_EACH = 8  # images of each group
_SEED = 99  # of the drawn pictures; the recipe draws its own by another
_TILE = 96  # pixels
TRAININGS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "all": ("all parts", {}),
        "negatives": ("without pictures without a nucleus", {"data.negatives": False}),
        "faults": ("without faults of pictures", {"data.artefacts": False}),
        "crowded": ("without drawn crowded tissue", {"data.crowded": False}),
        "data": ("without DSB's second part and TNBC", {"data.more": []}),
        "diameters": ("without the head of diameters", {"model.sizes": False}),
    }
)
"""Key -> (what is shown, settings in place of the recipe's)."""
SEARCHES: Mapping[str, str] = MappingProxyType(
    {
        "scale": "searched without the search for the scale",
        "brightness": "searched with plain percentiles as brightness",
        "colour": "searched with colours taken as stain",
    }
)
COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "validation": "as they are",
        "third": "at a third",
        "crowded": "drawn crowded tissue",
        "dirty": "dust and hot pixels",
        "blue": "saved as blue",
        "empty": "false nuclei per empty tile",
    }
)


def trained(key: str, *, quick: bool) -> list[Record]:
    """Trains one arm for a short time, and measures it; "all" is measured without each part of the search too.

    Args:
        key: Of `TRAININGS`.
        quick: A few steps and images: does it run?

    Raises:
        DataError: a nucleus set isn't there.
    """
    label, without = TRAININGS[key]
    short = {"train.epochs": 1, "data.batches": 5, "train.warmup_steps": 2} if quick else {"train.epochs": EPOCHS}
    folder = recipe.run(RECIPE, out=RUNS / (f"{key}_quick" if quick else key), overrides={**short, **without})
    detector = linnet.nuclei.load(folder.path / "weights.safetensors")
    shown = dict(_shown(2 if quick else _EACH))
    records = _measured(detector, shown, key, label)
    if key == "all":
        for part, what in SEARCHES.items():
            with _without(part):
                records += _measured(detector, shown, part, what, diameter_px=None if part == "scale" else "auto")
    return records


def _without(part: str) -> AbstractContextManager[object]:
    """Inside it a search does without one part."""
    prepared = "linnet.nuclei.detector.prepared"
    if part == "brightness":
        return mock.patch(f"{prepared}.robust_range", brightness_range)
    if part == "colour":
        return mock.patch(f"{prepared}.nuclear_view", lambda image, modality, merit: (image, "unknown", ""))
    return nullcontext()  # the search for the scale is left out by an option


def _measured(
    detector: Detector, shown: Mapping[str, Sequence[Shown]], key: str, label: str, *, diameter_px: Any = "auto"
) -> list[Record]:
    records = []
    for column, pictures in shown.items():
        found = [detector(pixels, diameter_px=diameter_px).points for pixels, _, _ in pictures]
        if column == "empty":
            value, unit = float(np.mean([len(points) for points in found])), "nuclei"
        else:
            known = list(zip(pictures, found, strict=True))
            pairs = sum(len(match(points, at, radius).pairs) for (_, points, radius), at in known)
            value, unit = 2 * pairs / sum(len(points) + len(at) for (_, points, _), at in known), ""
        facts = {"label": label, "epochs": EPOCHS}
        name = f"nuclei.ablation.{key}.{column}"
        records.append(
            Record.measured(name, value, unit=unit, n=len(pictures), rng_seed=0, split="validation", context=facts)
        )
    return records


def _shown(each: int) -> Iterator[tuple[str, list[Shown]]]:
    """The pictures of each column."""
    images = [i for name in ("nuclei_dsb2018", "nuclei_tnbc") for i in read_nucleus_set(data_root() / name, "val")]
    chosen = some_of_each(images, each)
    yield "validation", [(image.pixels(), image.points, 5.0) for image in chosen]
    yield "third", [(*shown_at(image, 1 / 3), 2.0) for image in chosen]
    yield "crowded", [(image.pixels, image.points, 5.0) for image in crowded(_SEED, pictures=each)]
    gray = [(image.pixels(), image.points) for image in chosen if image.group.endswith("fluo")]
    gray = [(pixels if pixels.ndim == 2 else pixels[..., 0], points) for pixels, points in gray]
    yield "dirty", [(_dirty(pixels, k), points, 5.0) for k, (pixels, points) in enumerate(gray)]
    blue = [np.stack([np.zeros_like(pixels), np.zeros_like(pixels), pixels], -1) for pixels, _ in gray]
    yield "blue", [(pixels, points, 5.0) for pixels, (_, points) in zip(blue, gray, strict=True)]
    yield "empty", [(image.pixels[:_TILE, :_TILE], np.zeros((0, 2)), 5.0) for image in negatives(_SEED)[: 4 * each]]


def _dirty(pixels: np.ndarray, k: int) -> np.ndarray:
    """With specks of dust and hot pixels twenty times as bright as the brightest of the picture, in 16 bits."""
    rng = np.random.default_rng([_SEED, k])
    faults = Artefacts(0, 0, 0, dust=1, hot=1, jpeg=0, own_range=0, subtracted=0, ceiling=20.0)
    unit = torch.from_numpy(pixels / max(1, pixels.max())).float().expand(3, -1, -1)
    spoilt = faults.after(faults.before(unit, rng), rng)[0].numpy()
    return (spoilt / 20.0 * 65535).round().clip(0, 65535).astype(np.uint16)


def as_markdown(records: Sequence[Record]) -> str:
    """A row per arm, a column per kind of picture."""
    by_name = {record.name: record for record in records}
    rows = [f"| F1 within 5 px | {' | '.join(COLUMNS.values())} |", "|---|" + "---|" * len(COLUMNS)]
    for key in (*TRAININGS, *SEARCHES):
        cells = [by_name.get(f"nuclei.ablation.{key}.{column}") for column in COLUMNS]
        known = [cell for cell in cells if cell is not None]
        if known:
            shown = " | ".join("-" if cell is None else f"{cell.value:.3f}" for cell in cells)
            rows.append(f"| {known[0].context['label']} | {shown} |")
    return "\n".join(rows)


SUBJECT = Subject({key: partial(trained, key) for key in TRAININGS}, as_markdown)
"""`python -m benchmarks nuclei_ablation`."""
