"""What can't be meant is refused before anything is read, made or cleared."""

import errno

import numpy as np
import pytest
import tifffile

from linnet.errors import InputError
from linnet.nuclei.batch import batch
from linnet.nuclei.batch.batch import detect
from linnet.nuclei.batch.options import Options
from tests.unit.nuclei.batch.test_batch import bright_pixels, png, rows, spots


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"diameter_px": 0}, r"`diameter_px` must be 'auto' or a number of pixels > 0 \(got 0\)"),
        ({"diameter_px": "large"}, r"`diameter_px`.*\(got large\)"),
        ({"diameter_um": -8.0}, r"`diameter_um` must be a number of micrometres > 0 \(got -8.0\)"),
        ({"pixel_size_um": float("nan")}, r"`pixel_size_um`.*\(got nan\)"),
        ({"threshold": 2.0}, r"`threshold` must be a number between 0 and 1.*\(got 2.0\)"),
        ({"threshold": -0.1}, r"`threshold`.*\(got -0.1\)"),
        ({"threshold": 0.0}, r"`threshold`.*\(got 0.0\)"),
        ({"threshold": 1.0}, r"`threshold`.*\(got 1.0\)"),
        ({"project": "max", "page": 1}, r"`project`.*`page` \(1\)"),
        ({"formats": ()}, "`formats`"),
    ],
)
def test_one_clear_error_and_nothing_is_lost(tmp_path, wrong, message):
    out = detect(png(tmp_path / "a.png"), tmp_path / "out", weights=bright_pixels, progress=False).out
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    with pytest.raises(InputError, match=message):
        detect(tmp_path / "a.png", out, weights=bright_pixels, progress=False, overwrite=True, **wrong)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_micrometres_without_a_pixel_size_fail_that_image_alone(tmp_path):
    tifffile.imwrite(tmp_path / "b.tif", spots(3), resolution=(20_000, 20_000), resolutionunit="centimeter")
    seen = []

    def spy(image, pixel_size_um=None, **options):
        seen.append((pixel_size_um, options["diameter_um"]))
        return bright_pixels(image, pixel_size_um)

    images = [png(tmp_path / "a.png"), tmp_path / "b.tif"]
    result = detect(images, tmp_path / "out", weights=spy, progress=False, diameter_um=8.0)
    assert [done.stem for done in result.done] == ["b"]
    assert "pixel size, which `diameter_um` needs" in rows(result.out / "failed.csv")[1][1]
    detect(images, tmp_path / "out2", weights=spy, progress=False, diameter_um=8.0, pixel_size_um=0.25)
    np.testing.assert_allclose(seen, [(0.5, 8.0), (0.25, 8.0), (0.25, 8.0)])


def test_a_full_disk_is_one_error_that_says_what_is_kept(tmp_path, monkeypatch):
    images = [png(tmp_path / f"{n}.png") for n in "abc"]
    write = batch.write_detections

    def full(found, path, **options):
        if path.stem == "b":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(found, path, **options)

    monkeypatch.setattr(batch, "write_detections", full)
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"out: No space left on device. Stopped after 1 of 3 images.*`out`"):
        detect(images, out, weights=bright_pixels, progress=False, overlay=False)
    assert sorted(p.name for p in out.iterdir()) == ["a.csv", "a.geojson"]


def test_an_image_that_goes_while_it_is_read_fails_alone(tmp_path, monkeypatch):
    images = [png(tmp_path / f"{n}.png") for n in "ab"]
    read = Options.open

    def gone(self, job):
        if job.image.name == "a.png":
            raise OSError(errno.EIO, "Input/output error")
        return read(self, job)

    monkeypatch.setattr(Options, "open", gone)
    result = detect(images, tmp_path / "out", weights=bright_pixels, progress=False)
    assert [done.stem for done in result.done] == ["b"]
    assert "Input/output error" in result.failed[0].error
