"""Subject `nuclei`: the shipped detector against single-scale LoG and blob_log."""

from __future__ import annotations

import linnet.nuclei
from benchmarks.nuclei.accuracy import GROUPS, linnet_accuracy, log_accuracy
from benchmarks.nuclei.log_detector import LogSettings
from benchmarks.nuclei.memory import memory_records
from benchmarks.nuclei.speed import blob_log_points, speed_records
from benchmarks.nuclei.startup import startup_records
from benchmarks.nuclei.tables import as_markdown
from benchmarks.subject import Subject
from linnet.data import NucleusImage, data_root, read_nucleus_set
from linnet.results import Record

_EVERY = 4  # for speed: every 4th test image, about 5 megapixels in 28 images of all groups
_FIRST = 3  # with --quick: so many images of each group


def accuracy(*, quick: bool) -> list[Record]:
    """How many nuclei linnet finds on the test images.

    Args:
        quick: A few images: shows that it runs, proves nothing.

    Raises:
        DataError: the nucleus set isn't there.
    """
    return linnet_accuracy(_images("test", quick=quick), linnet.nuclei.load("default"))


def peers(*, quick: bool) -> list[Record]:
    """What the tuned LoG finds, and the speed of both peers beside linnet's."""
    test = _images("test", quick=quick)
    rival = log_accuracy(_images("val", quick=quick), test)
    detector = linnet.nuclei.load("default")
    return [*rival, *_speed(test, _settings(rival), detector, pairs=3 if quick else 11)]


def cost(*, quick: bool) -> list[Record]:
    """Memory for a large image, and start-up."""
    return [*memory_records(side_px=2_000 if quick else 10_000), *startup_records(pairs=3 if quick else 7)]


def _images(split: str, *, quick: bool) -> list[NucleusImage]:
    return _some(read_nucleus_set(data_root() / "nuclei_dsb2018", split), quick=quick)


def _speed(
    test: list[NucleusImage], tuned: dict[str, LogSettings], detector: linnet.nuclei.Detector, *, pairs: int
) -> list[Record]:
    timed = sorted(test, key=lambda image: image.group)[::_EVERY]
    pixels = [image.pixels() for image in timed]
    peers = {
        "log": lambda index: tuned[timed[index].group],
        "blob_log": lambda _index: blob_log_points,
    }
    one, two = (
        speed_records(pixels, lambda image: detector(image).points, peers, threads=threads, pairs=pairs)
        for threads in (1, 2)
    )
    return [*one, *two]


def _settings(rival: list[Record]) -> dict[str, LogSettings]:
    """The LoG settings of each group, as the records of its accuracy state them."""
    fields = LogSettings.__dataclass_fields__
    of_group = {str(r.context["group"]): r.context for r in rival if "sigma_px" in r.context}
    return {group: LogSettings(**{name: facts[name] for name in fields}) for group, facts in of_group.items()}


def _some(images: list[NucleusImage], *, quick: bool) -> list[NucleusImage]:
    if not quick:
        return images
    return [image for group in GROUPS for image in [i for i in images if i.group == group][:_FIRST]]


SUBJECT = Subject({"accuracy": accuracy, "peers": peers, "cost": cost}, as_markdown)
