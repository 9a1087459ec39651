"""How many nuclei are found where they are: F1, distance and counts per group, for linnet and for the tuned LoG."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import numpy as np

from benchmarks.nuclei.log_detector import tune_groups
from linnet.data import NucleusImage
from linnet.nuclei.scoring.scores import Evaluation, evaluate
from linnet.results import Record

GROUPS = ("small_fluo", "large_fluo", "gray_tissue", "pink_purple_tissue", "purple_tissue")
RADIUS_PX = 5.0
METRICS: Mapping[str, tuple[str, Callable[[Evaluation], float]]] = {
    "f1": ("", lambda score: score.f1),
    "precision": ("", lambda score: score.precision),
    "recall": ("", lambda score: score.recall),
    "distance_mean_px": ("px", lambda score: score.distance_mean),
    "count_difference_mean": ("", lambda score: score.count_difference_mean),
}


def linnet_accuracy(test: Sequence[NucleusImage], detector: Callable[[np.ndarray], object]) -> list[Record]:
    """Records of the shipped detector on test images, at its own threshold, the same for all groups."""
    found = {image.image_id: detector(image.pixels()).points for image in test}  # type: ignore[attr-defined]
    return score_records(test, found, method="linnet", context={})


def log_accuracy(val: Sequence[NucleusImage], test: Sequence[NucleusImage]) -> list[Record]:
    """Records of single-scale LoG on test images, tuned per group on validation images."""
    tuned = tune_groups((image.group, image.pixels(), image.points) for image in val)
    found = {image.image_id: tuned[image.group].settings(image.pixels()) for image in test}
    context = {group: dataclasses.asdict(best.settings) | {"val_f1": best.f1} for group, best in tuned.items()}
    return score_records(test, found, method="log", context=context)


def score_records(
    images: Sequence[NucleusImage],
    found: Mapping[str, np.ndarray],
    *,
    method: str,
    context: Mapping[str, Mapping[str, str | float]],
) -> list[Record]:
    """One record per metric and group, and over all groups pooled, with intervals over mosaics.

    Args:
        images: What was searched.
        found: Points of each image, by its name.
        method: Who found them.
        context: More facts of each group.
    """
    scores = evaluate({image.image_id: image.points for image in images}, found, RADIUS_PX)
    mosaic = {image.image_id: image.mosaic_id for image in images}
    records = []
    for group, members in _by_group(images).items():
        names = {image.image_id for image in members}
        facts = {"group": group, "radius_px": RADIUS_PX, "mosaics": len({mosaic[name] for name in names})}
        facts |= dict(context.get(group, {}))
        for metric, (unit, value) in METRICS.items():
            part = scores.of(names)
            lo, hi = part.interval(mosaic, metric=value)
            records.append(
                Record.measured(
                    f"nuclei.{metric}.{group}",
                    value(part),
                    unit=unit,
                    n=len(members),
                    interval=(lo, hi) if np.isfinite([lo, hi]).all() else None,
                    level=0.95,
                    rng_seed=0,
                    split=members[0].split,
                    method=method,
                    context=facts,
                )
            )
    return records


def _by_group(images: Sequence[NucleusImage]) -> dict[str, list[NucleusImage]]:
    known = {group: [image for image in images if image.group == group] for group in GROUPS}
    others = sorted((image for image in images if image.group not in GROUPS), key=lambda image: image.group)
    known |= {group: list(members) for group, members in groupby(others, key=lambda image: image.group)}
    return {group: members for group, members in known.items() if members} | {"all": list(images)}
