"""Whatever bytes a file holds, reading it gives a usable picture or an ImageError, and nothing else."""

import io
import json
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from linnet.errors import ImageError, PointsError
from linnet.nuclei.points.csv import to_csv
from linnet.nuclei.points.csv_detections import from_csv
from linnet.nuclei.points.readers import read_points
from linnet.nuclei.read.images import LazyPixels, open_picture, read_image

PIXELS = np.random.default_rng(0).integers(0, 256, (24, 20), dtype=np.uint8)


TAGS = (254, 256, 257, 258, 259, 262, 266, 270, 273, 277, 278, 279, 282, 284, 296, 317, 320, 322, 323, 324, 325, 338)
TAGS = (
    254,
    256,
    257,
    258,
    259,
    262,
    266,
    270,
    273,
    277,
    278,
    279,
    282,
    284,
    296,
    317,
    320,
    322,
    323,
    324,
    325,
    338,
    339,
)


def written(write, *arguments, **options) -> bytes:
    buffer = io.BytesIO()
    write(buffer, *arguments, **options)
    return buffer.getvalue()


SEEDS = {
    "png": written(Image.fromarray(PIXELS).save, "PNG"),
    "png16": imagecodecs.png_encode(PIXELS.astype(np.uint16)),
    "palette": written(Image.fromarray(PIXELS).convert("P").save, "PNG"),
    "jpeg": written(Image.fromarray(PIXELS).convert("RGB").save, "JPEG"),
    "progressive": written(Image.fromarray(PIXELS).save, "JPEG", progressive=True),
    "tiff": written(tifffile.imwrite, PIXELS),
    "bigtiff": written(tifffile.imwrite, PIXELS, bigtiff=True),
    "lzw": written(tifffile.imwrite, PIXELS, compression="lzw", rowsperstrip=5),
    "tiled": written(tifffile.imwrite, PIXELS, tile=(16, 16), compression="zlib"),
    "jpeg_tiff": written(
        tifffile.imwrite, np.stack([PIXELS] * 3, -1), photometric="rgb", tile=(16, 16), compression="jpeg"
    ),
    "float": written(tifffile.imwrite, PIXELS.astype(np.float32), byteorder=">"),
    "imagej": written(tifffile.imwrite, np.stack([PIXELS] * 2), imagej=True, metadata={"axes": "CYX", "unit": "um"}),
    "ome": written(tifffile.imwrite, np.stack([PIXELS] * 2), ome=True, metadata={"axes": "CYX", "PhysicalSizeX": 0.5}),
}


def assert_picture_or_image_error(path, **options):
    """Reading `path` gives finite pixels of an allowed type and shape, or raises ImageError that names the file."""
    try:
        picture = read_image(path, **options)
        opened = open_picture(path, **options)
    except ImageError as error:
        message = str(error)
    else:
        message = None
    if message is not None:
        assert str(path) in message
        assert len(message) < 1000
        return
    pixels = picture.pixels
    assert pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)
    assert 0 not in pixels.shape
    assert pixels.dtype.kind in "buf"
    assert np.isfinite(pixels).all()
    assert picture.pixel_size_um is None or 0 < picture.pixel_size_um < np.inf
    assert opened.digest == picture.digest
    assert isinstance(opened.pixels, np.ndarray | LazyPixels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


relaxed = settings(max_examples=150, deadline=5000, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(
    content=st.binary(max_size=300),
    magic=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0"]),
)
def test_any_bytes(folder, content, magic):
    path = folder / "any.tif"
    path.write_bytes(magic + content)
    assert_picture_or_image_error(path)


@pytest.mark.parametrize("seed", SEEDS)
@settings(relaxed, max_examples=50)
@given(
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    early=st.booleans(),
    keep=st.floats(0, 1),
    cut=st.booleans(),
    channel=st.sampled_from([None, 0, 1]),
)
def test_damaged_files(folder, seed, changes, early, keep, cut, channel):
    content = bytearray(SEEDS[seed])
    for place, value in changes:
        content[int(place * (min(200, len(content)) if early else len(content)))] = value
    path = folder / f"{seed}.bin"
    path.write_bytes(content[: int(len(content) * keep)] if cut else content)
    assert_picture_or_image_error(path, channel=channel)


@relaxed
@given(
    entries=st.lists(
        st.tuples(
            st.sampled_from(TAGS),
            st.integers(1, 12),
            st.sampled_from([0, 1, 2, 3, 1000, 2**31, 2**32 - 1]),
            st.one_of(st.integers(0, 20), st.sampled_from([100, 500, 65_535, 100_000, 2**31, 2**32 - 1])),
        ),
        max_size=14,
    ),
    following=st.sampled_from([0, 8, 2**32 - 1]),
    body=st.binary(max_size=64),
)  # fmt: skip
def test_any_tiff_header(folder, entries, following, body):
    entries = sorted({e[0]: e for e in entries}.values())
    head = struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries)
    path = folder / "header.tif"
    path.write_bytes(head + struct.pack("<I", following) + body * 4)
    assert_picture_or_image_error(path)


@relaxed
@given(
    size=st.tuples(*[st.one_of(st.integers(0, 40), st.sampled_from([100_000, 2**31 - 1, 2**32 - 1]))] * 2),
    depth=st.sampled_from([0, 1, 2, 4, 8, 16, 32]),
    kind=st.integers(0, 7),
    interlace=st.integers(0, 2),
    body=st.binary(max_size=200),
)
def test_any_png_header(folder, size, depth, kind, interlace, body):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, depth, kind, 0, 0, interlace))
    path = folder / "header.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(body * 20)) + chunk(b"IEND", b""))
    assert_picture_or_image_error(path)


