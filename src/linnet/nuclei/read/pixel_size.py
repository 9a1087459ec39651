"""Size of a pixel in micrometres from the metadata of a TIFF, in the order: OME, ImageJ, resolution tags."""

import logging
import math
import re
from xml.etree import ElementTree

from tifffile import TiffFile

_log = logging.getLogger(__name__)

_UM_PER = {
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "pm": 1e-6,
    "å": 1e-4,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "dm": 1e5,
    "m": 1e6,
    "in": 25_400.0,
    "inch": 25_400.0,
    "inches": 25_400.0,
}
_RESOLUTION_UNITS = {2: 25_400.0, 3: 10_000.0}  # the tag's inch and centimetre

# A resolution up to 1,200 dpi (21 um per pixel: a nucleus would be no pixel) and these two are settings of a printer, a
# screen or a flat-bed scanner. Ours; 72 and 96 dpi are what programs write that know nothing.
_COARSEST_DPI = 1_200.0
_PRINT_DPI = (2_400.0, 4_800.0)
_SQUARE = 0.01


def micrometres(value: float, unit: str) -> float | None:
    """A length in micrometres; None for a unit that is no length ("pixel") or a value that is no size.

    Example:
        >>> micrometres(250, "nm"), micrometres(0.5, "µm"), micrometres(1, "pixel")
        (0.25, 0.5, None)
    """
    # ImageJ writes the micro sign as an escape or as either of two letters.
    plain = unit.strip().replace("\\u00B5", "u").replace("µ", "u").replace("μ", "u").replace("Å", "å").lower()
    factor = _UM_PER.get(plain)
    if factor is None or not math.isfinite(value) or value <= 0:
        return None
    size = value * factor
    return size if math.isfinite(size) and size > 0 else None


def pixel_size_um(tiff: TiffFile, series: int) -> float | None:
    """Side of a pixel in micrometres, or None when the file doesn't say, or says that pixels aren't square.

    Args:
        tiff: An open file.
        series: Which picture of it.
    """
    image = ome_image(tiff, series)
    if image is not None:
        return _square(tiff, *_ome_sizes(image))
    page = tiff.series[series].keyframe
    tags = page.tags
    if tiff.is_svs:
        said = re.search(r"\|\s*MPP\s*=\s*([0-9.eE+-]+)", page.description)
        return None if said is None else _length(said[1], "um")
    sizes = [_ratio(tags.valueof(name)) for name in ("XResolution", "YResolution")]
    per_pixel = [1 / r if r else None for r in sizes]
    if tiff.is_imagej:
        unit = str((tiff.imagej_metadata or {}).get("unit", ""))
        if unit in ("inch", "cm"):  # ImageJ's own words for the resolution tag, 72 dpi of a screen among them
            factor = micrometres(1, unit) or 0
            return _square(tiff, *(None if v is None else _not_print(v * factor) for v in per_pixel))
        if unit:
            return _square(tiff, *(None if v is None else micrometres(v, unit) for v in per_pixel))
    factor = _RESOLUTION_UNITS.get(int(tags.valueof("ResolutionUnit", 2) or 0))
    if factor is None:
        return None
    return _square(tiff, *(None if v is None else _not_print(v * factor) for v in per_pixel))


def ome_image(tiff: TiffFile, series: int) -> ElementTree.Element | None:
    """The `Image` element that describes a series, where the file carries OME-XML."""
    text = tiff.ome_metadata
    if not text or "<!DOCTYPE" in text or "<!ENTITY" in text:
        return None
    images = [e for e in ElementTree.fromstring(text) if _tag(e) == "Image"]
    return images[series] if series < len(images) else None


def ome_channel_names(image: ElementTree.Element) -> tuple[str, ...]:
    """Names of the channels of an `Image` element; empty where one has none."""
    pixels = _pixels(image)
    return () if pixels is None else tuple(e.get("Name", "") for e in pixels if _tag(e) == "Channel")


def imagej_channel_names(tiff: TiffFile, channels: int) -> tuple[str, ...]:
    """Labels of the first slices of an ImageJ stack, which are those of its channels; empty without any."""
    labels = (tiff.imagej_metadata or {}).get("Labels") if tiff.is_imagej else None
    if channels < 2 or not isinstance(labels, list) or len(labels) < channels:
        return ()
    return tuple(" ".join(str(label).split()) for label in labels[:channels])


def _ome_sizes(image: ElementTree.Element) -> tuple[float | None, float | None]:
    pixels = _pixels(image)
    if pixels is None:
        return None, None
    x, y = (
        _length(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in ("X", "Y")
    )
    return x, y if y is not None else x


def _length(value: str | None, unit: str) -> float | None:
    try:
        return None if value is None else micrometres(float(value), unit)
    except ValueError:
        return None


def _square(tiff: TiffFile, x: float | None, y: float | None) -> float | None:
    return square_side(str(tiff.filename), x, y)


def square_side(name: str, x: float | None, y: float | None) -> float | None:
    """The side of a pixel, or None, with a warning, where pixels aren't square.

    Args:
        name: The file, for the warning.
        x: Width of a pixel in micrometres, where it is known.
        y: Its height.
    """
    if x is None or y is None:
        return None
    if abs(x - y) > _SQUARE * max(x, y):
        _log.warning(
            "%s: its pixels are %g um wide and %g um high. Micrometres are left out; resample it to square pixels, or "
            "give the pixel size yourself.",
            name,
            x,
            y,
        )
        return None
    return x


def _not_print(size_um: float) -> float | None:
    dpi = 25_400.0 / size_um
    is_print = dpi <= _COARSEST_DPI * 1.001 or any(abs(dpi - p) < 1e-3 * p for p in _PRINT_DPI)
    return None if is_print or not math.isfinite(dpi) else size_um


def _ratio(value: object) -> float | None:
    """A rational tag as a number."""
    if not isinstance(value, tuple) or len(value) != 2 or not value[1]:
        return None
    ratio = value[0] / value[1]
    return ratio if math.isfinite(ratio) and ratio > 0 else None


def _pixels(image: ElementTree.Element) -> ElementTree.Element | None:
    return next((e for e in image if _tag(e) == "Pixels"), None)


def _tag(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]
