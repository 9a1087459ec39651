"""What teaching the shipped detector tissue costs it on fluorescence, with the pictures that it is shown again."""

from __future__ import annotations

from collections.abc import Sequence

import linnet.nuclei
from benchmarks.subject import Subject
from linnet.data import NucleusImage, data_root, read_nucleus_set
from linnet.nuclei import Detector
from linnet.nuclei.scoring.scores import evaluate
from linnet.results import Record

_LESSON = 10  # H&E images
_EVERY = 2  # of the fluorescence test images
_KINDS = {"fluorescence": "fluorescence, test pictures of DSB 2018", "tissue": "H&E, test patients of TNBC"}


def teaching_records(*, quick: bool) -> list[Record]:
    """F1 of fluorescence and of tissue before and after `train` with ten H&E images of TNBC's train part.

    Args:
        quick: A tenth of the training and four test images of each kind.

    Raises:
        DataError: a set isn't there.
    """
    lesson = read_nucleus_set(data_root() / "nuclei_tnbc", "train")[:_LESSON]
    test = {
        "fluorescence": [
            i for i in read_nucleus_set(data_root() / "nuclei_dsb2018", "test") if i.group.endswith("fluo")
        ][::_EVERY],
        "tissue": read_nucleus_set(data_root() / "nuclei_tnbc", "test"),
    }
    taught = linnet.nuclei.train(
        [image.pixels() for image in lesson],
        [image.points for image in lesson],
        start="default",
        epochs=1 if quick else 10,
        progress="off",
    )
    records = []
    for when, detector in (("before", linnet.nuclei.load("default")), ("after", taught)):
        for kind, images in test.items():
            shown = images[: 4 if quick else None]
            f1 = _f1(detector, shown)
            records.append(Record.measured(f"nuclei.teaching.{kind}.{when}", f1, n=len(shown), split="test"))
    return records


def _f1(detector: Detector, images: Sequence[NucleusImage]) -> float:
    truth = {image.image_id: image.points for image in images}
    return evaluate(truth, {image.image_id: detector(image.pixels()).points for image in images}).f1


def as_markdown(records: Sequence[Record]) -> str:
    """A row per kind of picture."""
    rows = ["| pictures | n | F1 before | F1 after |", "|---|---|---|---|"]
    by_name = {record.name: record for record in records}
    for kind, what in _KINDS.items():
        pair = [by_name.get(f"nuclei.teaching.{kind}.{when}") for when in ("before", "after")]
        if pair[0] is not None and pair[1] is not None:
            rows.append(f"| {what} | {pair[0].n} | {pair[0].value:.3f} | {pair[1].value:.3f} |")
    return "\n".join(rows)


SUBJECT = Subject({"teaching": teaching_records}, as_markdown)
"""`python -m benchmarks nuclei_teaching`."""
