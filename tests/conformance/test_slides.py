"""Slides as OpenSlide reads them: the same pixels, the same size of a pixel."""

import numpy as np
import pytest

from linnet.data import data_root
from linnet.errors import DataError
from linnet.nuclei.read.images import open_picture
from tests.unit.nuclei.read.slides import picture, write_ndpi, write_svs

openslide = pytest.importorskip("openslide", reason="openslide isn't installed: pip install 'linnet[slides]'")


def assert_as_openslide_reads_it(path, vendor):
    assert openslide.OpenSlide.detect_format(path) == vendor
    found = open_picture(path)
    with openslide.OpenSlide(path) as slide:
        expected = np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3]
        assert found.pixel_size_um == pytest.approx(float(slide.properties["openslide.mpp-x"]))
    assert np.array_equal(found.pixels[:, :], expected)


@pytest.mark.parametrize(("write", "vendor"), [(write_svs, "aperio"), (write_ndpi, "hamamatsu")])
def test_a_small_slide(tmp_path, write, vendor):
    path = tmp_path / f"a.{write.__name__[6:]}"
    write(path, picture())
    assert_as_openslide_reads_it(path, vendor)


def test_a_real_slide():
    try:
        path = data_root() / "format_samples" / "CMU-1-Small-Region.svs"
    except DataError as error:
        pytest.skip(str(error))
    if not path.is_file():
        pytest.skip(f"{path} isn't there")
    assert_as_openslide_reads_it(path, "aperio")


def test_a_planted_difference_is_seen(tmp_path, monkeypatch):
    path = tmp_path / "a.svs"
    write_svs(path, picture())
    read = openslide.OpenSlide.read_region
    monkeypatch.setattr(openslide.OpenSlide, "read_region", lambda *a: read(*a).transpose(0))
    with pytest.raises(AssertionError):
        assert_as_openslide_reads_it(path, "aperio")
