"""Pages, projections, named channels, and formats that are read whole."""

import imagecodecs
import matplotlib as mpl
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy.ndimage import gaussian_filter

from linnet.errors import ImageError, InputError
from linnet.nuclei.read.images import open_picture, page_count, read_image
from linnet.nuclei.read.stacks import projected


@pytest.fixture
def gray():
    return np.random.default_rng(0).integers(0, 250, (20, 30), dtype=np.uint8)


@pytest.fixture
def stack(tmp_path, gray):
    """(pages, channels): three pages of two channels; the middle page is sharp."""
    sharp = gray.astype(float)
    planes = np.stack(
        [
            [gaussian_filter(sharp, s), gaussian_filter(sharp.T[:20, :20], s)[:, :1] * np.ones((20, 30))]
            for s in (2, 0, 3)
        ]
    ).astype(np.uint16)
    path = tmp_path / "z.ome.tif"
    tifffile.imwrite(
        path, planes, photometric="minisblack", metadata={"axes": "ZCYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    )
    return path, planes


def test_projections_are_those_of_numpy(stack):
    path, planes = stack
    for how, expected in (
        ("max", planes[:, 0].max(0)),
        ("mean", planes[:, 0].mean(0, dtype=np.float64).astype(np.float32)),
        ("best-focus", planes[1, 0]),
    ):
        picture = read_image(path, channel="DAPI", project=how)
        assert np.array_equal(picture.pixels, expected)
        assert picture.digest != read_image(path, channel=0, page=1).digest
    assert page_count(path) == 3


def test_pages_that_differ_in_size_and_two_wishes_are_refused(tmp_path, stack):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(np.zeros((5, 6), np.uint8), metadata=None)
        tiff.write(np.zeros((5, 7), np.uint8), metadata=None)
    with pytest.raises(ImageError, match=r"6 x 5.*7 x 5"):
        read_image(tmp_path / "a.tif", project="max")
    with pytest.raises(InputError, match=r"`project`.*`page`"):
        read_image(stack[0], page=1, channel=0, project="max")
    with pytest.raises(InputError, match=r"`project`.*best-focus.*'sum'"):
        projected("a", "sum", [])


def test_a_channel_may_be_named(stack):
    path, planes = stack
    for name, number in (("DAPI", 0), ("gfp", 1), ("1", 1)):
        assert np.array_equal(read_image(path, page=0, channel=name).pixels, planes[0, number])
    with pytest.raises(ImageError, match=r"'RFP'.*0 DAPI, 1 GFP"):
        read_image(path, page=0, channel="RFP")
    with pytest.raises(ImageError, match=r"pages.*--page all.*--project max"):
        read_image(path)


def test_the_labels_of_imagej_are_shown(tmp_path, gray):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.stack([gray, gray // 2]),
        imagej=True,
        metadata={"axes": "CYX", "Labels": ["c:1/2 - DAPI", "c:2/2 - actin"]},
    )
    with pytest.raises(ImageError, match=r"0 c:1/2 - DAPI, 1 c:2/2 - actin"):
        read_image(tmp_path / "a.tif")


def test_colours_by_their_letters_and_three_channels_as_colours(tmp_path):
    colour = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "a.png")
    for name, k in (("r", 0), ("Green", 1), ("b", 2)):
        assert np.array_equal(read_image(tmp_path / "a.png", channel=name).pixels, colour[..., k])
    with pytest.raises(ImageError, match=r"'x'.*red, green, blue"):
        read_image(tmp_path / "a.png", channel="x")
    tifffile.imwrite(
        tmp_path / "c.ome.tif", np.moveaxis(colour, -1, 0), photometric="minisblack", metadata={"axes": "CYX"}
    )
    with pytest.raises(ImageError, match="--channel rgb"):
        read_image(tmp_path / "c.ome.tif")
    assert np.array_equal(read_image(tmp_path / "c.ome.tif", channel="rgb").pixels, colour)


@pytest.mark.parametrize("ending", ["bmp", "gif", "webp", "jp2", "npy"])
def test_other_formats_give_the_pixels_that_were_written(tmp_path, gray, ending):
    colour = np.stack([gray, gray[::-1], gray[:, ::-1]], -1)
    path = tmp_path / f"a.{ending}"
    for pixels in (gray, colour):
        if ending == "jp2":
            path.write_bytes(imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, codecformat="jp2"))
        elif ending == "npy":
            np.save(path, pixels)
        elif ending == "gif" and pixels.ndim == 3:
            continue  # 256 colours
        else:
            Image.fromarray(pixels).save(path, **({"lossless": True} if ending == "webp" else {}))
        assert np.array_equal(read_image(path).pixels, pixels)


def test_frames_of_a_gif_and_the_first_axis_of_an_array_are_pages(tmp_path, gray):
    frames = [Image.fromarray(np.roll(gray, k, 0)) for k in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.save(tmp_path / "a.npy", np.stack([np.roll(gray, k, 0) for k in range(3)]))
    for name in ("a.gif", "a.npy"):
        assert page_count(tmp_path / name) == 3
        assert np.array_equal(read_image(tmp_path / name, page=2).pixels, np.roll(gray, 2, 0))
        with pytest.raises(ImageError, match="3 pages"):
            open_picture(tmp_path / name)


@pytest.mark.parametrize("array", [np.zeros(4), np.zeros((2, 2), complex), np.array([["a"]])])
def test_an_array_that_is_no_picture_is_refused(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ImageError, match=r"a\.npy"):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["viridis", "plasma", "inferno", "magma", "cividis", "HiLo"])
def test_a_palette_that_looks_monotone_shows_intensities(tmp_path, gray, name):
    colors = np.repeat(np.arange(256)[:, None], 3, 1)
    colors[0], colors[-1] = (0, 0, 255), (255, 0, 0)
    if name != "HiLo":
        colors = np.round(mpl.colormaps[name](np.arange(256))[:, :3] * 255).astype(int)
    tifffile.imwrite(tmp_path / "a.tif", gray, photometric="palette", colormap=(colors.T * 257).astype(np.uint16))
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, gray)


@pytest.mark.parametrize("name", ["prism", "labels"])
def test_another_palette_is_colour(tmp_path, gray, name):
    colors = np.random.default_rng(0).integers(0, 256, (256, 3))
    if name == "prism":
        colors = np.round(mpl.colormaps[name](np.arange(256))[:, :3] * 255).astype(int)
    tifffile.imwrite(tmp_path / "a.tif", gray, photometric="palette", colormap=(colors.T * 257).astype(np.uint16))
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, colors[gray] * 257)


def test_a_slide_is_its_first_picture_with_its_pixel_size(tmp_path):
    """As Aperio writes it: a thumbnail, a label and a macro photograph follow the slide."""
    slide = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    said = "Aperio Image Library v11.2.1\r\n80x64 (16x16) JPEG/RGB Q=30|AppMag = 20|MPP = 0.4990|Left = 1"
    with tifffile.TiffWriter(tmp_path / "a.svs") as tiff:
        tiff.write(slide, tile=(16, 16), photometric="rgb", description=said, metadata=None)
        for side in (32, 16):
            tiff.write(slide[:side, :side], photometric="rgb", description="Aperio Image Library", metadata=None)
    picture = read_image(tmp_path / "a.svs")
    assert picture.pixel_size_um == 0.499
    assert np.array_equal(picture.pixels, slide)
