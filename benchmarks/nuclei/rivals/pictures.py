"""The images of the comparison, as a job that every program reads: the same for all."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.nuclei.accuracy import GROUPS
from benchmarks.nuclei.rivals.workers.protocol import Picture
from linnet.data import NucleusImage, data_root, read_nucleus_set

LEARNED = ("nuclei_dsb2018", "nuclei_tnbc")  # train parts are learned from, validation parts choose thresholds
NEVER_SEEN = "research_only/nuclei_monuseg"
MONUSEG = "monuseg"
SHOWN = (*GROUPS, "breast_tnbc", MONUSEG)
_EVERY = 4  # for the timed ones: every 4th test image of DSB, of all its groups
_FIRST = 3  # with `quick`: so many images of each group


def read_images(*, quick: bool) -> list[NucleusImage]:
    """Train, validation and test images of DSB and TNBC, and the test images of MoNuSeg where it is at hand.

    Args:
        quick: A few images of each group.

    Raises:
        DataError: a set isn't there.
    """
    images = [image for name in LEARNED for image in read_nucleus_set(data_root() / name)]
    if (data_root() / NEVER_SEEN).is_dir():
        others = read_nucleus_set(data_root() / NEVER_SEEN, "test", group="organ", picture="image_id")
        images += [dataclasses.replace(image, group=MONUSEG) for image in others]
    if not quick:
        return images
    kinds = dict.fromkeys((image.group, image.split) for image in images)
    return [i for kind in kinds for i in [i for i in images if (i.group, i.split) == kind][:_FIRST]]


def write_job(images: Sequence[NucleusImage], file: Path) -> Path:
    """The file that the programs read."""
    timed = sorted((i for i in images if i.split == "test" and i.group in GROUPS), key=lambda i: (i.group, i.image_id))
    chosen = {image.image_id for image in timed[::_EVERY]}
    pictures = [
        Picture(
            image.image_id,
            str(image.path),
            str(image.path.parent.parent / "labels" / image.path.name),
            image.points.tolist(),
            image.split,
            image.group,
            timed=image.image_id in chosen,
        )
        for image in images
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps([dataclasses.asdict(picture) for picture in pictures]), encoding="utf-8")
    return file
