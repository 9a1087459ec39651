"""One diameter for a batch, and a word where its images disagree."""

import csv
import json

import numpy as np
import pytest
import tifffile
from skimage.transform import rescale

from linnet.data import fluorescence_field
from linnet.errors import InputError
from linnet.nuclei import detect
from linnet.nuclei.batch.scales import disagreement
from linnet.nuclei.points.columns import Count
from linnet.nuclei.points.detections import Detections


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    """Three fields with nuclei of 7 px, one of the same nuclei at 18 px, an empty one and a damaged file."""
    folder = tmp_path_factory.mktemp("plate")
    for k in range(4):
        image, _ = fluorescence_field((400, 400), 90, rng_seed=k, diameter_px=(15, 21))
        small = rescale(image.astype(float), 0.4, anti_aliasing=True).astype(np.uint16)
        tifffile.imwrite(folder / f"{k}.tif", small if k else image)
    tifffile.imwrite(folder / "empty.tif", np.full((200, 200), 7, np.uint16))
    (folder / "torn.tif").write_bytes(b"II*\0")
    return folder


def columns(result, name):
    with (result.out / "counts.csv").open(newline="") as file:
        return {row["image"]: row[name] for row in csv.DictReader(file)}


def test_every_image_finds_its_own_diameter_and_the_batch_says_that_they_differ(plate, tmp_path):
    result = detect(plate, tmp_path / "out", formats=("json",), overlay=False, progress=False)
    found = columns(result, "diameter_px")
    assert float(found["0.tif"]) == pytest.approx(18, rel=0.4)
    assert all(float(found[f"{k}.tif"]) == pytest.approx(7.2, rel=0.7) for k in (1, 2, 3))
    assert found["empty.tif"] == "24.0"
    assert json.loads((result.out / "1.json").read_text())["diameter_px"] == pytest.approx(
        float(found["1.tif"]), abs=0.1
    )
    assert f"nuclei of {float(found['0.tif']):.0f} px" in result.report.read_text(encoding="utf-8")
    [remark] = result.remarks
    assert "0.tif" in remark


def test_with_the_same_scale_the_majority_decides(plate, tmp_path):
    result = detect(plate, tmp_path / "out", same_scale=True, formats=("json",), overlay=False, progress=False)
    found = set(columns(result, "diameter_px").values())
    assert len(found) == 1
    assert float(found.pop()) == pytest.approx(7.2, rel=0.7)
    assert result.remarks == ()
    assert [failure.image.rpartition("/")[2] for failure in result.failed] == ["torn.tif"]


def test_the_same_scale_needs_a_detector_that_has_one(plate, tmp_path):
    with pytest.raises(InputError, match="`same_scale`"):
        detect(plate, tmp_path / "out", same_scale=True, weights=lambda *_: None, progress=False)


def test_few_nuclei_and_small_differences_are_not_worth_a_word():
    def found(diameter, n=9):
        return Detections(np.zeros((n, 2)), np.ones(n), (8, 8), Count(n), diameter_px=diameter)

    assert disagreement([("a", found(12)), ("b", found(24)), ("c", found(96, n=4)), ("d", found(None))]) == ""
    assert disagreement([("a", found(12))]) == ""
    assert "12 px (a) to 25 px (b)" in disagreement([("b", found(25)), ("a", found(12))])
