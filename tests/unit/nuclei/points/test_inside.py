"""Means inside discs against a slow definition, and in every file."""

import json

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from linnet.nuclei import Detections, detect
from linnet.nuclei.points.columns import Count
from linnet.nuclei.points.csv import is_detection_header, to_csv
from linnet.nuclei.points.csv_detections import from_csv
from linnet.nuclei.points.geojson import to_geojson
from linnet.nuclei.points.inside import channel_means, mean_inside
from linnet.nuclei.points.write import to_json


def slow_means(image, points, diameters):
    """One nucleus and one pixel at a time, in float64."""
    planes = image.reshape(*image.shape[:2], -1).astype(np.float64)
    rows = []
    for (y, x), d in zip(points, diameters, strict=True):
        values = [
            planes[i, j]
            for i in range(image.shape[0])
            for j in range(image.shape[1])
            if (i - y) ** 2 + (j - x) ** 2 <= (d / 2) ** 2 or (i, j) == (int(np.floor(y + 0.5)), int(np.floor(x + 0.5)))
        ]
        rows.append(np.mean(values, axis=0))
    return np.array(rows).reshape(len(points), planes.shape[2])


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([(9, 14), (14, 9, 3), (1, 1), (30, 31, 3)]),
    st.floats(0, 12),
)
def test_means_are_those_of_the_definition(seed, shape, diameter):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60_000, shape).astype(np.uint16)
    points = rng.uniform(-0.49, 0.49, (7, 2)) + rng.integers(0, shape[:2], (7, 2))
    diameters = diameter * rng.uniform(0.3, 1, 7)
    found = mean_inside(image, points, diameters)
    np.testing.assert_allclose(found, slow_means(image, points, diameters), rtol=1e-12)


def test_a_large_image_is_read_only_where_there_are_nuclei():
    class Watched:
        shape, dtype = (5000, 6000), np.dtype(np.float32)
        read = 0

        def __getitem__(self, where):
            y, x = where
            self.read += (y.stop - y.start) * (x.stop - x.start)
            rows, columns = np.mgrid[y, x]
            return (rows + columns).astype(np.float32)

    image = Watched()
    points = np.array([[5.0, 7.0], [1023.0, 1024.0], [4990.0, 5991.0], [30.0, 9.0]])
    np.testing.assert_allclose(mean_inside(image, points, np.full(4, 9.0))[:, 0], points.sum(axis=1), rtol=1e-6)
    assert image.read < 3_000
    assert mean_inside(image, np.zeros((0, 2)), np.zeros(0)).shape == (0, 1)


def test_gray_has_one_channel_and_colour_three_without_transparency():
    image = np.zeros((20, 20, 4), np.uint8)
    image[..., :] = (10, 20, 30, 255)
    at, wide = np.array([[9.0, 9.0]]), np.array([6.0])
    assert {k: v.tolist() for k, v in channel_means(image[..., :3], at, wide).items()} == {
        "red": [10.0],
        "green": [20.0],
        "blue": [30.0],
    }
    assert list(channel_means(image, at, wide)) == ["red", "green", "blue"]
    assert channel_means(image[..., 1], at, wide)["intensity"].tolist() == [20.0]


def measured(pixel_size_um=0.5):
    return Detections(
        points=np.array([[3.0, 4.0], [8.0, 2.0]]),
        score=np.array([0.9, 0.8]),
        shape=(10, 10),
        count=Count(2),
        diameters_px=np.array([4.0, 6.0]),
        intensities={"DAPI": np.array([100.5, 7.25]), "GFP": np.array([1.0, 2.0])},
        pixel_size_um=pixel_size_um,
    )


def test_area_and_intensities_stand_in_csv_and_come_back_byte_for_byte():
    found = measured()
    header, first, _ = to_csv(found).splitlines()
    assert header == "id,y,x,y_um,x_um,score,diameter_px,area_px,area_um2,mean_DAPI,mean_GFP,flag"
    cells = dict(zip(header.split(","), first.split(","), strict=True))
    assert float(cells["area_px"]) == pytest.approx(np.pi * 4)
    assert float(cells["area_um2"]) == pytest.approx(np.pi)
    assert cells["mean_DAPI"] == "100.5"
    again = from_csv(to_csv(found), shape=found.shape)
    assert to_csv(again) == to_csv(found)
    assert again.intensities["GFP"].tolist() == [1.0, 2.0]
    assert "area_um2" not in to_csv(measured(None))


def test_they_stand_in_geojson_and_json_too():
    features = json.loads(to_geojson(measured()))["features"]
    values = features[1]["properties"]["measurements"]
    assert values["area_px"] == pytest.approx(np.pi * 9)
    assert values["area_um2"] == pytest.approx(np.pi * 9 / 4)
    assert (values["mean_DAPI"], values["mean_GFP"]) == (7.25, 2.0)
    assert json.loads(to_json(measured()))["intensities"] == {"DAPI": [100.5, 7.25], "GFP": [1.0, 2.0]}


@pytest.mark.parametrize(
    "header",
    ["id,y,x,score,mean_a,mean_a,flag", "id,y,x,mean_a,score,flag", "id,y,x,score,flag,mean_a", "y,x", "", "mean_a"],
)
def test_other_headers_are_none_of_ours(header):
    assert not is_detection_header(header.split(","))


def two_channels(image, pixel_size_um=None, **_options):
    at = np.argwhere(np.asarray(image[:, :]) == 200)[:1].astype(float)
    return Detections(at, np.full(len(at), 0.9), image.shape[:2], Count(len(at)), diameters_px=np.full(len(at), 3.0))


def test_a_batch_measures_every_channel_of_the_file(tmp_path):
    stack = np.zeros((2, 30, 40), np.uint8)
    stack[0, 9:12, 9:12], stack[1, 10, 10] = 7, 200
    axes = {"axes": "CYX", "Channel": {"Name": ["my GFP", "DAPI"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, photometric="minisblack", metadata=axes)
    options = {"weights": two_channels, "overlay": False, "progress": False}
    result = detect(tmp_path / "a.ome.tif", tmp_path / "out", channel="DAPI", **options)
    header, row = (result.out / "a.csv").read_text().splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    assert cells["mean_my_GFP"] == "7.0"
    assert float(cells["mean_DAPI"]) == pytest.approx(200 / 9)  # a disc of 9 pixels, one of them 200
    page = result.report.read_text(encoding="utf-8")
    assert "Mean intensity of the nuclei, my_GFP" in page
    assert "Area of the nuclei" in page
