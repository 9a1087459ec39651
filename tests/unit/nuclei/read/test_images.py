import hashlib
import io
import itertools
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from linnet.errors import ImageError
from linnet.nuclei import Detector, Thresholds
from linnet.nuclei.detector.files import new_network
from linnet.nuclei.read import images
from linnet.nuclei.read.images import LazyPixels, open_picture, read_image

RNG = np.random.default_rng(5)
DTYPES = ("bool", "uint8", "uint16", "float16", "float32", "float64")
SHAPES = ((7, 5), (1, 300), (300, 1), (1, 1), (7, 5, 3), (7, 5, 4))
CASES = [(s, d) for s in SHAPES for d in DTYPES if not (d == "bool" and len(s) == 3)]  # no format has 1-bit colour


def exact(shape, dtype):
    values = np.random.default_rng(1).integers(0, 2 if dtype == "bool" else 250, shape)
    return (values / (7 if dtype.startswith("float") else 1)).astype(dtype)


@pytest.fixture
def lazily(monkeypatch):
    monkeypatch.setattr(images, "LAZY_FROM_BYTES", 0)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def declared_png(width: int, height: int) -> bytes:
    """A PNG of about 1 kB whose header says what it likes."""
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", zlib.compress(bytes(RNG.bytes(800)))) + png_chunk(b"IEND", b"")
    )


def declared_jpeg(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(exact((8, 8), "uint8")).save(buffer, "JPEG")
    content = bytearray(buffer.getvalue())
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(content)


def declared_tiff(width: int, height: int, compression: int) -> bytes:
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, compression),
        (262, 3, 1, 1),
        (273, 4, 1, 200),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, 800),
    ]
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + b"".join(struct.pack("<HHII", *t) for t in tags)
    return (head + struct.pack("<I", 0)).ljust(200, b"\0") + bytes(RNG.bytes(800))


