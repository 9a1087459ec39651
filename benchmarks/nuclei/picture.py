"""The README's picture: what the shipped detector finds in tissue and in a synthetic field."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from skimage.data import immunohistochemistry

import linnet.nuclei
from benchmarks import DOCS
from linnet.data import fluorescence_field

PATH = DOCS / "images" / "nuclei.png"
_SIDE = 320


def draw(path: Path = PATH) -> Path:
    """Writes the picture: two images side by side, a ring at each nucleus that was found."""
    detector = linnet.nuclei.load("default")
    field, _ = fluorescence_field((_SIDE, _SIDE), 70, rng_seed=7)
    tissue = immunohistochemistry()[180 : 180 + _SIDE, 140 : 140 + _SIDE]
    figure = Figure(figsize=(2 * _SIDE / 100, _SIDE / 100), dpi=130)
    FigureCanvasAgg(figure)
    for place, (pixels, color, diameter_px) in enumerate(((tissue, "#00e5ff", 12.0), (field, "#ffb000", None))):
        axes = figure.add_axes((place / 2, 0, 0.4975, 1))
        axes.imshow(pixels, cmap="gray", vmax=None if pixels.ndim == 3 else float(np.percentile(pixels, 99.7)))
        points = detector(pixels, diameter_px=diameter_px).points
        axes.plot(points[:, 1], points[:, 0], "o", mfc="none", mec=color, mew=1.1, ms=6.5)
        axes.set_axis_off()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    return path
