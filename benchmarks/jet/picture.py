"""The nine 3 x 3 jets as a picture for the docs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks import DOCS
from linnet.jet import kernel_family, kernel_name


def draw(path: Path = DOCS / "images" / "jet_family.png") -> Path:
    """Writes the picture; gives its place."""
    figure = Figure(figsize=(5.4, 5.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(3, 3)
    for qy in range(3):
        for qx in range(3):
            kernel, ax = kernel_family.kernel(3, qy, qx), axes[qy, qx]
            bound = np.abs(kernel).max()
            ax.imshow(kernel, cmap="RdBu", vmin=-bound, vmax=bound)
            for (i, j), value in np.ndenumerate(kernel):
                ax.text(
                    j,
                    i,
                    str(value),
                    ha="center",
                    va="center",
                    fontsize=11,
                    color="#222222" if abs(value) < bound else "white",
                )
            ax.set_title(kernel_name(3, qy, qx), fontsize=11)
            ax.set_axis_off()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path