class TestStills:
    @pytest.mark.parametrize(("shape", "dtype"), [c for c in CASES if not c[1].startswith("float")])
    def test_png(self, tmp_path, dtype, shape):
        pixels = exact(shape, dtype)
        if len(shape) == 2:
            Image.fromarray(pixels).save(tmp_path / "a.png")
        else:
            (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(pixels))
        picture = read_image(tmp_path / "a.png")
        assert picture.pixels.dtype == dtype
        assert np.array_equal(picture.pixels, pixels[..., :3] if len(shape) == 3 else pixels)
        assert picture.pixel_size_um is None
        assert picture.name == "a.png"
        assert picture.digest == hashlib.sha256((tmp_path / "a.png").read_bytes()).hexdigest()

    @pytest.mark.parametrize("interlace", [False, True])
    def test_png_with_palette_becomes_rgb(self, tmp_path, interlace):
        rgb = np.zeros((8, 8, 3), np.uint8)
        rgb[:4] = (200, 10, 60)
        Image.fromarray(rgb).quantize(4).save(tmp_path / "a.png", interlace=interlace)
        assert np.array_equal(read_image(tmp_path / "a.png").pixels, rgb)

    def test_transparency_is_dropped_from_gray(self, tmp_path):
        gray_alpha = exact((6, 5, 2), "uint8")
        (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(gray_alpha))
        assert np.array_equal(read_image(tmp_path / "a.png").pixels, gray_alpha[..., 0])

    @pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
    @pytest.mark.parametrize("progressive", [False, True])
    def test_jpeg(self, tmp_path, mode, progressive):
        smooth = np.add.outer(np.arange(40), np.arange(60)).astype(np.uint8)
        Image.fromarray(smooth).convert(mode).save(tmp_path / "a.jpg", quality=95, progressive=progressive)
        pixels = read_image(tmp_path / "a.jpg").pixels
        assert pixels.dtype == np.uint8
        assert pixels.shape == ((40, 60) if mode == "L" else (40, 60, 3))
        gray = pixels if mode == "L" else pixels[..., 0]
        assert np.abs(gray.astype(int) - smooth).max() <= 4

    def test_an_orientation_tag_is_not_applied(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(np.zeros((10, 20), np.uint8)).save(tmp_path / "a.jpg", exif=exif)
        assert read_image(tmp_path / "a.jpg").pixels.shape == (10, 20)

    def test_one_channel_of_a_colour_picture(self, tmp_path):
        rgb = exact((6, 5, 3), "uint8")
        Image.fromarray(rgb).save(tmp_path / "a.png")
        whole, blue = read_image(tmp_path / "a.png"), read_image(tmp_path / "a.png", channel=2)
        assert np.array_equal(blue.pixels, rgb[..., 2])
        assert blue.digest != whole.digest


class TestTiff:
    @pytest.mark.parametrize(("shape", "dtype"), CASES)
    def test_sample_types_and_shapes(self, tmp_path, dtype, shape):
        pixels = exact(shape, dtype)
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb" if len(shape) == 3 else None)
        found = read_image(tmp_path / "a.tif").pixels
        assert found.dtype == dtype
        assert np.array_equal(found, pixels[..., :3] if len(shape) == 3 else pixels)

    @pytest.mark.parametrize(
        ("stored", "given"),
        [("int8", "float32"), ("int16", "float32"), ("int32", "float64"), ("uint32", "float64"), ("uint64", "float64")],
    )
    def test_other_integers_become_floats_of_the_same_value(self, tmp_path, stored, given):
        pixels = np.array([[np.iinfo(stored).min, 1], [2, 2**6]], dtype=stored)
        tifffile.imwrite(tmp_path / "a.tif", pixels)
        found = read_image(tmp_path / "a.tif").pixels
        assert found.dtype == given
        assert np.array_equal(found, pixels)

    @pytest.mark.parametrize(
        ("compression", "byteorder"), [(None, "<"), (None, ">"), ("zlib", "<"), ("lzw", ">"), ("zstd", "<")]
    )
    @pytest.mark.parametrize("layout", [{}, {"tile": (16, 32)}, {"rowsperstrip": 7}])
    @pytest.mark.parametrize("planar", ["gray", "contig", "separate"])
    @pytest.mark.usefixtures("lazily")
    def test_any_rectangle_is_what_numpy_would_give(self, tmp_path, compression, layout, byteorder, planar):
        shape = {"gray": (50, 70), "contig": (50, 70, 3), "separate": (3, 50, 70)}[planar]
        pixels = exact(shape, "uint16") * 250
        options = {} if planar == "gray" else {"photometric": "rgb", "planarconfig": planar}
        tifffile.imwrite(tmp_path / "a.tif", pixels, compression=compression, byteorder=byteorder, **layout, **options)
        expected = pixels.transpose(1, 2, 0) if planar == "separate" else pixels
        found = open_picture(tmp_path / "a.tif").pixels
        assert isinstance(found, LazyPixels)
        assert (found.shape, found.dtype, found.ndim) == (expected.shape, np.uint16, expected.ndim)
        spans = [slice(None), slice(15, 17), slice(49, 999), slice(5, 5), -1]
        for y, x in itertools.product(spans, spans):
            assert np.array_equal(found[y, x], expected[y, x])
        assert np.array_equal(np.asarray(found), expected)

    @pytest.mark.usefixtures("lazily")
    def test_keys_are_those_of_numpy(self, tmp_path):
        pixels = exact((20, 30, 3), "uint8")
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
        lazy = open_picture(tmp_path / "a.tif").pixels
        for key in (
            3, slice(2, 9), (slice(2, 9),), (Ellipsis, 1), (slice(2, 9), Ellipsis), (Ellipsis,), (4, 5, 2),
            (slice(1, 19, 4), slice(29, 3, -5)), (slice(None, None, -1), slice(None), slice(0, 2)), (slice(9, 2), 4),
        ):  # fmt: skip
            assert np.array_equal(lazy[key], pixels[key]), key
        for key in ((0, 0, 0, 0), (20, 0), (0, -31), ([1, 2], 0), None, (slice(None), 1.5)):
            with pytest.raises(IndexError):
                lazy[key]

    def test_small_files_come_as_arrays_and_large_ones_lazily(self, tmp_path, monkeypatch):
        pixels = exact((64, 64), "uint8")
        tifffile.imwrite(tmp_path / "a.tif", pixels)
        assert isinstance(open_picture(tmp_path / "a.tif").pixels, np.ndarray)
        monkeypatch.setattr(images, "LAZY_FROM_BYTES", 64 * 64)
        assert isinstance(open_picture(tmp_path / "a.tif").pixels, LazyPixels)
        assert np.array_equal(read_image(tmp_path / "a.tif").pixels, pixels)

    @pytest.mark.parametrize("compression", [None, "zlib"])
    def test_page_and_channel_pick_the_plane(self, tmp_path, compression):
        stack = exact((2, 3, 4, 9, 8), "uint16")
        tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "TCZYX"}, compression=compression)
        tifffile.imwrite(tmp_path / "b.tif", stack.transpose(0, 2, 1, 3, 4), imagej=True, metadata={"axes": "TZCYX"})
        for name, page, channel in itertools.product(("a.ome.tif", "b.tif"), range(8), range(3)):
            found = read_image(tmp_path / name, page=page, channel=channel).pixels
            assert np.array_equal(found, stack[page // 4, channel, page % 4])

    def test_pages_of_different_sizes(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            for size in (5, 6):
                file.write(np.full((size, 4), size, np.uint8), photometric="minisblack")
        assert (read_image(tmp_path / "a.tif", page=1).pixels == np.full((6, 4), 6)).all()

    def test_a_pyramid_gives_its_full_size(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            full = exact((64, 64), "uint8")
            file.write(full, subifds=1, tile=(16, 16), photometric="minisblack")
            file.write(full[::2, ::2], subfiletype=1, tile=(16, 16), photometric="minisblack")
        assert np.array_equal(read_image(tmp_path / "a.tif").pixels, full)

    def test_a_thumbnail_page_is_no_choice(self, tmp_path):
        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            file.write(np.zeros((4, 4), np.uint8), subfiletype=1, photometric="minisblack")
            file.write(np.ones((64, 64), np.uint8), photometric="minisblack")
        assert read_image(tmp_path / "a.tif").pixels.shape == (64, 64)

    def test_a_volume_in_one_page_is_read_by_slice(self, tmp_path):
        volume = exact((32, 32, 48), "uint8")
        tifffile.imwrite(tmp_path / "a.tif", volume, tile=(16, 16, 16), volumetric=True)
        assert np.array_equal(read_image(tmp_path / "a.tif", page=17).pixels, volume[17])

    def test_indexed_colours_become_rgb_and_a_brightening_map_stays_gray(self, tmp_path):
        pixels = exact((6, 5), "uint8")
        colors = np.random.default_rng(0).integers(0, 65536, (3, 256)).astype(np.uint16)
        ramp = np.stack([np.arange(256) * 257, np.zeros(256), np.zeros(256)]).astype(np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="palette", colormap=colors)
        tifffile.imwrite(tmp_path / "b.tif", pixels, photometric="palette", colormap=ramp)
        assert np.array_equal(read_image(tmp_path / "a.tif").pixels, colors.T[pixels])
        assert np.array_equal(read_image(tmp_path / "b.tif").pixels, pixels)

    @pytest.mark.usefixtures("lazily")
    def test_tiles_never_written_are_black(self, tmp_path):
        def tiles():
            yield np.full((16, 16), 9, np.uint8)
            for _ in range(3):
                yield None

        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            file.write(
                tiles(), shape=(32, 32), dtype=np.uint8, tile=(16, 16), compression="zlib", photometric="minisblack"
            )
        expected = np.zeros((32, 32), np.uint8)
        expected[:16, :16] = 9
        assert np.array_equal(open_picture(tmp_path / "a.tif").pixels[:, :], expected)


class TestRefused:
    def assert_refused(self, path, message, **options):
        for read in (read_image, open_picture):
            with pytest.raises(ImageError, match=message) as caught:
                read(path, **options)
            assert str(path)[:20] in str(caught.value)

    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.png", b"", "empty"),
            ("a.png", b"well,seen\n1,2\n", "'well,seen"),
            ("a.tif", "größe\t".encode()[:3], "'gr"),
            ("a.png", b"<!DOCTYPE html><p>404", "HTML"),
            ("a.jpg", b"GIF89a...", "GIF"),
            ("a.png", b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
            ("a.czi", b"ZISRAWFILE\0\0\0", "Zeiss"),
            ("a.png", bytes(range(128, 160)), "80 81"),
            ("a.png", b"\x89PNG\r\n\x1a\n\0\0", "10 bytes"),
            ("a.jpg", b"\xff\xd8\xff\xe0", "JPEG.*header"),
            ("a.tif", b"II*\0", "damaged|cut off"),
            ("a.tif", b"II*\0\x08\0\0\0", "damaged|cut off|picture"),
            ("a.png", declared_png(0, 10), "0 x 10 pixels"),
            ("a.png", declared_png(100_000, 100_000), "100,000 x 100,000 pixels"),
            ("a.jpg", declared_jpeg(60_000, 60_000), "60,000 x 60,000 pixels"),
            ("a.jpg", declared_jpeg(0, 60), "0 x 60 pixels"),
            ("a.tif", declared_tiff(100_000, 100_000, 1), "cut off"),
            (
                "a.tif",
                declared_tiff(100_000, 100_000, 8),
                "100,000 x 100,000.*800",
            ),
            ("a.tif", declared_tiff(100_000, 100_000, 5), "100,000 x 100,000.*strips"),
            ("a.tif", declared_tiff(100_000, 100_000, 50000), "100,000 x 100,000.*strips"),
            ("a.tif", declared_tiff(0, 100, 1), "damaged|0 x 100|picture"),
        ],
    )
    def test_what_is_no_image(self, tmp_path, name, content, message):
        (tmp_path / name).write_bytes(content)
        self.assert_refused(tmp_path / name, message)

    def test_places_without_a_file(self, tmp_path):
        self.assert_refused(tmp_path, "folder")
        self.assert_refused(tmp_path / "no.png", r"no\.png")
        self.assert_refused(str(tmp_path / "a\0.png"), "null byte")
        self.assert_refused(tmp_path / ("x" * 300 + ".png"), "too long")

    def test_a_file_that_may_not_be_read(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise PermissionError(13, "Permission denied")

        (tmp_path / "a.png").write_bytes(b"x")
        monkeypatch.setattr(type(tmp_path), "open", refuse)
        with pytest.raises(ImageError, match=r"a\.png.*Permission denied"):
            read_image(tmp_path / "a.png")

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
    @pytest.mark.parametrize("kind", ["png", "jpg", "tif", "lzw.tif", "tiled.tif"])
    def test_truncated_files(self, tmp_path, kind, share):
        path = tmp_path / f"a.{kind}"
        pixels = RNG.integers(0, 256, (64, 48), dtype=np.uint8)
        if kind.endswith("tif"):
            options = {"tif": {}, "lzw.tif": {"compression": "lzw", "rowsperstrip": 8}, "tiled.tif": {"tile": (16, 16)}}
            tifffile.imwrite(path, pixels, **options[kind])
        else:
            Image.fromarray(pixels).save(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])
        self.assert_refused(path, "cut off|damaged")

    @pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "inf")])
    @pytest.mark.parametrize("lazy_from", [0, 2**30])
    def test_values_that_are_not_finite(self, tmp_path, monkeypatch, value, word, lazy_from):
        monkeypatch.setattr(images, "LAZY_FROM_BYTES", lazy_from)
        pixels = np.zeros((9, 8), np.float32)
        pixels[4, 5] = value
        tifffile.imwrite(tmp_path / "a.tif", pixels)
        with pytest.raises(ImageError, match=rf"a\.tif.*{word}.*4.*5"):
            open_picture(tmp_path / "a.tif").pixels[2:, 3:]
        assert np.asarray(open_picture(tmp_path / "a.tif").pixels[:4] if lazy_from == 0 else 0).max() == 0

    def test_complex_samples(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4), np.complex64))
        self.assert_refused(tmp_path / "a.tif", "complex64")

    def test_printing_colours(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4, 4), np.uint8), photometric="separated")
        self.assert_refused(tmp_path / "a.tif", "CMYK")

    def test_strips_never_written(self, tmp_path):
        def strips():
            yield zlib.compress(bytes(16 * 32))
            yield b""

        with tifffile.TiffWriter(tmp_path / "a.tif") as file:
            file.write(
                strips(), shape=(32, 32), dtype=np.uint8, rowsperstrip=16, compression="zlib", photometric="minisblack"
            )
        self.assert_refused(tmp_path / "a.tif", "2 strips")

    def test_a_stack_without_a_page_and_channels_without_a_channel(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", np.zeros((3, 8, 8), np.uint8), photometric="minisblack")
        self.assert_refused(tmp_path / "a.tif", "--page N")
        tifffile.imwrite(
            tmp_path / "b.tif", np.zeros((3, 8, 8), np.uint8), photometric="minisblack", metadata={"axes": "CYX"}
        )
        self.assert_refused(tmp_path / "b.tif", "--channel N")
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "c.png")
        self.assert_refused(tmp_path / "c.png", r"\bchannel\b.*\b1\b", channel=1)
        self.assert_refused(tmp_path / "c.png", r"\bpage\b.*\b1\b", page=1)

    def test_too_large_to_read_at_once_but_fine_in_pieces(self, tmp_path, monkeypatch):
        monkeypatch.setattr(images, "MAX_WHOLE_BYTES", 100)
        monkeypatch.setattr(images, "LAZY_FROM_BYTES", 0)
        tifffile.imwrite(tmp_path / "a.tif", np.ones((16, 16), np.uint8))
        with pytest.raises(ImageError, match=r"16 x 16 pixels.*open_picture"):
            read_image(tmp_path / "a.tif")
        assert open_picture(tmp_path / "a.tif").pixels[3:5, 3:5].sum() == 4

    def test_a_file_that_goes_away_between_reads(self, tmp_path, monkeypatch):
        monkeypatch.setattr(images, "LAZY_FROM_BYTES", 0)
        tifffile.imwrite(tmp_path / "a.tif", np.ones((16, 16), np.uint8))
        pixels = open_picture(tmp_path / "a.tif").pixels
        (tmp_path / "a.tif").unlink()
        with pytest.raises(ImageError, match=r"a\.tif"):
            pixels[0]


