"""Pages and folders of a batch."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from linnet.errors import ImageError
from linnet.nuclei import detect
from linnet.nuclei.batch.jobs import jobs
from tests.unit.nuclei.batch.test_batch import bright_pixels, spots


def run(paths, out, **options):
    return detect(paths, out, weights=bright_pixels, progress=False, **options)


def counts(out):
    with (out / "counts.csv").open(newline="") as file:
        return {row["image"]: row["count"] for row in csv.DictReader(file)}


def test_each_page_has_its_own_result_with_the_page_in_every_name(tmp_path):
    stack = np.stack([spots(k) for k in range(1, 12)])
    tifffile.imwrite(tmp_path / "z.tif", stack, photometric="minisblack")
    Image.fromarray(spots(3)).save(tmp_path / "one.png")
    (tmp_path / "torn.tif").write_bytes(b"II*\0")
    result = run(tmp_path, tmp_path / "out", page="all", overlay=False, formats=("csv",))
    assert counts(result.out) == {"one.png": "3"} | {f"z.tif, page {k}": str(k + 1) for k in range(11)}
    assert {p.name for p in result.out.glob("z.*")} == {f"z.page{k:02d}.csv" for k in range(11)}
    assert (result.out / "one.csv").exists()
    assert [failure.image.rpartition("/")[2] for failure in result.failed] == ["torn.tif"]
    assert "z.tif, page 10" in result.report.read_text(encoding="utf-8")


def test_one_picture_of_all_pages(tmp_path):
    stack = np.stack([np.roll(spots(2), k, 0) for k in range(3)])
    tifffile.imwrite(tmp_path / "z.tif", stack, photometric="minisblack")
    result = run(tmp_path / "z.tif", tmp_path / "out", project="max")
    assert counts(result.out) == {"z.tif": str(int((stack.max(0) == 255).sum()))}


def test_folders_inside_folders_keep_their_paths_and_what_is_left_out_is_said(tmp_path):
    for name, n in (("a.png", 1), ("x/a.png", 2), ("x/y/a.png", 3), ("x/y/b.png", 4)):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(spots(n)).save(tmp_path / "in" / name)
    for name in ("notes.txt", "x/more.txt", "x/a.xml"):
        (tmp_path / "in" / name).touch()
    result = run(tmp_path / "in", tmp_path / "out", recursive=True, formats=("csv",), overlay=False)
    written = {p.relative_to(result.out).as_posix() for p in result.out.rglob("*.csv")}
    assert written == {"a.csv", "x/a.csv", "x/y/a.csv", "x/y/b.csv", "counts.csv", "failed.csv"}
    assert sorted(counts(result.out).values()) == ["1", "2", "3", "4"]
    page = result.report.read_text(encoding="utf-8")
    assert f'class="name">{tmp_path / "in" / "x" / "y" / "a.png"}<' in page  # there are three of that name
    assert 'class="name">b.png<' in page
    [remark] = result.remarks
    assert "3 files left out" in remark
    assert "2 with .txt" in remark
    flat = run(tmp_path / "in", tmp_path / "flat", formats=("csv",), overlay=False)
    assert counts(flat.out) == {"a.png": "1"}


def test_each_thing_that_was_skipped_is_listed_with_its_reason(tmp_path):
    plate = tmp_path / "plate"
    (plate / "deeper").mkdir(parents=True)
    for name in ("a.png", "deeper/b.png"):
        Image.fromarray(spots(1)).save(plate / name)
    for name in ("Thumbs.db", "LICENCE", ".DS_Store"):
        (plate / name).touch()
    first = run(plate / "a.png", plate, formats=("csv",))  # which leaves its own picture beside the image
    reasons = {
        "Thumbs.db": "no image by its name: .db",
        "LICENCE": "no image by its name: no ending",
        "a.overlay.png": "linnet drew",
        "deeper": "`recursive`",
    }
    result = run(plate, tmp_path / "out", formats=("csv",), overlay=False)
    found = {Path(one.image).name: one.error for one in result.skipped}
    own = {p.name for p in first.out.iterdir() if p.suffix in (".csv", ".json", ".html")}
    assert set(found) == {*reasons, *own}
    assert all(reason in found[name] for name, reason in reasons.items())
    listed = json.loads((result.out / "run.json").read_text())["skipped"]
    assert [(one["path"], one["reason"]) for one in listed] == [(one.image, one.error) for one in result.skipped]
    [remark] = result.remarks
    assert "linnet drew" in remark
    assert "1 folder inside left out" in remark
    page = result.report.read_text(encoding="utf-8")
    assert page.index("1 folder inside left out; <code>--recursive</code> takes") < page.index("Thumbs.db")
    assert "`recursive`" not in page
    with pytest.raises(ImageError, match=r"no images.*`recursive` searches the 2 folders in it too"):
        run(tmp_path, tmp_path / "none")


def test_names_are_told_apart_within_each_folder(tmp_path):
    images = [tmp_path / name for name in ("x/a.png", "x/a.tif", "y/a.png")]
    named, failed = jobs(images, 2, [tmp_path / "x", tmp_path / "x", tmp_path / "y"])
    assert [job.stem.removeprefix(f"{tmp_path}/") for job in named] == ["x/a", "x/a-2", "y/a"]
    assert {job.page for job in named} == {2}
    assert failed == []
