"""Figures that carry their own bytes: charts as inline SVG, pictures as data URIs."""

import base64
import hashlib
import io
import re
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Mid tones that read on white and on near-black paper, told apart by colour-blind readers and, by their order of
# lightness, in gray (after Okabe and Ito).
SERIES_COLORS = ("#1f9e89", "#d5803b", "#7b6bc4", "#3d8fd1", "#c2547d", "#8a8f2a")

_INK = "#123457"  # stands for the page's text colour until the SVG is written
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "linnet",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Curve:
    """One line of a chart: `x` and `y` of equal length, and its name in the legend."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def drawing() -> AbstractContextManager[None]:
    """The page's style for matplotlib: draw a figure inside it, so that its text can take the page's colour.

    matplotlib is imported when something is drawn: it takes longer to load than the rest of the package.
    """
    from matplotlib import rc_context

    return rc_context(_STYLE)


def figure(fig: "Figure", *, alt: str, caption: str = "") -> Markup:
    """A matplotlib figure as inline SVG; its text takes the page's colour, light or dark.

    Args:
        fig: The figure, drawn inside `drawing`.
        alt: What it shows, for those who don't see it.
        caption: Text under it.

    Returns:
        HTML; equal figures give equal bytes.
    """
    buffer = io.StringIO()
    with drawing(), warnings.catch_warnings():
        # The browser draws the text, with its fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        fig.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    # matplotlib's style rule for `*` would reach every other SVG of the page; the root's attributes say the same.
    svg = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)
    # Ids must be unique in the page, and several charts share it.
    prefix = "c" + hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    root = Markup('<svg role="img" aria-label="{}" stroke-linejoin="round" stroke-linecap="butt" ').format(alt)
    svg = svg.replace("<svg ", str(root), 1)
    return _figure(Markup(svg.strip()), caption, kind="chart")


def chart(curves: Sequence[Curve], *, x_label: str, y_label: str, alt: str, caption: str = "") -> Markup:
    """Lines over a shared axis, for losses and metrics during training.

    Args:
        curves: What to draw; not-finite values leave a gap.
        x_label: Name and unit of the x axis.
        y_label: Name and unit of the y axis.
        alt: What the chart shows.
        caption: Text under it.
    """
    from matplotlib.figure import Figure

    with drawing():
        fig = Figure(figsize=(7.2, 3.4), layout="constrained")
        axes = fig.subplots()
        for i, curve in enumerate(curves):
            mark = "o" if len(curve.x) < 2 else None
            color = SERIES_COLORS[i % len(SERIES_COLORS)]
            axes.plot(curve.x, curve.y, label=curve.name, color=color, linewidth=1.8, marker=mark)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        axes.grid(visible=True, color="#808080", alpha=0.25, linewidth=0.6)
        if len(curves) > 1:
            axes.legend()
        return figure(fig, alt=alt, caption=caption)


def image(pixels: NDArray[np.uint8], *, alt: str, caption: str = "", max_bytes: int | None = None) -> Markup:
    """A picture inside the page.

    Args:
        pixels: (h, w) or (h, w, 3), uint8.
        alt: What it shows.
        caption: Text under it.
        max_bytes: As in `data_uri`.
    """
    h, w = pixels.shape[:2]
    uri = data_uri(pixels, max_bytes=max_bytes)
    return _figure(Markup('<img src="{}" width="{}" height="{}" alt="{}">').format(uri, w, h, alt), caption)


def data_uri(pixels: NDArray[np.uint8], *, max_bytes: int | None = None) -> str:
    """A picture as a data URI: PNG, or the best JPEG that fits when `max_bytes` is given.

    Args:
        pixels: (h, w) or (h, w, 3), uint8.
        max_bytes: Size to stay under. PNG (without loss) is kept when it fits, then JPEG quality falls from 88 to 40;
            the last is taken even when it is larger.
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    encoded, kind = _encode(picture, "PNG", optimize=False), "png"
    for quality in (88, 80, 70, 55, 40):
        if max_bytes is None or len(encoded) <= max_bytes:
            break
        encoded, kind = _encode(picture, "JPEG", quality=quality), "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode('ascii')}"


def _encode(picture: Image.Image, kind: str, **options: bool | int) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _figure(inner: Markup, caption: str, *, kind: str = "picture") -> Markup:
    legend = Markup("<figcaption>{}</figcaption>").format(caption) if caption else ""
    return Markup('<figure class="{}">{}{}</figure>').format(kind, inner, legend)