def test_a_constant_picture_reads_fine(tmp_path):
    Image.fromarray(np.full((5, 6), 7, np.uint8)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png").pixels == np.full((5, 6), 7)).all()


def test_decoder_warnings_and_log_lines_stay_inside(tmp_path, caplog, recwarn):
    pixels = np.zeros((9_500, 9_500), np.uint8)  # 90 million pixels: PIL would warn of a decompression bomb
    for name in ("a.jpg", "a.png"):
        Image.fromarray(pixels).save(tmp_path / name)
        assert read_image(tmp_path / name).pixels.shape == pixels.shape
    (tmp_path / "c.tif").write_bytes(declared_tiff(50, 50, 1)[:60])
    with pytest.raises(ImageError):
        read_image(tmp_path / "c.tif")
    assert not recwarn.list
    assert not caplog.records


def test_a_detector_finds_the_same_in_a_picture_read_in_pieces(tmp_path, monkeypatch):
    torch.manual_seed(0)
    detector = Detector(new_network("small"), thresholds=Thresholds(score=1e-4))
    pixels = np.random.default_rng(0).integers(0, 256, (130, 170, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", tile=(64, 64), compression="zlib")
    monkeypatch.setattr(images, "LAZY_FROM_BYTES", 0)
    lazy = open_picture(tmp_path / "a.tif").pixels
    assert isinstance(lazy, LazyPixels)
    whole, pieces = detector(pixels), detector(lazy, tile=64)
    assert len(whole) > 10
    assert np.array_equal(whole.points, pieces.points)
