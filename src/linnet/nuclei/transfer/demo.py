"""Two groups of images that the package makes, with their points: for the demo, and for a first plan to change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from linnet.data.synthetic import fluorescence_field
from linnet.results import atomic_path, atomic_write

PLAN = """\
# A study of two groups of images: may a detector for one of them have seen the other alone?
[study]
seeds = 1
shots = [1, 2]

[groups.small_bright]
images = "small_bright/images"
points = "small_bright/points"
kind = "fluorescence"
diameter_px = 14

[groups.large_dark]
images = "large_dark/images"
points = "large_dark/points"
kind = "dark on bright"
diameter_px = 26

[scale.smoke]
steps = 60
shot_steps = 30
"""
_SIDE, _IMAGES = 128, 8


def write_demo(folder: Path) -> Path:
    """Writes a plan and two groups of eight PNG images with CSV points; gives the path of the plan."""
    for number, (name, diameter, count) in enumerate((("small_bright", (11, 17), 26), ("large_dark", (22, 30), 9))):
        for kind in ("images", "points"):
            (folder / name / kind).mkdir(parents=True, exist_ok=True)
        for k in range(_IMAGES):
            field, points = fluorescence_field((_SIDE, _SIDE), count, 100 * number + k, diameter_px=diameter)
            gray = np.clip(255 * (field / np.quantile(field, 0.999)), 0, 255)
            pixels = (255 - gray if number else gray).astype(np.uint8)
            with atomic_path(folder / name / "images" / f"{name}_{k}.png") as path:
                Image.fromarray(pixels).save(path, "PNG")
            rows = "".join(f"{y:.2f},{x:.2f}\n" for y, x in points)
            atomic_write(folder / name / "points" / f"{name}_{k}.csv", f"y,x\n{rows}")
    return atomic_write(folder / "plan.toml", PLAN)
