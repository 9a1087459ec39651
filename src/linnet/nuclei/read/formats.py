"""What a file is, told by its first bytes and never by its name."""

from pathlib import Path

from linnet.errors import ImageError

READABLE = "PNG, JPEG, TIFF, OME-TIFF, SVS, NDPI, JPEG 2000, WebP, GIF, BMP and NumPy files"

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".btf", ".tf8"),
    *(".svs", ".ndpi", ".jp2", ".webp", ".gif", ".bmp", ".npy"),
)
"""File names that are taken for images in a directory."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"\x00\x00\x00\x0cjP  ", "jp2"),
    (b"\xffO\xffQ", "jp2"),
    (b"\x93NUMPY", "npy"),
)
# What else turns up in microscope folders, with the name a person knows it by.
_FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive (or an Office or OME-Zarr zip file)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"ZISRAWFILE", "a Zeiss CZI file"),
    (b"\xda\xce\xbe\x0a", "a Nikon ND2 file"),
    (b"\x70\x00\x00\x00", "a Leica LIF file"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\xd0\xcf\x11\xe0", "an OLE file (Zeiss ZVI, Olympus OIB or an old Office file)"),
    (b"\x76\x2f\x31\x01", "an OpenEXR file"),
    (b"SIMPLE  =", "a FITS file"),
)
_WORDS = ((b"<!doctype html", "an HTML page"), (b"<html", "an HTML page"), (b"<svg", "an SVG drawing"))


def stem_of(path: Path) -> str:
    """Name of an image or of its points without its ending, both parts of ".ome.tif", ".geojson.gz" and the like.

    Example:
        >>> stem_of(Path("plate/well.A1.ome.tif")), stem_of(Path("cells.csv"))
        ('well.A1', 'cells')
    """
    name = path.stem
    first, dot, last = name.rpartition(".")
    return first if dot and first and last.lower() in ("ome", "geojson") else name


def read_start(path: Path, size: int = 4096) -> bytes:
    """The first bytes of an image file.

    Raises:
        ImageError: there is no such file, it is a folder, it can't be opened, or it is empty.
    """
    try:
        if path.is_dir():
            raise ImageError(
                f"{path}: this is a folder, an image file was needed. Name a file in it, or `{path}/*.tif`."
            )
        with path.open("rb") as file:
            start = file.read(size)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file. Check the spelling and the folder.") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = getattr(error, "strerror", None) or error
        raise ImageError(
            f"{path!s}: can't be opened ({reason}). Check the path and your permission to read it."
        ) from None
    if not start:
        raise ImageError(f"{path}: the file is empty (0 bytes). Copy or export it again.")
    return start


def image_format(path: Path) -> str:
    """ "png", "jpeg", "tiff", or one of the kinds of `stills`.

    Raises:
        ImageError: the file can't be read, or is something else; it says what.
    """
    start = read_start(path)
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    raise ImageError(
        f"{path}: this is no image that can be read, it holds {_described(start)}. {READABLE} can be read; "
        "export the image as one of them (Fiji: File > Save As > Tiff)."
    )


def _described(start: bytes) -> str:
    for magic, name in _FOREIGN:
        if start.startswith(magic):
            return name
    head = start.lstrip().lower()
    for word, name in _WORDS:
        if head.startswith(word):
            return name
    text = _text(start)
    if text is not None:
        return f"text that begins with {text[:30]!r}"
    return f"unknown bytes that begin with {start[:8].hex(' ')}"


def _text(start: bytes) -> str | None:
    """The bytes as text, when they are text; a character cut off at the end is let go."""
    try:
        text = start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 4:
            return None
        text = start[: error.start].decode("utf-8")
    return text if text.strip() and all(c.isprintable() or c in "\r\n\t" for c in text) else None
