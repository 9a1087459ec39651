"""`python -m benchmarks nuclei --peers`: linnet, StarDist and Spotiflow, trained on the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import ROOT
from benchmarks.nuclei.log_detector import best_threshold
from benchmarks.nuclei.rivals.environment import interpreter
from benchmarks.nuclei.rivals.pictures import SHOWN, read_images, write_job
from benchmarks.nuclei.rivals.program import Program, passed
from benchmarks.nuclei.rivals.table import as_markdown
from benchmarks.nuclei.rivals.workers.protocol import read_job
from benchmarks.subject import Subject
from linnet.data import NucleusImage
from linnet.errors import InputError
from linnet.nuclei.scoring.scores import Evaluation, evaluate
from linnet.results import Record

BUDGET_S = 240.0  # CPU seconds of one thread, which are its wall time where nothing else runs
LIBRARIES = {"linnet": "linnet", "stardist": "stardist", "stardist_short": "stardist", "spotiflow": "spotiflow"}
"""Of each program; StarDist is tried with its own settings and with others that make more of few minutes."""
_CELLPOSE = "cellpose"
RADII_PX = (3.0, 5.0, 7.0)
_TUNED_PX = 5.0
_PASSES = 5


def accuracy(name: str, times: int, *, quick: bool) -> list[Record]:
    """F1 of a program after so many budgets, per group and radius; and what the training took."""
    images, program = _images(quick=quick), _program(name, quick=quick)
    try:
        facts = program.trained(times, _budget(quick=quick))
    except RuntimeError as error:
        return [_absent(name, str(error))]
    if len(facts) > times and not program.has_found(f"x{times}"):
        raise InputError(f"{program.folder} must hold at most {times} budgets (got {len(facts)}). Remove it first.")
    facts = facts[:times]
    found, search = program.found(f"x{times}")
    threshold = _threshold(name, images, found, facts)
    method = f"{name}.x{times}"
    val = round(_validation_f1(images, found, threshold), 4)
    context = _training_facts(facts, search) | {"threshold": threshold, "times": times, "validation_f1": val}
    records = [
        Record.measured("nuclei.rivals.training", context["train_cpu_s"], unit="s", method=method, context=context)
    ]
    points = _above(found, threshold)
    for group in SHOWN:
        records += _scores(group, [i for i in images if i.split == "test" and i.group == group], points, method)
    return records


def cost(*, quick: bool) -> list[Record]:
    """Megapixels per CPU second and memory of a search, all programs in turns."""
    megapixels = sum(p.pixels.shape[0] * p.pixels.shape[1] for p in read_job(_job(quick=quick)) if p.timed) / 1e6
    found = []
    try:
        interpreter(_CELLPOSE)
    except RuntimeError as error:
        found.append(_absent(_CELLPOSE, str(error)))
    for name, made in _passes(quick=quick, cellpose=not found).items():
        spent, wall = (float(np.median([one[key] for one in made])) for key in ("cpu_s", "wall_s"))
        facts = {"megapixels": round(megapixels, 3), "passes": len(made), "points": made[-1]["points"], "threads": 1}
        facts["wall_s"] = round(wall, 3)
        facts |= {"weights": "random", "part": "network"} if name == _CELLPOSE else {}
        rate = Record.measured(
            "nuclei.rivals.rate", megapixels / spent, unit="MP/CPU s", n=len(made), method=name, context=facts
        )
        most = max(one["peak_mb"] for one in made)
        found += [rate, Record.measured("nuclei.rivals.memory", most, unit="MB", method=name)]
    return found


def _passes(*, quick: bool, cellpose: bool) -> dict[str, list[dict[str, Any]]]:
    """What each pass over the timed images took, for every program that has learned something, and for Cellpose."""
    images = _images(quick=quick)
    with ExitStack() as stack:
        running = {}
        for name in LIBRARIES:
            program = _program(name, quick=quick)
            done = max((times for times in (1, 3) if program.has_found(f"x{times}")), default=None)
            if done is not None:
                points, _ = program.found(f"x{done}")
                threshold = _threshold(name, images, points, program.trained(done, _budget(quick=quick)))
                running[name] = stack.enter_context(program.timed(threshold))
        if cellpose:
            program = Program(_CELLPOSE, _job(quick=quick), _place(quick=quick) / _CELLPOSE)
            running[_CELLPOSE] = stack.enter_context(program.timed(0.0))
        for process in running.values():
            passed(process)
        passes: dict[str, list[dict[str, Any]]] = {name: [] for name in running}
        for _ in range(2 if quick else _PASSES):
            for name, process in running.items():
                passes[name].append(passed(process))
    return passes


def _images(*, quick: bool) -> list[NucleusImage]:
    return list(_read(quick=quick))


@cache
def _read(*, quick: bool) -> tuple[NucleusImage, ...]:
    return tuple(read_images(quick=quick))


def _job(*, quick: bool) -> Path:
    return write_job(_images(quick=quick), _place(quick=quick) / "job.json")


def _place(*, quick: bool) -> Path:
    return ROOT / "runs" / ("rivals-quick" if quick else "rivals")


def _program(name: str, *, quick: bool) -> Program:
    return Program(LIBRARIES[name], _job(quick=quick), _place(quick=quick) / name)


def _budget(*, quick: bool) -> float:
    return 8.0 if quick else BUDGET_S


def _threshold(
    name: str, images: Sequence[NucleusImage], found: Mapping[str, np.ndarray], facts: Sequence[Mapping[str, Any]]
) -> float:
    """The score with the best pooled F1 within 5 px on the validation images; linnet's training chose its own so."""
    if name == "linnet":
        return float(facts[-1]["threshold"])
    val = [image for image in images if image.split == "val"]
    tables = [found[image.image_id] for image in val]
    return best_threshold([(t[:, :2], t[:, 2]) for t in tables], [image.points for image in val], _TUNED_PX)[1]


