"""How the shipped detector does on pictures from elsewhere, with its default settings, at two radii."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import linnet.nuclei
from benchmarks.subject import Subject
from linnet.data import data_root
from linnet.nuclei.read.images import read_image
from linnet.nuclei.scoring.scores import evaluate
from linnet.results import Record

SETS = {
    "nuclei_dsb2018": "new pictures of the training's laboratories (DSB 2018)",
    "nuclei_dsb2018_more": "the same laboratories, DSB 2018's second part",
    "nuclei_tnbc": "H&E, breast; patients that training didn't see",
    "research_only/nuclei_monuseg": "H&E of several organs (MoNuSeg), never seen",
    "research_only/nuclei_mouse_intestine": "crowded fluorescence tissue, never seen",
    "research_only/nuclei_coelho2009": "large nuclei, 90 px, never seen",
    "research_only/nuclei_ihc_dab": "DAB and haematoxylin, never seen",
}
RADIUS_PX = 5.0
OFF = 1 / 3  # share of the true number by which a count is wrong


def outside_records(*, quick: bool) -> list[Record]:
    """F1 of each set that is at hand, at two radii, and the share of its "ok" images whose count is wrong.

    The radii are 5 px and half the median radius of the set's nuclei.

    Args:
        quick: Two images of each set.

    Raises:
        DataError: no folder of data is known.
    """
    detector = linnet.nuclei.load("default")
    records = []
    for name, what in SETS.items():
        folder = data_root() / name
        if not folder.is_dir():
            continue
        truth, radius = _truth(folder)
        chosen = dict(list(truth.items())[: 2 if quick else None])
        searched = {image: detector(read_image(folder / "images" / f"{image}.png").pixels[:, :]) for image in chosen}
        found = {image: each.points for image, each in searched.items()}
        trusted = [image for image, each in searched.items() if each.flag == "ok"]
        wrong = [abs(len(found[image]) - len(chosen[image])) > OFF * len(chosen[image]) for image in trusted]
        records.append(
            Record.measured(
                f"nuclei.outside.{folder.name}.wrong_ok", sum(wrong), unit="images", n=len(trusted), split="test"
            )
        )
        for kind, reach in (("5px", RADIUS_PX), ("half_radius", radius)):
            score = evaluate(chosen, found, reach)
            facts = {"set": what, "radius_px": round(reach, 2), "nuclei": score.tp + score.fn}
            records.append(
                Record.measured(
                    f"nuclei.outside.{folder.name}.{kind}", score.f1, n=len(chosen), split="test", context=facts
                )
            )
    return records


def as_markdown(records: Sequence[Record]) -> str:
    """A row per set, both radii beside each other, and what "ok" is worth."""
    rows = [
        "| pictures | n | nuclei | F1 at 5 px | F1 at half the median radius | `ok` | of these, count off by > 1/3 |",
        "|---|---|---|---|---|---|---|",
    ]
    by_name = {record.name: record for record in records}
    for folder, what in SETS.items():
        pair = [by_name.get(f"nuclei.outside.{Path(folder).name}.{kind}") for kind in ("5px", "half_radius")]
        if pair[0] is None or pair[1] is None:
            continue
        near, far = pair[0], pair[1]
        cells = [what, str(near.n), f"{near.context['nuclei']:,}", f"{near.value:.3f}"]
        wrong = by_name.get(f"nuclei.outside.{Path(folder).name}.wrong_ok")
        trust = ("-", "-") if wrong is None else (str(wrong.n), f"{wrong.value:.0f}")
        rows.append(
            f"| {' | '.join(cells)} | {far.value:.3f} ({far.context['radius_px']:.1f} px) | {' | '.join(trust)} |"
        )
    return "\n".join(rows)


def _truth(folder: Path) -> tuple[dict[str, np.ndarray], float]:
    """Points of each test image, and half the median radius of their nuclei in pixels."""
    with (folder / "meta.csv").open(newline="", encoding="utf-8") as file:
        points: dict[str, list[tuple[float, float]]] = {
            row["image_id"]: [] for row in csv.DictReader(file) if row["split"] == "test"
        }
    areas = []
    with (folder / "centroids.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["image_id"] in points:
                points[row["image_id"]].append((float(row["y"]), float(row["x"])))
                areas.append(float(row["area_px"]))
    radius = float(np.sqrt(np.median(areas) / np.pi))
    return {name: np.array(p, dtype=float).reshape(-1, 2) for name, p in points.items()}, radius / 2


SUBJECT = Subject({"outside": outside_records}, as_markdown)
"""`python -m benchmarks nuclei_outside`."""
