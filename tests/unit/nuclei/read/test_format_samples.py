"""Small real files in awkward formats, where the folder is at hand: each is read, or asks one clear question."""

import pytest

from linnet.data import data_root
from linnet.errors import DataError, ImageError
from linnet.nuclei.read.images import open_picture

READ = {
    "12bit.cropped.tiff": ((64, 64), None),
    "BigTIFF.tif": ((64, 64, 3), None),
    "CMU-1-Small-Region.svs": ((2967, 2220, 3), 0.499),
    "grey10kx5k.tif": ((5000, 10000), None),
    "minisblack-1c-i16b.tiff": ((151, 157), None),
    "planar-rgb-u8.tif": ((499, 374, 3), None),
    "tiled-jpeg-ycbcr.tif": ((499, 374, 3), None),
    "yb10kx5k.zstd.tiff": ((5000, 10000, 3), None),
}
ASKED = {
    "8b_2c_actin-nuclei.tif": "2 channels.*--channel N",
    "viv_multi-channel.ome.tif": "3 channels.*--channel N.*--channel rgb",
    "qupath_example_project.zip": "zip archive.*export",
    "read-roi_RoiSet.zip": "zip archive.*export",
    "cellprofiler_Nuclei.csv": "text that begins.*export",
    "histomicstk_contours.tsv": "text that begins.*export",
    "imagej_Results_semicolon.csv": "text that begins.*export",
    "blobs_image_v04.ome.zarr.zip": "3 channels.*--channel N.*--channel rgb",
    "blobs_image_v05.ome.zarr.zip": "3 channels.*--channel N.*--channel rgb",
}


@pytest.fixture(scope="module")
def samples():
    try:
        folder = data_root() / "format_samples"
    except DataError as error:
        pytest.skip(str(error))
    if not folder.is_dir():
        pytest.skip(f"{folder} isn't there")
    return folder


@pytest.mark.parametrize("name", sorted(READ))
def test_it_is_read(samples, name):
    picture = open_picture(samples / name)
    assert (picture.pixels.shape, picture.pixel_size_um) == READ[name]
    assert picture.pixels[0:2, 0:2].shape[:2] == (2, 2)


def test_no_sample_is_left_out(samples):
    assert {p.name for p in samples.iterdir()} == {*READ, *ASKED, "README.md"}


@pytest.mark.parametrize("version", ["v04", "v05"])
def test_a_channel_of_an_ome_zarr_is_read_from_its_zip(samples, version):
    pytest.importorskip("zarr", reason="zarr isn't installed: pip install 'linnet[slides]'")
    picture = open_picture(samples / f"blobs_image_{version}.ome.zarr.zip", channel=1)
    assert (picture.pixels.shape, picture.pixels.dtype.kind, picture.pixel_size_um) == ((12, 12), "f", None)


@pytest.mark.parametrize("name", sorted(ASKED))
def test_it_asks_one_clear_question(samples, name):
    if "zarr" in name:
        pytest.importorskip("zarr", reason="zarr isn't installed: pip install 'linnet[slides]'")
    with pytest.raises(ImageError, match=ASKED[name]):
        open_picture(samples / name)
