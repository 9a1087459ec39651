"""The picture with its nuclei marked, as PNG."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from linnet.nuclei.batch.thumbnail import shown
from linnet.nuclei.points.detections import Detections
from linnet.nuclei.read.find import OWN_MARK
from linnet.results import atomic_path

_MAX_SIDE, _MIN_SIDE = 2048, 900
_DARK, _WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_AT_ONCE = 4096  # discs that are computed together: 15 x 15 pixels each
_STRIP = 40  # height of the legend under the picture


def draw_overlay(
    pixels: Any, detections: Detections, *, max_side: int = _MAX_SIDE, legend: bool = True
) -> NDArray[np.uint8]:
    """The picture with a dot on each nucleus, coloured by score from dark violet (0) to yellow (1).

    A dot is a viridis core in a white ring in a dark ring, so that it is seen on bright and on dark ground. Large
    pictures are averaged down, small ones enlarged.

    Args:
        pixels: (h, w) or (h, w, 3), or anything with shape, dtype and slicing.
        detections: Found in it.
        max_side: Longest side of the result.
        legend: Adds a strip with the colour scale and the count under the picture.

    Returns:
        (h', w', 3) uint8.
    """
    picture, zoom = shown(pixels, max_side=max_side, min_side=_MIN_SIDE)
    canvas = (np.stack([picture] * 3, axis=-1) if picture.ndim == 2 else picture).astype(np.float32) / 255
    at = (detections.points + 0.5) * zoom - 0.5
    order = np.argsort(detections.score, kind="stable")  # the surest are drawn last
    at, score = at[order], np.clip(np.nan_to_num(detections.score[order]), 0, 1)
    radius = _radius(at)
    _discs(canvas, at, radius + 2.6, np.tile(_DARK, (len(at), 1)), opacity=0.6)
    _discs(canvas, at, radius + 1.5, np.tile(_WHITE, (len(at), 1)), opacity=1.0)
    _discs(canvas, at, radius, _viridis(score), opacity=1.0)
    drawn = np.clip(np.rint(canvas * 255), 0, 255).astype(np.uint8)
    return np.concatenate([drawn, _legend(drawn.shape[1], len(detections))]) if legend else drawn


def write_overlay(path: str | Path, pixels: Any, detections: Detections) -> Path:
    """Writes `draw_overlay` as PNG, in one step, marked so that it is never taken for an image.

    Returns:
        The path.
    """
    marked = PngInfo()
    marked.add_text("Software", OWN_MARK)
    with atomic_path(path) as temporary:
        Image.fromarray(draw_overlay(pixels, detections)).save(temporary, "PNG", pnginfo=marked)
    return Path(path)


def _radius(at: NDArray[np.float64]) -> float:
    """Radius of a core in pixels of the result: a fifth of the usual distance between nuclei, 2 to 5."""
    if len(at) < 2:
        return 5.0
    extent = np.maximum(np.ptp(at, axis=0), 1.0)
    return float(np.clip(0.2 * np.sqrt(np.prod(extent) / len(at)), 2.0, 5.0))


def _discs(
    canvas: NDArray[np.floating], at: NDArray[np.float64], radius: float, colors: NDArray[np.float64], *, opacity: float
) -> None:
    """Paints smooth-edged discs onto `canvas`; where two meet, the pixel takes the one that covers it more."""
    for start in range(0, len(at), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        _some_discs(canvas, at[part], radius, colors[part], opacity)


def _some_discs(
    canvas: NDArray[np.floating], at: NDArray[np.float64], radius: float, colors: NDArray[np.float64], opacity: float
) -> None:
    h, w = canvas.shape[:2]
    reach = int(np.ceil(radius + 1))
    step = np.arange(-reach, reach + 1)
    base = np.rint(at).astype(np.intp)
    y = base[:, 0, None, None] + step[None, :, None]
    x = base[:, 1, None, None] + step[None, None, :]
    distance = np.hypot(y - at[:, 0, None, None], x - at[:, 1, None, None])
    cover = np.clip(radius + 0.5 - distance, 0, 1)
    n, row, column = np.nonzero((cover > 0) & (y >= 0) & (y < h) & (x >= 0) & (x < w))
    strength = cover[n, row, column]
    place = y[n, row, 0] * w + x[n, 0, column]
    last = np.lexsort((n, strength, place))  # by pixel, then by cover, then later discs over earlier ones
    top = last[np.diff(place[last], append=-1) != 0]
    alpha = (strength[top] * opacity)[:, None].astype(np.float32)
    flat = canvas.reshape(-1, 3)
    flat[place[top]] = (1 - alpha) * flat[place[top]] + alpha * colors[n[top]].astype(np.float32)


def _legend(width: int, n: int) -> NDArray[np.uint8]:
    """(40, width, 3): colour scale from 0 to 1, and the count."""
    strip = Image.new("RGB", (width, _STRIP), (24, 28, 30))
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(15)
    text = (226, 231, 230)
    bar = min(180, max(0, width - 200))
    if bar >= 40:
        colors = np.rint(_viridis(np.linspace(0, 1, bar)) * 255).astype(np.uint8)[None].repeat(12, axis=0)
        draw.text((12, 20), "score 0", fill=text, font=font, anchor="lm")
        strip.paste(Image.fromarray(colors), (72, 14))
        draw.text((72 + bar + 8, 20), "1", fill=text, font=font, anchor="lm")
    draw.text((width - 12, 20), f"{n:,} {'nucleus' if n == 1 else 'nuclei'}", fill=text, font=font, anchor="rm")
    return np.asarray(strip)


def _viridis(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3) colours of scores 0..1; matplotlib is loaded when something is drawn."""
    from matplotlib import colormaps

    return np.asarray(colormaps["viridis"](score))[:, :3]
