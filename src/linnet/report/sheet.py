"""A sheet of pictures: rows and columns with their names, such as a corruption in five severities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from linnet.errors import InputError
from linnet.report.figures import drawing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def picture_sheet(
    rows: Mapping[str, Sequence[NDArray[np.uint8]]], columns: Sequence[str], *, cell_inches: float = 0.9
) -> Figure:
    """Pictures in a grid, the rows named on the left and the columns above.

    Args:
        rows: Name -> pictures (h, w), (h, w, 1) or (h, w, 3), uint8, one for each column.
        columns: Their names.
        cell_inches: Side of a picture.

    Returns:
        A matplotlib figure, for `figure(...)` in a page or for `savefig`.

    Raises:
        InputError: there is no row, or a row has another number of pictures.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    for name, pictures in rows.items():
        if len(pictures) != len(columns):
            raise InputError(
                f"`rows[{name!r}]` must hold {len(columns)} pictures, one for each column (got {len(pictures)})."
            )
    if not rows or not columns:
        raise InputError(f"`rows` and `columns` must not be empty (got {len(rows)} and {len(columns)}).")
    names_inches, head_inches = 1.6, 0.35
    width = names_inches + cell_inches * len(columns)
    height = head_inches + cell_inches * len(rows)
    with drawing():
        fig = Figure(figsize=(width, height))
        FigureCanvasAgg(fig)
        for i, (name, pictures) in enumerate(rows.items()):
            middle = height - head_inches - (i + 0.5) * cell_inches
            fig.text((names_inches - 0.1) / width, middle / height, name, ha="right", va="center", fontsize=8)
            for j, picture in enumerate(pictures):
                left, bottom = names_inches + j * cell_inches, middle - cell_inches / 2
                side = cell_inches * 0.96
                axes = fig.add_axes((left / width, bottom / height, side / width, side / height))
                axes.imshow(np.squeeze(picture), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
                axes.set_axis_off()
        for j, name in enumerate(columns):
            middle = names_inches + (j + 0.48) * cell_inches
            fig.text(middle / width, 1 - 0.5 * head_inches / height, name, ha="center", va="center", fontsize=8)
    return fig
