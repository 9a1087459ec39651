"""Which columns of a table are y and x: the names that programs give them, their units and their origin."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_UNIT = re.compile(r"[\s_(\[]+(px|pixels?|um|microns?|micrometers?|micrometres?|nm|mm)[)\]]?$")
_MICRONS = {"um": 1.0, "micron": 1.0, "micrometer": 1.0, "micrometre": 1.0, "nm": 1e-3, "mm": 1e3}
_IMAGE = ("image", "image name", "image file", "filename", "file name", "file")
_PLANE = ("z", "slice", "frame", "plane", "t", "position z", "position t", "location center z", "areashape center z")
# (y, x, what has to be taken away from pixel coordinates). QuPath and ImageJ count from the corner of the first pixel,
# EBImage from 1.
_PAIRS = (
    ("y", "x", 0.0),
    ("row", "col", 0.0),
    ("row", "column", 0.0),
    ("rows", "cols", 0.0),
    ("rr", "cc", 0.0),
    ("r", "c", 0.0),
    ("location center y", "location center x", 0.0),
    ("areashape center y", "areashape center x", 0.0),
    ("nuclei location center y", "nuclei location center x", 0.0),
    ("nuclei areashape center y", "nuclei areashape center x", 0.0),
    ("centroid y", "centroid x", 0.0),
    ("y centroid", "x centroid", 0.0),
    ("centroid row", "centroid col", 0.0),
    ("nucleus centroid y", "nucleus centroid x", 0.5),
    ("position y", "position x", 0.0),
    ("pos y", "pos x", 0.0),
    ("y pos", "x pos", 0.0),
    ("y position", "x position", 0.0),
    ("center y", "center x", 0.0),
    ("centre y", "centre x", 0.0),
    ("y center", "x center", 0.0),
    ("y centre", "x centre", 0.0),
    ("coord y", "coord x", 0.0),
    ("y coord", "x coord", 0.0),
    ("y coordinate", "x coordinate", 0.0),
    ("cy", "cx", 0.0),
    ("ym", "xm", 0.0),
    ("center of the object 1", "center of the object 0", 0.0),  # ilastik puts x first
    ("cell y position", "cell x position", 0.0),
    ("nucleus y", "nucleus x", 0.0),
    ("y coordinates", "x coordinates", 0.0),
    *((f"{word}y", f"{word}x", 0.0) for word in ("centroid", "center", "centre", "pos", "position", "coord")),
    *((f"y{word}", f"x{word}", 0.0) for word in ("centroid", "center", "centre", "pos", "position", "coord")),
    ("m cy", "m cx", 1.0),
    ("x 0 m cy", "x 0 m cx", 1.0),
)
_AXES = ("axis", "centroid", "weighted centroid", "centroid weighted")  # with -0, -1 and, in a stack, -2
_BOX = (("ymin", "ymax", "xmin", "xmax"), ("y min", "y max", "x min", "x max"))


@dataclass(frozen=True)
class TableColumns:
    """Where a table has its points.

    Attributes:
        y: Columns whose mean is y: one, or two that are the sides of a box.
        x: The same for x.
        names: Headings of y and x, for messages.
        origin: Coordinate of the centre of the first pixel, in pixels.
        um_per_unit: Micrometres per unit, or None for pixels.
        images: Columns that may name the image.
        planes: Columns that count pages, slices or frames.
        numbered: Column that counts images without naming them, or None.
        several_headers: Whether lines under the heading explain it once more, as TrackMate's do.
    """

    y: tuple[int, ...]
    x: tuple[int, ...]
    names: tuple[str, str]
    origin: float = 0.0
    um_per_unit: float | None = None
    images: tuple[int, ...] = ()
    planes: tuple[int, ...] = ()
    numbered: int | None = None
    several_headers: bool = False


class TwiceError(Exception):
    """Two columns of a table have the name that y or x goes by."""


def point_columns(header: Sequence[str]) -> TableColumns | None:
    """The columns of y and x, or None when no known pair of names stands in the heading.

    Pixels go before micrometres, and of a stack's axes the last two are y and x: a third axis is never read as y.

    Args:
        header: Headings as they stand in the file.

    Raises:
        TwiceError: a name stands in the heading more than once.
    """
    cells = [_parsed(cell) for cell in header]
    names = [name for name, _ in cells]
    for unit in (None, *sorted(set(_MICRONS.values()))):
        for y, x, origin, planes in _candidates(names):
            at = [_places(cells, name, unit) for name in (*y, *x)]
            if not all(at):
                continue
            twice = [name for name, places in zip((*y, *x), at, strict=True) if len(places) > 1]
            if twice:
                raise TwiceError(twice[0])
            chosen = tuple(places[0] for places in at)
            half = len(chosen) // 2
            return TableColumns(
                y=chosen[:half],
                x=chosen[half:],
                names=(header[chosen[0]].strip(), header[chosen[half]].strip()),
                origin=origin + _corner(names, cells[chosen[0]], header[chosen[0]]),
                um_per_unit=unit,
                images=tuple(i for i, name in enumerate(names) if name in _IMAGE or _file_name(name)),
                planes=(*planes, *(i for i, name in enumerate(names) if name in _PLANE)),
                numbered=next((i for i, name in enumerate(names) if name == "imagenumber"), None),
                several_headers=y[0] == "position y" and "track id" in names,
            )
    return None


def micrometres(cell: str) -> float | None:
    """Micrometres per unit that a cell like "(micron)" names, or None."""
    word = cell.strip().strip("()[]").lower().replace("µ", "u").replace("μ", "u").rstrip("s")
    return _MICRONS.get(word)


def _candidates(names: Sequence[str]) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], float, tuple[int, ...]]]:
    """(names of y, names of x, origin, columns of leading axes), first those in pixels' usual words."""
    yield ("y",), ("x",), 0.0, ()
    for word in _AXES:
        axes = [name for name in (f"{word} {k}" for k in range(5)) if name in names]
        if len(axes) >= 2:
            yield (axes[-2],), (axes[-1],), 0.0, tuple(names.index(name) for name in axes[:-2])
    for y, x, origin in _PAIRS[1:]:
        yield (y,), (x,), origin, ()
    for y0, y1, x0, x1 in _BOX:
        yield (y0, y1), (x0, x1), 0.0, ()


def _parsed(cell: str) -> tuple[str, float | None]:
    """(name in small letters and single spaces, micrometres per unit or None for pixels)."""
    text = cell.strip().strip('"').lower().replace("µ", "u").replace("μ", "u")
    unit = _UNIT.search(text)
    name = re.sub(r"[\s_.:\-\[\]()]+", " ", text[: unit.start()] if unit else text).strip()
    return name, _MICRONS.get(unit.group(1).rstrip("s")) if unit else None


def _places(cells: Sequence[tuple[str, float | None]], name: str, unit: float | None) -> list[int]:
    return [i for i, cell in enumerate(cells) if cell == (name, unit)]


def _corner(names: Sequence[str], chosen: tuple[str, float | None], heading: str) -> float:
    """0.5 for tables of QuPath, which counts from the corner of the first pixel: points, and measurements."""
    points = chosen[0] == "y" and {"class", "name", "color"} <= set(names)
    measured = chosen[0] == "centroid y" and _UNIT.search(heading.strip().lower().replace("µ", "u").replace("μ", "u"))
    return 0.5 if points or measured else 0.0


def _file_name(name: str) -> bool:
    return name.startswith(("filename ", "image filename"))
