"""OME-Zarr images, made here in versions 0.4 and 0.5, as folders and as zip files."""

import sys
import zipfile

import numpy as np
import pytest

from linnet.errors import ImageError
from linnet.nuclei.read.channels import each_channel
from linnet.nuclei.read.find import find_images, left_out, skipped, stems
from linnet.nuclei.read.images import LAZY_FROM_BYTES, open_picture, page_count, read_image

zarr = pytest.importorskip("zarr", reason="zarr isn't installed: pip install 'linnet[slides]'")


def image(place, pixels, axes, *, version="0.5", scale=None, whole=None, unit="micrometer", labels=(), chunks=None):
    """Writes an image of two sizes; `scale` is that of the largest along all axes, `whole` that of all sizes."""
    group = zarr.open_group(str(place), mode="w", zarr_format=2 if version == "0.4" else 3)
    for k, level in enumerate((pixels, pixels[..., ::2, ::2])):
        at = group.create_array(str(k), shape=level.shape, dtype=level.dtype, chunks=chunks or level.shape)
        at[...] = level
    kinds = {"c": "channel", "t": "time"}
    named = [{"name": a, "type": kinds.get(a, "space")} | ({"unit": unit} if a in "zyx" else {}) for a in axes]
    sizes = [
        {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": [s * 2**k for s in scale]}]}
        if scale
        else {"path": str(k)}
        for k in range(2)
    ]
    multiscale = {"axes": named, "datasets": sizes}
    if whole:
        multiscale["coordinateTransformations"] = [{"type": "scale", "scale": whole}]
    said = {"multiscales": [multiscale], "omero": {"channels": [{"label": label} for label in labels]}}
    group.attrs.update(said if version == "0.4" else {"ome": {"version": "0.5", **said}})
    return place


def zipped(folder, place, prefix=""):
    with zipfile.ZipFile(place, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(folder).as_posix())
    return place


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 4000, (2, 3, 20, 30)).astype(np.uint16)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_page_and_channel_name_a_plane_of_the_largest_size(tmp_path, pixels, version):
    place = image(
        tmp_path / "a.ome.zarr", pixels, "czyx", version=version, scale=[1, 2, 0.25, 0.25], labels=("GFP", "DAPI")
    )
    for path in (place, zipped(place, tmp_path / "a.zarr.zip"), zipped(place, tmp_path / "b.ozx", "a.ome.zarr/")):
        found = open_picture(path, page=2, channel="DAPI")
        assert np.array_equal(found.pixels, pixels[1, 2])
        assert (found.pixel_size_um, found.pixels.dtype) == (0.25, np.uint16)
        assert page_count(path) == 3
        with pytest.raises(ImageError, match=r"3 pages.*0 GFP, 1 DAPI"):
            open_picture(path)
        assert [name for name, _ in each_channel(path, page=0, channel=0, project=None)] == ["GFP", "DAPI"]


def test_the_scale_of_all_sizes_multiplies_that_of_the_largest_in_the_unit_of_the_axis(tmp_path, pixels):
    place = image(tmp_path / "a.zarr", pixels[0, 0], "yx", scale=[0.5, 0.5], whole=[400, 400], unit="nanometer")
    assert open_picture(place).pixel_size_um == pytest.approx(0.2)
    place = image(tmp_path / "b.zarr", pixels[0, 0], "yx", scale=[0.5, 0.5], unit="unit")
    assert open_picture(place).pixel_size_um is None


def test_a_large_one_is_read_chunk_by_chunk(tmp_path):
    side = int(LAZY_FROM_BYTES**0.5) + 200
    pixels = np.zeros((side, side), np.uint8)
    pixels[700:720, 5000:5010] = 9
    place = image(tmp_path / "a.zarr", pixels, "yx", chunks=(1024, 1024))
    lazy = open_picture(place).pixels
    assert not isinstance(lazy, np.ndarray)
    assert np.array_equal(lazy[690:730, 4990:5020], pixels[690:730, 4990:5020])


def test_a_folder_that_is_an_image_is_found_among_files(tmp_path, pixels):
    image(tmp_path / "in" / "a.ome.zarr", pixels[0, 0], "yx")
    zipped(tmp_path / "in" / "a.ome.zarr", tmp_path / "in" / "b.zarr.zip")
    (tmp_path / "in" / "notes.zip").write_bytes(b"PK\x03\x04")
    for places, recursive in ((tmp_path / "in", False), (tmp_path / "in", True), (tmp_path / "in" / "*", False)):
        files, failures = find_images([places], recursive=recursive)
        names = [file.name for file in files if file.name != "notes.zip"]
        assert (names, failures) == (["a.ome.zarr", "b.zarr.zip"], [])
        assert stems(files)[:2] == ["a", "b"]
    assert "1 file left out" in left_out(skipped([tmp_path / "in"], recursive=True))
    assert find_images([tmp_path / "in" / "a.ome.zarr"])[0] == [tmp_path / "in" / "a.ome.zarr"]
    assert np.array_equal(read_image(tmp_path / "in" / "b.zarr.zip").pixels, pixels[0, 0])


def test_a_plate_and_a_group_of_images_ask_for_one_of_them(tmp_path, pixels):
    plate = zarr.open_group(str(tmp_path / "p.zarr"), mode="w")
    plate.attrs.update({"ome": {"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}}})
    with pytest.raises(ImageError, match=r"plate of 2 wells.*p\.zarr/A/1/0"):
        open_picture(tmp_path / "p.zarr")
    image(tmp_path / "g.zarr" / "0", pixels[0, 0], "yx")
    zarr.open_group(str(tmp_path / "g.zarr"), mode="a")
    with pytest.raises(ImageError, match=r"no image of its own, but 0.*g\.zarr/0"):
        open_picture(tmp_path / "g.zarr")
    assert np.array_equal(read_image(tmp_path / "g.zarr" / "0").pixels, pixels[0, 0])


@pytest.mark.parametrize("damage", ["metadata", "array", "axes"])
def test_a_damaged_one_is_one_error(tmp_path, pixels, damage):
    place = image(tmp_path / "a.zarr", pixels[0, 0], "xy" if damage == "axes" else "yx")
    if damage == "metadata":
        (place / "zarr.json").write_text("{")
    if damage == "array":
        (place / "0" / "zarr.json").unlink()
    with pytest.raises(ImageError, match=r"a\.zarr"):
        open_picture(place)


def test_without_the_package_it_says_what_to_install(tmp_path, pixels, monkeypatch):
    place = image(tmp_path / "a.zarr", pixels[0, 0], "yx")
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImageError, match=r'pip install "linnet\[slides\]"'):
        open_picture(place)
