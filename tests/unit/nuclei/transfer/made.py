"""Plans, images and records for the tests of the study; nothing is trained for them."""

import json

import numpy as np
from PIL import Image

from linnet.nuclei.transfer.description import Description, GroupFacts
from linnet.nuclei.transfer.findings import Findings
from linnet.results import Record

SETTINGS = {"shots": [1, 2], "shot_groups": [], "seeds": 2, "margin": 0.01, "few": 2, "radius_px": 5.0}
SETTINGS |= {
    "starts": ["best", "mixture", "scratch"],
    "steps": 9,
    "shot_steps": 3,
    "train_images": 0,
    "validation_images": 0,
    "test_images": 0,
    "mixtures": ["pooled"],
    "rehearsal": [],
    "arms": ["matrix", "mixtures", "shots"],
}


def write_group(folder, name, count, *, rng_seed=0, side=48):
    """A folder of noise images with three points each."""
    rng = np.random.default_rng(rng_seed)
    for kind in ("images", "points"):
        (folder / name / kind).mkdir(parents=True)
    for k in range(count):
        pixels = rng.integers(0, 255, (side, side)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name / "images" / f"{name}{k}.png")
        (folder / name / "points" / f"{name}{k}.csv").write_text("y,x\n5,5\n20,30\n40,12\n")


def write_plan(folder, text="", groups=("a", "b")):
    """A plan of folder groups with more text behind it."""
    tables = "".join(f'[groups.{n}]\nimages = "{n}/images"\npoints = "{n}/points"\n' for n in groups)
    path = folder / "plan.toml"
    path.write_text(tables + text)
    return path


def findings(records, groups=("a", "b", "c"), *, kinds=("x", "x", "y"), pictures=3, **settings):
    """Findings of records made by `record`."""
    sides = {"train": 4, "val": 1, "test": pictures}
    facts = {
        name: GroupFacts(kind, sides, sides, 99, 3.0, "outlines", "") for name, kind in zip(groups, kinds, strict=True)
    }
    finished = {str(record.context["trial"]): record for record in records}
    return Findings(finished, Description("cpu", SETTINGS | settings, facts))


def record(stage, hits, *, validation=None, **settings):
    """A record whose test pictures have so many hits of ten, each with as many misses and surplus points."""
    by_picture = {
        group: {f"p{k}": [hit, 10 - hit, 10 - hit] for k, hit in enumerate(row)} for group, row in hits.items()
    }
    counts = {group: {"px": rows, "half": rows} for group, rows in by_picture.items()}
    told = " ".join(f"{name}={value!r}" for name, value in sorted(settings.items()))
    context = {"trial": f"{stage} {told}", "stage": stage, **settings, "counts": json.dumps(counts)}
    return Record("nuclei.study", 0.5, context={**context, "validation_f1": json.dumps(validation or {})})
