import logging

import numpy as np
import pytest
import tifffile

from linnet.nuclei.read.images import read_image
from linnet.nuclei.read.pixel_size import micrometres

GRAY = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize(
    ("value", "unit", "size"),
    [
        (0.5, "um", 0.5),
        (0.5, "µm", 0.5),
        (0.5, "μm", 0.5),
        (0.5, "\\u00B5m", 0.5),
        (0.5, "micron", 0.5),
        (0.5, " Microns ", 0.5),
        (250, "nm", 0.25),
        (0.0005, "mm", 0.5),
        (0.00005, "cm", 0.5),
        (5e-7, "m", 0.5),
        (5000, "Å", 0.5),
        (0.00002, "inch", 0.508),
        (1, "pixel", None),
        (1, "", None),
        (1, "reference frame", None),
        (0, "um", None),
        (-1, "um", None),
        (float("nan"), "um", None),
        (float("inf"), "um", None),
        (1e308, "m", None),
    ],
)
def test_units(value, unit, size):
    found = micrometres(value, unit)
    assert found is size if size is None else found == pytest.approx(size, rel=1e-12)


def size_of(path, **options):
    tifffile.imwrite(path, GRAY, **options)
    return read_image(path).pixel_size_um


@pytest.mark.parametrize(
    ("metadata", "size"),
    [
        ({"PhysicalSizeX": 0.325, "PhysicalSizeY": 0.325}, 0.325),
        ({"PhysicalSizeX": 325, "PhysicalSizeXUnit": "nm"}, 0.325),
        ({"PhysicalSizeX": 325, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.325, "PhysicalSizeYUnit": "µm"}, 0.325),
        ({"PhysicalSizeX": 1, "PhysicalSizeXUnit": "pixel"}, None),
        ({}, None),
    ],
)
def test_ome(tmp_path, metadata, size):
    found = size_of(
        tmp_path / "a.ome.tif", metadata={"axes": "YX", **metadata}, resolution=(72, 72), resolutionunit="inch"
    )
    assert found is size if size is None else found == pytest.approx(size, rel=1e-12)


@pytest.mark.parametrize(
    ("unit", "per_unit", "size"),
    [
        ("um", 4, 0.25),
        ("\\u00B5m", 4, 0.25),
        ("micron", 4, 0.25),
        ("nm", 0.004, 0.25),
        ("mm", 4000, 0.25),
        ("pixel", 1, None),
        ("inch", 72, None),
        ("cm", 40_000, 0.25),
    ],
)
def test_imagej(tmp_path, unit, per_unit, size):
    found = size_of(tmp_path / "a.tif", imagej=True, metadata={"unit": unit}, resolution=(per_unit, per_unit))
    assert found is size if size is None else found == pytest.approx(size, rel=1e-5)


@pytest.mark.parametrize(
    ("per_unit", "unit", "size"),
    [
        (25_400, "inch", 1.0),
        (101_600, "inch", 0.25),
        (40_000, "centimeter", 0.25),
        (72, "inch", None),
        (96, "inch", None),
        (300, "inch", None),
        (1_200, "inch", None),
        (118.11, "centimeter", None),
        (2_400, "inch", None),
        (40_000, "none", None),
    ],
)
def test_resolution_tags(tmp_path, per_unit, unit, size):
    found = size_of(tmp_path / "a.tif", resolution=(per_unit, per_unit), resolutionunit=unit)
    assert found is size if size is None else found == pytest.approx(size, rel=1e-5)


def test_pixels_that_are_not_square_give_no_size_and_a_log_line(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="linnet"):
        assert size_of(tmp_path / "a.tif", resolution=(20_000, 40_000), resolutionunit="centimeter") is None
    assert "0.25 um" in caplog.text


def test_the_second_image_of_an_ome_file_has_its_own_size(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as file:
        for size in (0.5, 0.25):
            file.write(GRAY, photometric="minisblack", metadata={"axes": "YX", "PhysicalSizeX": size})
    assert [read_image(tmp_path / "a.ome.tif", page=p).pixel_size_um for p in (0, 1)] == [0.5, 0.25]
