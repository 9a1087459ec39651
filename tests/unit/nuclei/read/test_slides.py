"""SVS and NDPI slides: the slide itself, with its pixel size, whole and in parts."""

import numpy as np
import pytest
import tifffile

from linnet.errors import ImageError
from linnet.nuclei.read import images
from linnet.nuclei.read.images import open_picture, page_count
from tests.unit.nuclei.read.slides import picture, write_ndpi, write_svs

JPEG_ERROR = 4  # of 255, on smooth colours


@pytest.mark.parametrize(("write", "side_um"), [(write_svs, 0.499), (write_ndpi, 0.23)])
def test_a_slide_is_read_with_its_pixel_size(tmp_path, write, side_um):
    path = tmp_path / f"a.{write.__name__[6:]}"
    write(path, picture())
    found = open_picture(path)
    assert found.pixel_size_um == pytest.approx(side_um)
    assert np.abs(found.pixels.astype(int) - picture()).max() <= JPEG_ERROR
    assert page_count(path) == 1  # the thumbnail is none


@pytest.mark.parametrize("write", [write_svs, write_ndpi])
def test_parts_are_those_of_the_whole(tmp_path, write, monkeypatch):
    path = tmp_path / f"a.{write.__name__[6:]}"
    write(path, picture())
    whole = open_picture(path).pixels
    monkeypatch.setattr(images, "LAZY_FROM_BYTES", 1)
    parts = open_picture(path).pixels
    assert not isinstance(parts, np.ndarray)
    for y, x in ((slice(0, 9), slice(0, 9)), (slice(60, 71), slice(50, 140)), (slice(120, 128), slice(190, 192))):
        assert np.array_equal(parts[y, x], whole[y, x])


def test_an_ndpi_of_which_only_a_part_was_copied_is_refused(tmp_path):
    path = tmp_path / "a.ndpi"
    write_ndpi(path, picture())
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match=r"a\.ndpi: the file is cut off"):
        open_picture(path)


@pytest.mark.parametrize("options", [{}, {"bigtiff": True}, {"byteorder": ">"}])
def test_a_tiff_whose_directory_was_never_copied_is_said_to_be_cut(tmp_path, options):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, **options) as tiff:
        tiff.write(picture(), photometric="rgb")
    content = bytearray(path.read_bytes())
    wide, order = "bigtiff" in options, "big" if options.get("byteorder") == ">" else "little"
    at = slice(8, 16) if wide else slice(4, 8)
    content[at] = (len(content) + 100).to_bytes(at.stop - at.start, order)
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.tif: the file is cut off"):
        open_picture(path)
