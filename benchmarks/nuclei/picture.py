"""The README's picture: what the shipped detector finds in the two real pictures of the demo, beside their truth."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import linnet.nuclei
from benchmarks import DOCS
from linnet.nuclei.points.readers import read_points
from linnet.nuclei.read.images import read_image
from linnet.nuclei.scoring.matching import match

PATH = DOCS / "images" / "nuclei.png"
_SAMPLES = ("tissue", "jpg", "#00b7d6"), ("fluorescence", "png", "#ffb000")
_SIDE = 400  # pixels of each picture that are shown, of its middle
_RADIUS_PX = 5.0


def draw(path: Path = PATH) -> Path:
    """Writes the picture: a ring at each nucleus that was found, a cross at each outlined one that wasn't."""
    detector = linnet.nuclei.load("default")
    figure = Figure(figsize=(2 * _SIDE / 100, (_SIDE + 24) / 100), dpi=95)
    FigureCanvasAgg(figure)
    for place, (name, ending, color) in enumerate(_SAMPLES):
        with as_file(files("linnet.nuclei") / "samples") as samples:
            truth, pixels = read_points(samples / f"{name}.csv"), read_image(samples / f"{name}.{ending}").pixels
        found = detector(pixels).points
        pairs = match(truth, found, _RADIUS_PX).pairs
        f1 = 2 * len(pairs) / max(1, len(truth) + len(found))
        missed = np.delete(truth, [int(pair[0]) for pair in pairs], axis=0)
        axes = figure.add_axes((place / 2, 0, 0.4975, _SIDE / (_SIDE + 24)))
        axes.imshow(pixels, cmap="gray", vmax=None if pixels.ndim == 3 else float(np.percentile(pixels, 99.7)))
        axes.plot(found[:, 1], found[:, 0], "o", mfc="none", mec=color, mew=1.1, ms=6.5)
        axes.plot(missed[:, 1], missed[:, 0], "x", color=color, mew=1.1, ms=5.5)
        top, left = (np.array(pixels.shape[:2]) - _SIDE) / 2 - 0.5
        axes.set_xlim(left, left + _SIDE)
        axes.set_ylim(top + _SIDE, top)
        axes.set_axis_off()
        figure.text(
            place / 2 + 0.005,
            1 - 0.7 * 24 / (_SIDE + 24),
            f"{len(found)} found, {len(truth)} outlined, F1 {f1:.2f}",
            fontsize=9,
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    return path