def _validation_f1(images: Sequence[NucleusImage], found: Mapping[str, np.ndarray], threshold: float) -> float:
    truth = {image.image_id: image.points for image in images if image.split == "val"}
    points = _above(found, threshold)
    return evaluate(truth, {image: points[image] for image in truth}, _TUNED_PX).f1


def _above(found: Mapping[str, np.ndarray], threshold: float) -> dict[str, np.ndarray]:
    return {image: table[table[:, 2] >= threshold][:, :2] for image, table in found.items()}


def _training_facts(facts: Sequence[Mapping[str, Any]], search: Mapping[str, Any]) -> dict[str, Any]:
    first, last = facts[0], facts[-1]
    trained = sum(one["train_cpu_s"] for one in facts)
    first_result = first["import_cpu_s"] + first["read_cpu_s"] + trained
    first_result += last.get("choose_cpu_s", search["val_cpu_s"])
    return {
        "steps": sum(one["steps"] for one in facts),
        "train_cpu_s": round(trained, 1),
        "wall_s": round(sum(one["wall_s"] for one in facts), 1),
        "first_result_cpu_s": round(first_result, 1),
        "train_peak_mb": round(max(one["train_peak_mb"] for one in facts)),
        "file_mb": round(last["file_bytes"] / 1e6, 3),
        "parameters": last["parameters"],
        "library": last["versions"],
        "budget_s": first["budget_s"],
    }


def _scores(group: str, images: Sequence[NucleusImage], points: Mapping[str, np.ndarray], method: str) -> list[Record]:
    if not images:
        return []
    truth = {image.image_id: image.points for image in images}
    mosaic = {image.image_id: image.mosaic_id for image in images}
    sizes = np.concatenate([_diameters(image) for image in images])
    half = float(np.nanmedian(sizes)) / 4
    records = []
    for name, radius in (*((f"{radius:g}px", radius) for radius in RADII_PX), ("half_radius", half)):
        score: Evaluation = evaluate(truth, {image: points[image] for image in truth}, radius)
        lo, hi = score.interval(mosaic)
        facts = {"group": group, "radius_px": round(radius, 2), "mosaics": len(set(mosaic.values()))}
        facts |= {"precision": round(score.precision, 4), "recall": round(score.recall, 4)}
        records.append(
            Record.measured(
                f"nuclei.rivals.f1.{group}.{name}",
                score.f1,
                n=len(images),
                interval=(lo, hi) if np.isfinite([lo, hi]).all() else None,
                level=0.95,
                rng_seed=0,
                split="test",
                method=method,
                context=facts | {"nuclei": score.tp + score.fn},
            )
        )
    return records


def _diameters(image: NucleusImage) -> np.ndarray:
    return np.empty(0) if image.diameters is None else image.diameters


def _absent(library: str, reason: str) -> Record:
    return Record.measured("nuclei.rivals.absent", None, method=library, context={"reason": reason})


_FIRST = {name: partial(accuracy, name, 1) for name in LIBRARIES}
_PARTS = {**_FIRST, "stardist_longer": partial(accuracy, "stardist_short", 3), "cost": cost}
SUBJECT = Subject(_PARTS, as_markdown)
"""`python -m benchmarks nuclei --peers`."""