@settings(relaxed, max_examples=30)
@given(
    xml=st.text(max_size=200),
    size=st.sampled_from(["1", "nan", "inf", "-1", "x", "1e400", ""]),
    unit=st.sampled_from(["um", "nm", "", "&#181;m", "pixel"]),
)
def test_any_ome_xml(folder, xml, size, unit):
    good = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels DimensionOrder="XYCZT" '
        f'Type="uint8" SizeX="20" SizeY="24" SizeC="1" SizeZ="1" SizeT="1" PhysicalSizeX="{size}" '
        f'PhysicalSizeXUnit="{unit}">'
        "<Channel/><TiffData/></Pixels></Image></OME>"
    )
    path = folder / "xml.tif"
    for text in (xml, good, good.replace("</Image>", xml), "<?xml" + xml, good[: len(xml) * 3]):
        tifffile.imwrite(path, PIXELS, description=text.encode("utf-8", "ignore").replace(b"\0", b""), metadata=None)
        assert_picture_or_image_error(path)


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.sampled_from(["Point", "Feature", "MultiPoint"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["type", "features", "geometry", "coordinates"]), inner, max_size=4),
    ),
    max_leaves=12,
)


def assert_points_or_points_error(path):
    """Reading `path` gives finite points (n, 2), or raises PointsError that names the file."""
    try:
        points = read_points(path)
    except PointsError as error:
        message = str(error)
    else:
        assert points.shape == (len(points), 2)
        assert np.isfinite(points).all()
        return
    assert str(path) in message
    assert len(message) < 1000


@relaxed
@given(
    head=st.sampled_from([b"", b"y,x\n", b"x;y\n", b"y,x,image\n1,2,a\n"]),
    content=st.one_of(st.binary(max_size=80), st.text('0123456789.,;-e"\n\tyx', max_size=80).map(str.encode)),
)
def test_any_table(folder, head, content):
    path = folder / "any.csv"
    path.write_bytes(head + content)
    assert_points_or_points_error(path)


@relaxed
@given(content=st.one_of(st.binary(max_size=80), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_json(folder, content):
    path = folder / "any.geojson"
    path.write_bytes(content)
    assert_points_or_points_error(path)


@relaxed
@given(lines=st.lists(st.text('0123456789.,-naif"', max_size=40), max_size=3))
def test_any_table_of_detections(lines):
    text = "\n".join(["id,y,x,y_um,x_um,confidence,score,sd_px,flag", *lines, ""])
    try:
        found = from_csv(text, name="any.csv")
    except PointsError as error:
        message = str(error)
    else:
        assert from_csv(to_csv(found)).points.tolist() == found.points.tolist()
        return
    assert "any.csv" in message
