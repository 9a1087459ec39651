"""What a file is, told by its first bytes; by its name only where they don't say it."""

import zipfile
from pathlib import Path

from linnet.errors import ImageError

READABLE = (
    "PNG, JPEG, TIFF, OME-TIFF, OME-Zarr, SVS, NDPI, MRXS, JPEG 2000, WebP, GIF, BMP, NumPy, CZI, ND2 and LIF files"
)

SLIDES = {
    ".mrxs": "a MIRAX slide",
    ".vms": "a Hamamatsu VMS slide",
    ".vmu": "a Hamamatsu VMU slide",
    ".svslide": "a Sakura slide",
    ".bif": "a Ventana slide",
}
"""Slides of several files, or of TIFF with tiles that overlap, which openslide reads; their first bytes are those of a
JPEG, a text, a database or a TIFF, so these alone are told by their names."""

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".btf", ".tf8"),
    *(".lsm", ".stk", ".qptiff", ".scn", *SLIDES),
    *(".svs", ".ndpi", ".jp2", ".webp", ".gif", ".bmp", ".npy", ".czi", ".nd2", ".lif"),
)
"""File names that are taken for images in a directory."""

ARCHIVES = (".zarr.zip", ".ozx")
"""Ends of the names of zip files that are images themselves."""

ZARR_METADATA = (".zattrs", "zarr.json", ".zgroup")
"""Files that make a folder a Zarr group."""

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
    (b"ZISRAWFILE", "czi"),
    (b"\xda\xce\xbe\x0a", "nd2"),
    (b"\x70\x00\x00\x00", "lif"),
)
# What else turns up in microscope folders, with the name a person knows it by.
_FOREIGN = (
    (b"%PDF", "a PDF document"),
    (b"PK\x03\x04", "a zip archive (or an Office or OME-Zarr zip file)"),
    (b"\x1f\x8b", "a gzip archive"),
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
    while True:
        first, dot, last = name.rpartition(".")
        if not (dot and first and last.lower() in ("ome", "geojson", "zarr")):
            return name
        name = first


def is_image_name(path: Path) -> bool:
    """Whether a file is taken for an image by its name."""
    return path.suffix.lower() in SUFFIXES or path.name.lower().endswith(ARCHIVES)


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
        if path.is_symlink():
            raise ImageError(f"{path}: this link leads to {path.readlink()}, which isn't there.") from None
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
    """ "png", "jpeg", "tiff", "zarr", "slide", or one of the kinds of `small_images` and `by_bioio`.

    Raises:
        ImageError: the file can't be read, or is something else; it says what.
    """
    try:
        start = read_start(path)
    except ImageError:
        if is_zarr(path):  # a folder
            return "zarr"
        raise
    if path.suffix.lower() in SLIDES:
        return "slide"
    if start.startswith(b"PK\x03\x04") and is_zarr(path):
        return "zarr"
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "webp"
    raise ImageError(
        f"{path}: this is no image that can be read, it holds {_described(start)}. {READABLE} can be read; "
        "export the image as one of them (Fiji: File > Save As > Tiff)."
    )


def is_zarr(path: Path) -> bool:
    """Whether a folder, or a zip file, holds a Zarr group."""
    try:
        if path.is_dir():
            return any((path / name).is_file() for name in ZARR_METADATA)
        with zipfile.ZipFile(path) as archive:
            return zarr_root(archive) is not None
    except (OSError, ValueError, zipfile.BadZipFile):  # ValueError: a null character in the name
        return False


def zarr_root(archive: zipfile.ZipFile) -> str | None:
    """The folder inside a zip file that is the outermost group; None where there is none."""
    found = [name.rpartition("/")[0] for name in archive.namelist() if name.rpartition("/")[2] in ZARR_METADATA]
    return min(found, key=lambda name: (len(name.split("/")) if name else 0, name), default=None)


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
        return f"text that begins with {text.strip()[:30]!r}"
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
