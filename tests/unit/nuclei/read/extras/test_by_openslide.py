"""Slides that openslide reads; where it isn't installed, through a stand-in with the same interface."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from linnet.errors import ImageError
from linnet.nuclei.read.find import find_images
from linnet.nuclei.read.images import channel_names, open_picture, page_count
from tests.unit.nuclei.read.slides import picture, write_vms


class OpenSlide:
    """A slide with a part that was never scanned, and pixels of 0.25 um."""

    properties = SimpleNamespace(get={"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.25"}.get)

    def __init__(self, path):
        self._pixels = np.dstack([picture(), np.full(picture().shape[:2], 255, np.uint8)])
        self._pixels[:64, :64] = 0
        self.dimensions = self._pixels.shape[1::-1]

    @staticmethod
    def detect_format(path):
        return None if path.stat().st_size == 0 else "mirax"

    def read_region(self, corner, level, size):
        (x, y), (w, h) = corner, size
        assert level == 0
        return Image.fromarray(self._pixels[y : y + h, x : x + w])


@pytest.fixture
def openslide(monkeypatch):
    module = ModuleType("openslide")
    module.OpenSlide = OpenSlide
    monkeypatch.setitem(sys.modules, "openslide", module)


@pytest.mark.parametrize("ending", ["mrxs", "vms", "svslide", "bif"])
def test_a_slide_is_one_colour_picture_with_its_pixel_size(openslide, tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(b"\xff\xd8\xff\xe0 a thumbnail, as MIRAX has it")
    assert find_images([tmp_path])[0] == [path]
    found = open_picture(path)
    expected = picture()
    expected[:64, :64] = 255  # what was never scanned is white
    assert found.pixel_size_um == 0.25
    assert np.array_equal(found.pixels, expected)
    assert (page_count(path), channel_names(path)) == (1, ("red", "green", "blue"))
    assert np.array_equal(open_picture(path, channel="b").pixels, expected[..., 2])
    with pytest.raises(ImageError, match="page 1 was requested"):
        open_picture(path, page=1)


def test_the_ground_has_the_colour_that_the_slide_names(openslide, tmp_path, monkeypatch):
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"\xff\xd8\xff")
    monkeypatch.setattr(OpenSlide, "properties", {"openslide.background-color": "F0E0D0"})
    found = open_picture(path)
    assert found.pixels[0, 0].tolist() == [0xF0, 0xE0, 0xD0]
    assert found.pixel_size_um is None


def test_what_is_no_slide_is_refused(openslide, tmp_path):
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"\xff\xd8\xff")
    OpenSlide_ = sys.modules["openslide"].OpenSlide
    assert OpenSlide_.detect_format(path) is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenSlide, "detect_format", staticmethod(lambda path: None))
        with pytest.raises(ImageError, match=r"MIRAX slide.*can't read it.*folder `a`"):
            open_picture(path)


def test_without_openslide_the_command_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openslide", None)
    path = tmp_path / "a.mrxs"
    path.write_bytes(b"\xff\xd8\xff\xe0 a thumbnail, which is no slide")
    with pytest.raises(ImageError, match=r'MIRAX slide.*pip install "linnet\[slides\]"'):
        open_picture(path)


def test_a_slide_of_several_files_is_read(tmp_path):
    pytest.importorskip("openslide", reason="openslide isn't installed: pip install 'linnet[slides]'")
    write_vms(tmp_path / "a.vms", picture(), nm=230)
    found = open_picture(tmp_path / "a.vms")
    assert found.pixel_size_um == pytest.approx(0.23)
    assert np.abs(found.pixels.astype(int) - picture()).max() <= 4  # of JPEG
    (tmp_path / "a.jpg").unlink()
    with pytest.raises(ImageError, match=r"a\.vms: .*a\.jpg"):
        open_picture(tmp_path / "a.vms")
