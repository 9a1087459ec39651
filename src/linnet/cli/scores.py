"""The results of `linnet nuclei`: lines for the terminal, and records."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linnet.nuclei.batch.batch import BatchResult
    from linnet.nuclei.scoring.scores import Evaluation, ImageScore
    from linnet.results import Record

_COLUMNS = ("image", "true", "found", "matched", "precision", "recall", "F1", "difference")
_SHOWN = 20  # images in a list on the terminal; files hold them all


def batch_lines(result: "BatchResult") -> Iterator[str]:
    """How many nuclei in how many images, which images a person should look at, and which failed and why."""
    yield f"{result.nuclei} nuclei in {len(result.done)} image{'s' * (len(result.done) != 1)}"
    doubtful = [(name, one) for name, one in result.named() if one.detections.flag != "ok"]
    yield from _cut([f"  look at {name}: {'; '.join(one.detections.flag_reasons)}" for name, one in doubtful])
    for remark in result.remarks:
        yield f"  note: {remark.replace('`same_scale`', '--same-scale').replace('`recursive`', '--recursive')}"
    if result.failed:
        yield f"{len(result.failed)} failed (listed in failed.csv):"
        yield from _cut([f"  {failure.image}: {failure.error}" for failure in result.failed])


def score_lines(result: "Evaluation") -> Iterator[str]:
    """A table of the images, worst F1 first, then the pooled scores. What is undefined is shown as "-"."""
    worst = sorted(result.per_image, key=lambda score: (math.inf if math.isnan(score.f1) else score.f1, score.image))
    rows = [_COLUMNS, *(_row(score) for score in worst[:_SHOWN])]
    widths = [max(len(row[k]) for row in rows) for k in range(len(_COLUMNS))]
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield "  ".join([row[0].ljust(widths[0]), *cells]).rstrip()
    if len(worst) > _SHOWN:
        yield f"... and {len(worst) - _SHOWN} more images with an F1 at least as high"
    yield ""
    images = len(result.per_image)
    yield f"in all, {images} image{'s' * (images != 1)}, radius {result.radius_px:g} px"
    yield f"  precision {_shown(result.precision)}  recall {_shown(result.recall)}  F1 {_shown(result.f1)}"
    yield f"  distance of matched pairs {_shown(result.distance_mean)} px, SD {_shown(result.distance_sd)}"
    difference = f"{_shown(result.count_difference_mean, 1)}, SD {_shown(result.count_difference_sd, 1)}"
    yield f"  |found - true| per image {difference}"


def score_records(result: "Evaluation") -> "list[Record]":
    """The pooled scores, then F1 and the counts of each image."""
    from linnet.results import Record

    facts = {"radius_px": result.radius_px, "tp": result.tp, "fp": result.fp, "fn": result.fn}
    pooled = {
        "precision": (result.precision, ""),
        "recall": (result.recall, ""),
        "f1": (result.f1, ""),
        "distance_mean_px": (result.distance_mean, "px"),
        "distance_sd_px": (result.distance_sd, "px"),
        "count_difference_mean": (result.count_difference_mean, ""),
        "count_difference_sd": (result.count_difference_sd, ""),
    }
    records = [
        Record.measured(f"nuclei.{name}", value, unit=unit, n=len(result.per_image), context=facts)
        for name, (value, unit) in pooled.items()
    ]
    for score in result.per_image:
        counts = {"image": score.image, "tp": score.tp, "fp": score.fp, "fn": score.fn}
        records.append(
            Record.measured("nuclei.image_f1", score.f1, n=1, context={**counts, "radius_px": result.radius_px})
        )
    return records


def _cut(lines: list[str]) -> Iterator[str]:
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"  ... and {len(lines) - _SHOWN} more"


def _row(score: "ImageScore") -> tuple[str, ...]:
    found, true = score.tp + score.fp, score.tp + score.fn
    precision, recall = (score.tp / whole if whole else math.nan for whole in (found, true))
    numbers = (_shown(precision), _shown(recall), _shown(score.f1), f"{score.count_difference:+d}")
    return (score.image, str(true), str(found), str(score.tp), *numbers)


def _shown(value: float, digits: int = 3) -> str:
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
