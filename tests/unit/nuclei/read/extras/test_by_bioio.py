"""CZI, ND2 and LIF through bioio; where it isn't installed, through a stand-in with the same interface."""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from linnet.errors import ImageError
from linnet.nuclei.read.channels import each_channel
from linnet.nuclei.read.images import channel_names, open_picture, page_count

SCENES = {
    "one": ("TCZYX", np.arange(1 * 2 * 3 * 4 * 5, dtype=np.uint16).reshape(1, 2, 3, 4, 5)),
    "two": ("TCZYX", np.full((1, 2, 3, 6, 7), 9, np.uint16)),
}


class Lazy:
    """A dask array, as far as the reader uses one."""

    def __init__(self, array):
        self._array = array

    def __getitem__(self, where):
        return Lazy(self._array[where])

    def compute(self):
        return self._array


class BioImage:
    """bioio's image of SCENES."""

    channel_names = ("GFP", "DAPI")
    physical_pixel_sizes = SimpleNamespace(Z=1.0, Y=0.25, X=0.25)
    scenes = tuple(SCENES)

    def __init__(self, path):
        self._path = path
        self.set_scene(0)

    def set_scene(self, scene):
        order, self._array = list(SCENES.values())[scene]
        self.dims = SimpleNamespace(order=order, shape=self._array.shape)
        self.dtype = self._array.dtype

    def get_image_dask_data(self, order, **at):
        assert order == "YX"
        return Lazy(self._array[tuple(at.get(axis, 0) for axis in "TCZ")])


@pytest.fixture
def bioio(monkeypatch):
    base, whole = ModuleType("bioio_base.exceptions"), ModuleType("bioio")
    base.UnsupportedFileFormatError = type("UnsupportedFileFormatError", (Exception,), {})
    whole.BioImage = BioImage
    for name, module in {"bioio": whole, "bioio_base": ModuleType("bioio_base"), base.__name__: base}.items():
        monkeypatch.setitem(sys.modules, name, module)
    return whole


@pytest.fixture(params=[b"ZISRAWFILE\0\0", b"\xda\xce\xbe\x0a\0\0", b"\x70\0\0\0\0\0"], ids=["czi", "nd2", "lif"])
def path(tmp_path, request):
    place = tmp_path / "a.bin"
    place.write_bytes(request.param)
    return place


def test_scenes_and_planes_are_pages_and_channels_have_names(bioio, path):
    assert page_count(path) == 6
    assert channel_names(path, page=0) == ("GFP", "DAPI")
    found = open_picture(path, page=2, channel="DAPI")
    assert np.array_equal(found.pixels, SCENES["one"][1][0, 1, 2])
    assert found.pixel_size_um == 0.25
    assert open_picture(path, page=4, channel=0).pixels.shape == (6, 7)
    assert [name for name, _ in each_channel(path, page=0, channel=0, project=None)] == ["GFP", "DAPI"]
    with pytest.raises(ImageError, match=r"6 pages.*--page N"):
        open_picture(path)
    with pytest.raises(ImageError, match=r"2 channels.*0 GFP, 1 DAPI"):
        open_picture(path, page=0)


@pytest.mark.parametrize("part", ["reader", "plug-in"])
def test_what_is_missing_is_said_with_the_command(bioio, path, part, monkeypatch):
    if part == "reader":
        monkeypatch.setitem(sys.modules, "bioio", None)
    else:

        def refuse(_path):
            raise sys.modules["bioio_base.exceptions"].UnsupportedFileFormatError

        bioio.BioImage = refuse
    with pytest.raises(ImageError, match=r'(Zeiss CZI|Nikon ND2|Leica LIF).*pip install "linnet\[formats\]"'):
        open_picture(path)


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("bioio_czi", "pylibCZIrw")),
    reason="bioio-czi isn't installed: pip install 'linnet[formats]'",
)
def test_a_real_czi(tmp_path):
    from pylibCZIrw import czi

    planes = np.random.default_rng(0).integers(0, 4000, (2, 40, 50)).astype(np.uint16)
    place = tmp_path / "a.czi"
    with czi.create_czi(str(place)) as document:
        for k, plane in enumerate(planes):
            document.write(plane[..., None], plane={"C": k, "T": 0, "Z": 0})
        document.write_metadata("a", channel_names={0: "GFP", 1: "DAPI"}, scale_x=2.5e-7, scale_y=2.5e-7)
    found = open_picture(place, channel="DAPI")
    assert np.array_equal(found.pixels, planes[1])
    assert found.pixel_size_um == pytest.approx(0.25)
