"""How values are spread: bars as inline SVG, in the page's own colours."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from linnet.report.tables import number

_WIDTH, _HEIGHT, _FOOT = 320, 120, 34
_MOST_BINS = 24


def distribution(
    values: Sequence[float], *, title: str, unit: str = "", limits: tuple[float, float] | None = None
) -> Markup:
    """A histogram with its median, for a row of small figures.

    Args:
        values: What is counted; not-finite ones are left out.
        title: What the values are.
        unit: Their unit.
        limits: Ends of the axis; those of the values when None.

    Returns:
        A `<figure>`; a sentence in place of bars when there is no value.

    Example:
        >>> "median 2" in distribution([1, 2, 3], title="nuclei")
        True
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return Markup('<figure class="spread"><figcaption>{}: there are none.</figcaption></figure>').format(title)
    low, high = limits or (float(known.min()), float(known.max()))
    if not high > low:
        low, high = low - 0.5, high + 0.5
    bins = int(np.clip(np.ceil(np.sqrt(len(known))), 4, _MOST_BINS))
    counts, _ = np.histogram(known, bins=bins, range=(low, high))
    unit = f" {unit}" if unit else ""
    median = number(float(np.median(known)), 3)
    summary = f"median {median}{unit}, {len(known):,} value{'s' * (len(known) != 1)}"
    return Markup(
        '<figure class="spread"><figcaption><strong>{}</strong>: {}</figcaption>'
        '<svg role="img" aria-label="Histogram of {}: {}, from {} to {}" viewBox="0 0 {} {}">{}{}</svg></figure>'
    ).format(
        title,
        summary,
        title,
        summary,
        number(low, 3),
        number(high, 3),
        _WIDTH,
        _HEIGHT,
        _bars(counts),
        _axis(low, high, unit),
    )


def _bars(counts: np.ndarray) -> Markup:
    room, step = _HEIGHT - _FOOT, _WIDTH / len(counts)
    heights = counts / counts.max() * room
    return Markup("").join(
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{:,}</title></rect>').format(
            k * step + 0.75, room - height, step - 1.5, height, int(count)
        )
        for k, (height, count) in enumerate(zip(heights.tolist(), counts.tolist(), strict=True))
        if count
    )


def _axis(low: float, high: float, unit: str) -> Markup:
    floor = _HEIGHT - _FOOT
    return Markup(
        '<path d="M0 {0}.5h{1}"/><text x="0" y="{2}">{3}</text><text x="{1}" y="{2}" text-anchor="end">{4}{5}</text>'
    ).format(floor, _WIDTH, floor + 20, number(low, 3), number(high, 3), unit)
