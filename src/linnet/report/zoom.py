"""A large picture inside a page, in tiles at several zoom levels: no script, no network."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from linnet.report.dots import BINS, score_colors
from linnet.report.figures import data_uri

TILE = 512
_LEVELS = 4  # as many as the style sheet knows


def zoomable(
    levels: Sequence[NDArray[np.uint8]],
    points: NDArray[np.float64],
    score: NDArray[np.float64],
    *,
    shape: tuple[int, int],
    key: str,
    alt: str,
    caption: str = "",
    tile_bytes: int = 60_000,
) -> Markup:
    """A picture that is looked at in a pane: one level at a time, chosen by a button, moved by scrolling.

    Args:
        levels: The picture at rising sizes, (h, w) or (h, w, 3) uint8 each; at most four.
        points: (n, 2) y, x in pixels of the full image, pixel centres at integers.
        score: (n,) in 0..1.
        shape: (h, w) of the full image.
        key: Letters and digits; must be unique in the page.
        alt: What the picture shows.
        caption: Text under it.
        tile_bytes: Size of a tile to stay under.

    Raises:
        ValueError: there are no levels, or more than four.
    """
    if not 1 <= len(levels) <= _LEVELS:
        raise ValueError(f"`levels` must hold 1 to {_LEVELS} pictures (got {len(levels)}).")
    inputs = [_input(k, len(levels[k][0]) / shape[1], key, checked=k == 0) for k in range(len(levels))]
    dots = _dots(points, score, shape, key)
    sheets = [_sheet(k, level, _uses(dots, shape, level.shape[1], key), tile_bytes) for k, level in enumerate(levels)]
    legend = Markup("<figcaption>{}</figcaption>").format(caption) if caption else ""
    return Markup(
        '<figure class="zoom" role="group" aria-label="{}">{}<div class="pane" tabindex="0" role="region" '
        'aria-label="{}, scroll to move">{}</div>{}{}</figure>'
    ).format(alt, Markup("").join(inputs), alt, Markup("").join(sheets), _definitions(dots, key), legend)


def _input(level: int, scale: float, key: str, *, checked: bool) -> Markup:
    return Markup(
        '<input type="radio" name="zoom-{0}" id="zoom-{0}-{1}" class="z{1}"{2}><label for="zoom-{0}-{1}">{3}</label>'
    ).format(key, level, Markup(" checked") if checked else "", f"{scale:.0%}")


def _sheet(level: int, picture: NDArray[np.uint8], drawn: Markup, tile_bytes: int) -> Markup:
    rows = []
    for y in range(0, picture.shape[0], TILE):
        tiles = (picture[y : y + TILE, x : x + TILE] for x in range(0, picture.shape[1], TILE))
        images = (
            Markup('<img src="{}" width="{}" height="{}" alt="" loading="lazy" decoding="async">').format(
                data_uri(tile, max_bytes=tile_bytes), tile.shape[1], tile.shape[0]
            )
            for tile in tiles
        )
        rows.append(Markup("<div>{}</div>").format(Markup("").join(images)))
    return Markup('<div class="sheet z{}">{}{}</div>').format(level, Markup("").join(rows), drawn)


def _dots(
    points: NDArray[np.float64], score: NDArray[np.float64], shape: tuple[int, int], key: str
) -> list[tuple[int, str, str]]:
    """(bin, colour, path) of the bins that hold a point, in pixels of the full image."""
    clean = np.nan_to_num(np.asarray(score, dtype=np.float64).ravel(), nan=0.0)
    bins = np.clip((clean * BINS).astype(np.int64), 0, BINS - 1)
    at = np.rint(np.asarray(points, dtype=np.float64).reshape(-1, 2) + 0.5).astype(int)
    drawn = []
    for b, color in enumerate(score_colors()):
        chosen = at[bins == b]
        if len(chosen):
            drawn.append((b, color, "".join(f"M{x} {y}h0" for y, x in chosen.tolist())))
    return drawn


def _definitions(dots: Sequence[tuple[int, str, str]], key: str) -> Markup:
    paths = (Markup('<path id="zoom-{}-dots-{}" d="{}"/>').format(key, b, d) for b, _, d in dots)
    return Markup('<svg width="0" height="0" aria-hidden="true"><defs>{}</defs></svg>').format(Markup("").join(paths))


def _uses(dots: Sequence[tuple[int, str, str]], shape: tuple[int, int], width: int, key: str) -> Markup:
    """The dots over one level, as large on the screen at each of them."""
    unit = shape[1] / width
    layers = [(5.5, "#000", 0.55), (4.5, "#fff", 0.95), (3.4, None, 1.0)]
    uses = (
        Markup('<use href="#zoom-{}-dots-{}" stroke="{}" stroke-opacity="{}" stroke-width="{:.2f}"/>').format(
            key, b, fixed or color, opacity, 2 * size * unit
        )
        for size, fixed, opacity in layers
        for b, color, _ in dots
    )
    return Markup(
        '<svg viewBox="0 0 {} {}" preserveAspectRatio="none" aria-hidden="true"><g class="dots" fill="none" '
        'stroke-linecap="round">{}</g></svg>'
    ).format(shape[1], shape[0], Markup("").join(uses))
