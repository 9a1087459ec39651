"""Pictures of a network's sign maps over the image that they come from, with the box of a defect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from linnet.errors import InputError
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.integer.nodes import Conv, Pool, Threshold
from linnet.jet.integer.shapes import window_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from linnet.jet import Program

COLUMNS = 4  # maps side by side: as wide as a telephone
MOST = 16  # maps of a layer that are shown
BOX_COLOR = "#d5803b"


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels.

    Attributes:
        y1: First row.
        x1: First column.
        y2: Row after the last.
        x2: Column after the last.
    """

    y1: int
    x1: int
    y2: int
    x2: int

    def __str__(self) -> str:
        return f"{self.y1},{self.x1},{self.y2},{self.x2}"

    def moved(self, y: int, x: int) -> Box:
        """The same rectangle in an image that begins at row `y` and column `x` of this one."""
        return Box(self.y1 - y, self.x1 - x, self.y2 - y, self.x2 - x)

    def reduced(self, step: int) -> Box:
        """The pixels that it touches in an image of means of step x step pixels."""
        return Box(self.y1 // step, self.x1 // step, math.ceil(self.y2 / step), math.ceil(self.x2 / step))


@dataclass(frozen=True)
class Place:
    """Where the values of a map lie in the image: value (i, j) is centred at (y + i * step_y, x + j * step_x)."""

    y: float = 0.0
    x: float = 0.0
    step_y: float = 1.0
    step_x: float = 1.0

    def through(self, window: tuple[int, int], stride: tuple[int, int], padding: int) -> Place:
        """The place of what a convolution or a pool makes of this map."""
        return Place(
            self.y + self.step_y * ((window[0] - 1) / 2 - padding),
            self.x + self.step_x * ((window[1] - 1) / 2 - padding),
            self.step_y * stride[0],
            self.step_x * stride[1],
        )

    def extent(self, height: int, width: int) -> tuple[float, float, float, float]:
        """Left, right, bottom and top edge of a map of this size, in pixels of the image."""
        left, top = self.x - self.step_x / 2, self.y - self.step_y / 2
        return left, left + width * self.step_x, top + height * self.step_y, top


@dataclass(frozen=True, eq=False)
class Maps:
    """The sign maps of one layer on one image.

    Attributes:
        name: Of the layer.
        values: (C, h, w), +1 and -1.
        place: Where they lie in the image.
    """

    name: str
    values: NDArray[np.int8]
    place: Place


def places(graph: IntegerGraph) -> list[Place | None]:
    """Where the values of each node lie in the image; None for vectors."""
    found: list[Place | None] = []
    for node in graph.nodes:
        operation, before = node.operation, found[node.sources[0]] if node.sources else Place()
        if len(node.shape) != 3 or before is None:
            found.append(None)
        elif isinstance(operation, Conv):
            size, stride = operation.size, operation.stride
            found.append(before.through((size, size), (stride, stride), operation.padding))
        elif isinstance(operation, Pool):
            window, stride = window_of(operation, graph.nodes[node.sources[0]].shape)
            found.append(before.through(window, stride, 0))
        else:
            found.append(before)
    return found


def sign_maps(program: Program, frame: NDArray[np.integer]) -> list[Maps]:
    """The maps behind each threshold, in order.

    Args:
        program: Any; a network of vectors has no maps.
        frame: (C, H, W) whole pixels.
    """
    graph, values = program.graph, program.trace(frame[None])
    return [
        Maps(node.name, values[node.name][0].numpy().astype(np.int8), place)
        for node, place in zip(graph.nodes, places(graph), strict=True)
        if isinstance(node.operation, Threshold) and place is not None and node.shape[1:] != (1, 1)
    ]


def cut_around(image: NDArray[np.uint8], box: Box, height: int, width: int) -> tuple[NDArray[np.uint8], Box]:
    """The part of an image with the box in its middle, as far as the edges allow, in the size of a frame.

    A box that would fill more than three quarters of a frame makes the part n times as large, and means of n x n pixels
    are taken.

    Args:
        image: (h, w, channels).
        box: Inside of the image.
        height: Rows of a frame.
        width: Pixels of a row.

    Returns:
        (height, width, channels), and the box in it.

    Raises:
        InputError: the box is empty or lies outside of the image, or the image is too small.
    """
    rows, columns, channels = image.shape
    if not (0 <= box.y1 < box.y2 <= rows and 0 <= box.x1 < box.x2 <= columns):
        raise InputError(
            f"`box` must be y1,x1,y2,x2 with y1 < y2 <= {rows} and x1 < x2 <= {columns} (got {box}). It holds the rows "
            "from y1 to y2 - 1 and the columns from x1 to x2 - 1."
        )
    filled = max((box.y2 - box.y1) / height, (box.x2 - box.x1) / width)
    step = max(1, math.ceil(filled / 0.75)) if (rows, columns) != (height, width) else 1
    if rows < step * height or columns < step * width:
        raise InputError(
            f"`image` must be at least {step * height} x {step * width} for this box (got {rows} x {columns}). Give a "
            "larger picture or a smaller box."
        )
    y = min(max((box.y1 + box.y2 - step * height) // 2, 0), rows - step * height)
    x = min(max((box.x1 + box.x2 - step * width) // 2, 0), columns - step * width)
    part = image[y : y + step * height, x : x + step * width]
    means = part.reshape(height, step, width, step, channels).mean((1, 3))
    return np.rint(means).astype(np.uint8), box.moved(y, x).reduced(step)


def image_figure(frame: NDArray[np.integer], boxes: Sequence[Box]) -> Figure:
    """The image with its boxes.

    Args:
        frame: (1 or 3, H, W) pixels; of other numbers of channels the first is shown.
        boxes: Of defects.
    """
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(2.6, 2.6), layout="constrained")
    draw_image(drawn.subplots(), frame, boxes)
    return drawn


def maps_figure(maps: Maps, shape: Sequence[int], boxes: Sequence[Box]) -> Figure:
    """The first maps of a layer, white for +1, each over the place of the image that it tells about.

    Args:
        maps: Of a layer.
        shape: Height and width of the image.
        boxes: Of defects, in pixels of the image.
    """
    from matplotlib.figure import Figure

    shown = maps.values[:MOST]
    lines = math.ceil(len(shown) / COLUMNS)
    drawn = Figure(figsize=(3.5, 1.0 * lines + 0.05), layout="constrained")
    axes = drawn.subplots(lines, COLUMNS, squeeze=False)
    for k, ax in enumerate(axes.flat):
        if k < len(shown):
            ax.set_title(str(k), fontsize=8, pad=2)
            draw_map(ax, maps, k, shape, boxes)
        else:
            ax.set_axis_off()
    return drawn


def draw_image(ax: Axes, frame: NDArray[np.integer], boxes: Sequence[Box]) -> None:
    """An image with its boxes in axes of its pixels.

    Args:
        ax: Empty.
        frame: (1 or 3, H, W) pixels; of other numbers of channels the first is shown.
        boxes: Of defects.
    """
    pixels = frame.transpose(1, 2, 0) if len(frame) == 3 else frame[0]
    ax.imshow(pixels, cmap="gray", interpolation="none")
    _frame(ax, frame.shape[1:], boxes)


def draw_map(ax: Axes, maps: Maps, channel: int, shape: Sequence[int], boxes: Sequence[Box]) -> None:
    """One sign map over the part of the image that it tells about, in axes of the image's pixels.

    Args:
        ax: Empty.
        maps: Of a layer.
        channel: Which of them.
        shape: Height and width of the image.
        boxes: Of defects, in pixels of the image.
    """
    values = maps.values[channel]
    extent = maps.place.extent(*values.shape)
    ax.imshow(values, cmap="gray", vmin=-1, vmax=1, interpolation="none", extent=extent, zorder=1)
    _frame(ax, shape, boxes)


def _frame(ax: Axes, shape: Sequence[int], boxes: Sequence[Box]) -> None:
    """Axes of the image, equal in all pictures, so that the box is at one place in each."""
    from matplotlib.patches import Rectangle

    ax.set_axis_on()
    ax.set_xlim(-0.5, shape[1] - 0.5)
    ax.set_ylim(shape[0] - 0.5, -0.5)
    ax.set_xticks([])
    ax.set_yticks([])
    for side in ax.spines.values():
        side.set_visible(True)
        side.set_color("#808080")
    for box in boxes:
        corner, size = (box.x1 - 0.5, box.y1 - 0.5), (box.x2 - box.x1, box.y2 - box.y1)
        ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor=BOX_COLOR, linewidth=1.5, zorder=2))
