"""Points over a picture: one SVG path per score bin, so that 10,000 dots don't stall a browser."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

BINS = 5
_UNITS = 4  # path units per thumbnail pixel: dots sit on a grid of a quarter pixel


def score_colors(bins: int = BINS) -> list[str]:
    """Hex colours from low to high score: viridis, readable by colour-blind people and in gray.

    Example:
        >>> score_colors(2)
        ['#3b528b', '#5ec962']
    """
    from matplotlib import colormaps  # loaded when something is drawn

    rgb = colormaps["viridis"]((np.arange(bins) + 0.5) / bins, bytes=True)[:, :3]
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in rgb]


def svg_dots(
    points: NDArray[np.float64],
    score: NDArray[np.float64],
    *,
    shape: tuple[int, int],
    picture_uri: str,
    picture_shape: tuple[int, int],
    key: str,
    alt: str,
    max_dots: int = 8000,
) -> Markup:
    """A thumbnail with its detections, coloured by score in `BINS` bins.

    A dot is a viridis core in a white ring in a dark ring, so it is seen on bright and on dark ground. Each bin's path
    is written once and used three times.

    Args:
        points: (n, 2) y, x in pixels of the full image, pixel centres at integers.
        score: (n,) in 0..1; not-finite counts as 0.
        shape: (h, w) of the full image.
        picture_uri: Data URI of the thumbnail, see `data_uri`.
        picture_shape: (h, w) of the thumbnail.
        key: Letters and digits; must be unique in the page.
        alt: What the picture shows.
        max_dots: Above it dots that are nearest to each other are drawn as one, the highest score on top.

    Returns:
        One `<svg>`.
    """
    h, w = picture_shape
    at = (np.asarray(points, dtype=np.float64).reshape(-1, 2) + 0.5) * (np.array([h, w]) / np.array(shape))
    at, bin_of = _thinned(at, _bins(score), max_dots=max_dots)
    radius = _radius(at)
    paths, uses = [], []
    for b, color in enumerate(score_colors()):
        chosen = at[bin_of == b]
        if not len(chosen):
            continue
        d = "".join(f"M{x} {y}h0" for y, x in np.rint(chosen * _UNITS).astype(int).tolist())
        paths.append(Markup('<path id="{}-{}" d="{}"/>').format(key, b, d))
        uses.append((b, color))
    layers = [(radius + 1.6, "#000", 0.55), (radius + 0.9, "#fff", 0.95), (radius, None, 1.0)]
    drawn = [
        Markup('<use href="#{}-{}" stroke="{}" stroke-opacity="{}" stroke-width="{:.1f}"/>').format(
            key, b, fixed or color, opacity, 2 * size * _UNITS
        )
        for size, fixed, opacity in layers
        for b, color in uses
    ]
    return Markup(
        '<svg role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">'
        '<image href="{}" width="{}" height="{}" preserveAspectRatio="none"/><defs>{}</defs>'
        '<g class="dots" fill="none" stroke-linecap="round">{}</g></svg>'
    ).format(alt, w * _UNITS, h * _UNITS, w, h, picture_uri, w * _UNITS, h * _UNITS, _join(paths), _join(drawn))


def score_legend(title: str = "score") -> Markup:
    """The colour scale of `svg_dots`, from 0 to 1, as a small SVG."""
    width, bar = 320, 14
    step = width / BINS
    boxes = [
        Markup('<rect x="{:.1f}" y="18" width="{:.1f}" height="{}" fill="{}"/>').format(
            i * step, step + 0.5, bar, color
        )
        for i, color in enumerate(score_colors())
    ]
    ticks = [
        Markup('<text x="{:.1f}" y="48" text-anchor="{}">{:.1f}</text>').format(
            i * step, "start" if i == 0 else "end" if i == BINS else "middle", i / BINS
        )
        for i in range(BINS + 1)
    ]
    return Markup(
        '<div class="legend"><svg role="img" aria-label="Colour scale of the {}: dark violet is 0, yellow is 1" '
        'viewBox="0 0 {} 52" font-size="12" fill="currentColor"><text x="0" y="12">{}</text>{}{}</svg></div>'
    ).format(title, width, title, _join(boxes), _join(ticks))


def _bins(score: NDArray[np.float64]) -> NDArray[np.int64]:
    clean = np.nan_to_num(np.asarray(score, dtype=np.float64).ravel(), nan=0.0, posinf=1.0, neginf=0.0)
    return np.clip((clean * BINS).astype(np.int64), 0, BINS - 1)


def _thinned(
    at: NDArray[np.float64], bin_of: NDArray[np.int64], *, max_dots: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """At most `max_dots` dots: one per cell of a grid that is made coarser until they fit; the best of a cell stays."""
    cell = 1 / _UNITS
    order = np.argsort(-bin_of, kind="stable")
    at, bin_of = at[order], bin_of[order]
    while True:
        _, first = np.unique(np.floor(at / cell), axis=0, return_index=True)
        if len(first) <= max_dots:
            return at[np.sort(first)], bin_of[np.sort(first)]
        cell *= 2


def _radius(at: NDArray[np.float64]) -> float:
    """Dot radius in thumbnail pixels: about a fifth of the usual distance between dots, 1 to 3.5."""
    if len(at) < 2:
        return 3.5
    extent = np.maximum(np.ptp(at, axis=0), 1.0)
    return float(np.clip(0.2 * np.sqrt(np.prod(extent) / len(at)), 1.0, 3.5))


def _join(pieces: Sequence[Markup]) -> Markup:
    return Markup("").join(pieces)
