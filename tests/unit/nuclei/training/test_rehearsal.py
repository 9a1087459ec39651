"""The pictures that are shown again while the default detector is taught."""

from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from linnet.data.nuclei import NucleusImage
from linnet.nuclei.training import rehearsal as module
from linnet.nuclei.training.rehearsal import EACH, GROUP, NAME, rehearsal, write_rehearsal
from linnet.nuclei.training.trainer import train


def test_the_shipped_pictures_are_few_and_have_points_and_diameters():
    assert (files("linnet.nuclei") / "weights" / NAME).stat().st_size < 2_000_000
    pictures = rehearsal()
    assert len(pictures) == sum(EACH.values())
    assert {picture.group for picture in pictures} == {GROUP}
    for picture in pictures:
        size = np.array(picture.pixels.shape[:2])
        assert np.all((picture.points >= -0.5) & (picture.points < size - 0.5))
        assert len(picture.diameters) == len(picture.points)
    assert sum(len(picture.points) for picture in pictures) > 3000
    known = np.concatenate([picture.diameters for picture in pictures])
    assert 5 < np.nanmedian(known) < 60


@pytest.fixture
def images(tmp_path):
    found = []
    for k, kind in enumerate(["small_fluo"] * 5 + ["gray_tissue"] * 3):
        pixels = np.random.default_rng(k).integers(0, 255, (400, 380) if k == 5 else (60, 70)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{k}.png")
        points = np.array([[10.04, 20.0], [30.0, 40.0]])
        diameters = np.array([8.04, np.nan])
        found.append(NucleusImage(f"{k}", tmp_path / f"{k}.png", points, kind, f"mosaic {k // 2}", "train", diameters))
    return found


def test_what_is_written_comes_back_the_middle_of_large_pictures_and_mosaics_in_turn(tmp_path, images, monkeypatch):
    monkeypatch.setattr(module, "EACH", {"small_fluo": 3, "gray_tissue": 9})
    first = write_rehearsal(images, tmp_path / "a.zip").read_bytes()
    assert write_rehearsal(images, tmp_path / "b.zip").read_bytes() == first
    monkeypatch.setattr(module, "files", lambda _package: tmp_path.parent)
    (tmp_path.parent / "weights").mkdir(exist_ok=True)
    (tmp_path.parent / "weights" / NAME).write_bytes(first)
    found = rehearsal()
    # mosaics 0, 1 and 2 of the first kind give one each: images 0, 2 and 4; of the other kind all three
    assert len(found) == 6
    whole = [picture for picture in found if picture.pixels.shape == (60, 70)]
    assert len(whole) == 5
    assert whole[0].points.tolist() == [[10.0, 20.0], [30.0, 40.0]]
    assert whole[0].diameters[0] == 8.0
    assert np.isnan(whole[0].diameters[1])
    [cut] = [picture for picture in found if picture.pixels.shape == (360, 360)]
    assert cut.points.tolist() == [[10.0 - 20, 20.0 - 10], [30.0 - 20, 40.0 - 10]][1:]


def test_teaching_the_default_detector_rehearses_and_another_start_does_not(monkeypatch):
    drawn = []

    def loader(images, *args, **options):
        drawn.append(({image.group for image in images}, options["balance"], options["sizes"]))
        raise StopIteration

    monkeypatch.setattr("linnet.nuclei.training.trainer.CropLoader", loader)
    picture, points = np.random.default_rng(0).integers(0, 255, (64, 64)).astype(np.uint8), np.array([[10.0, 10.0]])
    for start in ("default", None):
        with pytest.raises(StopIteration):
            train([picture], [points], start=start, trust_points=True)
    assert drawn == [({"", GROUP}, 0.0, True), ({""}, 0.5, False)]
