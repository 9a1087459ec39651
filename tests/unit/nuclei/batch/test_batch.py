import csv
import json
import logging
import re

import numpy as np
import pytest
import tifffile
from PIL import Image

from linnet.errors import ImageError, InputError
from linnet.nuclei.batch.batch import detect
from linnet.nuclei.batch.folder import free
from linnet.nuclei.batch.page import card
from linnet.nuclei.points.columns import Count
from linnet.nuclei.points.detections import Detections
from linnet.nuclei.read.find import find_images, stems
from tests.browser import console_messages
from tests.chromium import Chromium
from tests.unit.report.test_html_page import assert_self_contained


def bright_pixels(image, pixel_size_um=None, **_options):
    """Stands in for a detector: each pixel of 255 is a nucleus."""
    pixels = np.asarray(image[:, :])
    points = np.argwhere((pixels if pixels.ndim == 2 else pixels[..., 0]) == 255).astype(float)
    empty = not len(points)
    return Detections(
        points=points,
        score=np.linspace(0.3, 1, len(points)),
        shape=pixels.shape[:2],
        count=Count(len(points)),
        flag="look" if empty else "ok",
        flag_reasons=("nothing was found",) if empty else (),
        pixel_size_um=pixel_size_um,
    )


def spots(n, side=40):
    pixels = np.zeros((side, side), np.uint8)
    pixels.flat[np.arange(n) * 97 % pixels.size] = 255
    return pixels


def png(path, n=3):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(spots(n)).save(path)
    return path


def run(paths, out, **options):
    return detect(paths, out, **({"weights": bright_pixels, "progress": False} | options))


def rows(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


class TestFind:
    def test_files_folders_and_patterns_in_the_order_given_and_once(self, tmp_path):
        for name in ("b.png", "a.tif", "c.JPG", "notes.txt", ".hidden.png"):
            (tmp_path / name).touch()
        (tmp_path / "deeper").mkdir()
        (tmp_path / "deeper" / "d.png").touch()
        found, failures = find_images([tmp_path / "c.JPG", tmp_path, f"{tmp_path}/**/d.p*"])
        assert [p.name for p in found] == ["c.JPG", "a.tif", "b.png", "d.png"]
        assert failures == []

    def test_what_means_no_image_is_a_failure_beside_others(self, tmp_path):
        png(tmp_path / "a.png")
        (tmp_path / "empty").mkdir()
        found, failures = find_images([tmp_path / "empty", tmp_path / "a.png", f"{tmp_path}/*.czi"])
        assert [p.name for p in found] == ["a.png"]
        assert "images" in failures[0].error
        assert "pattern" in failures[1].error

    def test_no_image_at_all_is_an_error(self, tmp_path):
        (tmp_path / "notes.txt").touch()
        with pytest.raises(ImageError, match=r"images.*\.png"):
            find_images([tmp_path])
        with pytest.raises(ImageError, match=r"[Ii]mage"):
            find_images([])

    def test_a_name_with_brackets_is_a_file_when_it_exists(self, tmp_path):
        assert find_images([png(tmp_path / "a[1].png")])[0] == [tmp_path / "a[1].png"]

    def test_names_of_results_are_unique_on_every_disk(self, tmp_path):
        names = ["a/x.png", "b/X.tif", "c/x.ome.tif", "x-2.png", "counts.png", "report.tif", "y.1.png"]
        assert stems([tmp_path / n for n in names]) == ["x", "X-2", "x-3", "x-2-2", "counts-2", "report-2", "y.1"]


class TestDetect:
    def test_every_file_of_the_layout_is_there(self, tmp_path):
        tifffile.imwrite(tmp_path / "w.tif", spots(3), resolution=(20_000, 20_000), resolutionunit="centimeter")
        result = run([png(tmp_path / "v.png", 5), tmp_path / "w.tif"], tmp_path / "new" / "out")
        out = result.out
        assert sorted(p.name for p in out.iterdir()) == sorted(
            [f"{s}.{e}" for s in "vw" for e in ("csv", "geojson", "overlay.png")]
            + ["counts.csv", "failed.csv", "run.json", "report.html"]
        )
        assert result.nuclei == 8
        assert [d.stem for d in result.done] == ["v", "w"]
        assert rows(out / "counts.csv") == [
            ["image", "path", "count", "density_per_mm2", "flag"],
            ["v.png", str(tmp_path / "v.png"), "5", "", "ok"],
            ["w.tif", str(tmp_path / "w.tif"), "3", "7500.0", "ok"],
        ]
        assert rows(out / "w.csv")[2][:5] == ["2", "2.0", "17.0", "1.0", "8.5"]
        assert rows(out / "failed.csv") == [["image", "error"]]

    def test_it_goes_on_after_failures_and_lists_them(self, tmp_path):
        (tmp_path / "empty.png").touch()
        (tmp_path / "text.png").write_text("no image")
        tifffile.imwrite(tmp_path / "stack.tif", np.zeros((2, 9, 9), np.uint8), photometric="minisblack")
        png(tmp_path / "z.png")
        result = run([tmp_path, tmp_path / "gone.png"], tmp_path / "out")
        assert [d.image.name for d in result.done] == ["z.png"]
        assert [f.image.rpartition("/")[2] for f in result.failed] == ["empty.png", "stack.tif", "text.png", "gone.png"]
        listed = rows(tmp_path / "out" / "failed.csv")
        assert listed[1][0] == str(tmp_path / "empty.png")
        assert "0 bytes" in listed[1][1]
        assert "file" in listed[4][1]
        page = result.report.read_text(encoding="utf-8")
        assert "--page N" in page
        assert sorted(p.name for p in (tmp_path / "out").glob("*.csv")) == ["counts.csv", "failed.csv", "z.csv"]

    def test_a_link_that_leads_nowhere_is_a_failure_with_a_name(self, tmp_path):
        png(tmp_path / "a.png")
        (tmp_path / "b.png").symlink_to(tmp_path / "gone" / "b.png")
        result = run(tmp_path, tmp_path / "out")
        assert [d.stem for d in result.done] == ["a"]
        [failure] = result.failed
        assert failure.image == str(tmp_path / "b.png")
        assert f"leads to {tmp_path / 'gone' / 'b.png'}" in failure.error

    def test_all_failed_still_leaves_the_lists(self, tmp_path):
        (tmp_path / "empty.png").touch()
        result = run(tmp_path / "empty.png", tmp_path / "out")
        assert (len(result.done), len(result.failed)) == (0, 1)
        assert "0 nuclei in 0 images" in result.report.read_text(encoding="utf-8")

    def test_two_inputs_of_one_name(self, tmp_path):
        result = run([png(tmp_path / "a" / "x.png", 1), png(tmp_path / "b" / "x.png", 2)], tmp_path / "out")
        assert [len(rows(result.out / f"{s}.csv")) - 1 for s in ("x", "x-2")] == [1, 2]

    def test_options_reach_the_detector_and_the_reader(self, tmp_path):
        seen = []

        def spy(image, pixel_size_um=None, **options):
            seen.append((np.asarray(image[:, :]).shape, pixel_size_um, options.pop("on_tile") is not None, options))
            return bright_pixels(image, pixel_size_um)

        tifffile.imwrite(
            tmp_path / "a.tif", np.zeros((2, 3, 8, 9), np.uint8), metadata={"axes": "ZCYX"}, photometric="minisblack"
        )
        run(
            tmp_path / "a.tif",
            tmp_path / "out",
            weights=spy,
            page=1,
            channel=2,
            pixel_size_um=0.25,
            diameter_px=12,
            threshold=0.4,
            tile=512,
        )
        assert seen == [((8, 9), 0.25, True, {"diameter_px": 12, "tile": 512, "threshold": 0.4})]

    def test_formats_and_no_overlay(self, tmp_path):
        run(png(tmp_path / "a.png"), tmp_path / "out", formats=("json",), overlay=False)
        assert sorted(p.name for p in (tmp_path / "out").glob("a.*")) == ["a.json"]
        with pytest.raises(InputError, match=r"`formats`.*geojson"):
            run(tmp_path / "a.png", tmp_path / "none", formats=("xlsx",))
        assert not (tmp_path / "none").exists()

    def test_a_wrong_option_stops_at_once(self, tmp_path):
        def refuse(*_, **__):
            raise InputError("The threshold is 7")

        with pytest.raises(InputError, match="The threshold is 7"):
            run([png(tmp_path / "a.png"), png(tmp_path / "b.png")], tmp_path / "out", weights=refuse)

    def test_a_detector_that_breaks_on_one_image_is_noted_and_logged(self, tmp_path, caplog):
        def breaks(image, pixel_size_um=None, **_):
            if np.asarray(image[:, :]).sum() > 255:
                raise RuntimeError("out of memory <here>")
            return bright_pixels(image, pixel_size_um)

        with caplog.at_level(logging.WARNING, logger="linnet"):
            result = run([png(tmp_path / "a.png", 2), png(tmp_path / "b.png", 1)], tmp_path / "out", weights=breaks)
        assert result.failed[0].error == "RuntimeError: out of memory <here>"
        assert [d.stem for d in result.done] == ["b"]
        assert "out of memory" in caplog.text
        assert "out of memory &lt;here&gt;" in result.report.read_text(encoding="utf-8")

    def test_stopped_by_hand_it_lists_what_it_has(self, tmp_path):
        calls = []

        def stops(image, pixel_size_um=None, **_):
            calls.append(1)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return bright_pixels(image, pixel_size_um)

        images = [png(tmp_path / f"{n}.png") for n in "abc"]
        with pytest.raises(KeyboardInterrupt, match=r"\b1 of 3"):
            run(images, tmp_path / "out", weights=stops)
        assert [r[0] for r in rows(tmp_path / "out" / "counts.csv")] == ["image", "a.png"]
        assert (tmp_path / "out" / "report.html").exists()
        assert not [p for p in (tmp_path / "out").iterdir() if p.name.startswith((".", "b", "c."))]

    def test_a_file_in_the_way_of_the_folder(self, tmp_path):
        (tmp_path / "out").touch()
        for out in (tmp_path / "out", tmp_path / "out" / "deeper"):
            with pytest.raises(InputError, match="folder"):
                run(png(tmp_path / "a.png"), out)

    def test_reproducible_output_is_the_same_to_the_byte(self, tmp_path):
        png(tmp_path / "a.png")
        contents = []
        for name in ("one", "two"):
            out = run(tmp_path / "a.png", tmp_path / name, reproducible=True).out
            contents.append({p.name: p.read_bytes() for p in out.iterdir()})
        assert contents[0] == contents[1]
        assert "time" not in json.loads(contents[0]["run.json"])
        dated = run(tmp_path / "a.png", tmp_path / "three").out
        assert re.search(r'<time datetime="20\d\d-', (dated / "report.html").read_text(encoding="utf-8"))
        assert json.loads((dated / "run.json").read_text())["options"]["formats"] == ["csv", "geojson"]

    def test_hostile_names_are_escaped(self, tmp_path):
        name = "<img src=x onerror=alert(1)>&\"'#?%.png"
        png(tmp_path / name)
        result = run(tmp_path / name, tmp_path / "out")
        page = result.report.read_text(encoding="utf-8")
        assert "<img src=x" not in page
        assert_self_contained(page)
        json.loads(next(result.out.glob("*.geojson")).read_text())
        assert rows(result.out / "counts.csv")[1][0] == name
        assert "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E%26%22%27%23%3F%25.csv" in page

    def test_own_outputs_are_never_images(self, tmp_path):
        run([png(tmp_path / "in" / "a.png"), png(tmp_path / "in" / "b.png")], tmp_path / "in")
        pictures = sorted(p.name for p in (tmp_path / "in").glob("*.png"))
        assert pictures == ["a.overlay.png", "a.png", "b.overlay.png", "b.png"]
        for again in (tmp_path / "in", f"{tmp_path}/in/*.png"):
            assert [p.name for p in find_images([again])[0]] == ["a.png", "b.png"]
        (tmp_path / "in" / "a.overlay.png").rename(tmp_path / "renamed.png")
        result = run([tmp_path / "renamed.png", tmp_path / "in" / "a.png"], tmp_path / "out")
        assert [d.stem for d in result.done] == ["a"]
        assert "linnet drew" in result.failed[0].error
        png(tmp_path / "mine" / "x.overlay.png")  # a name alone makes no result
        assert [p.name for p in find_images([tmp_path / "mine"])[0]] == ["x.overlay.png"]

    def test_a_folder_of_another_run_is_refused_or_cleared(self, tmp_path):
        images = [png(tmp_path / f"{n}.png") for n in "ab"]
        out = run(images, tmp_path / "out").out
        (out / "notes.txt").write_text("mine")
        before = {p.name: p.read_bytes() for p in out.iterdir()}
        with pytest.raises(InputError, match=r"another run.*out-2.*`overwrite`"):
            run(images[:1], out)
        assert {p.name: p.read_bytes() for p in out.iterdir()} == before
        run(images[:1], out, overwrite=True)
        assert sorted(p.name for p in out.iterdir()) == sorted(set(before) - {"b.csv", "b.geojson", "b.overlay.png"})
        assert free(out) == tmp_path / "out-2"
        (tmp_path / "out-2").touch()
        assert free(out) == tmp_path / "out-3"

    def test_a_broken_list_clears_only_what_is_about_the_batch(self, tmp_path):
        out = run(png(tmp_path / "a.png"), tmp_path / "out").out
        (out / "run.json").write_text('{"files": ["../a.png", 3]}')
        run(png(tmp_path / "b.png"), out, overwrite=True)
        assert (tmp_path / "a.png").exists()
        assert (out / "a.csv").exists()


class TestPage:
    def test_the_worst_are_first_and_all_are_linked(self, tmp_path):
        images = [png(tmp_path / "fine.png", 4), png(tmp_path / "void.png", 0)]
        page = run(images, tmp_path / "out").report.read_text(encoding="utf-8")
        assert page.index('class="name">void.png') < page.index('class="name">fine.png')
        assert "look at it" in page
        assert "nothing was found" in page
        assert "One image needs a person" in page
        for stem in ("fine", "void"):
            for ending in ("csv", "geojson", "overlay.png"):
                assert f'<a href="{stem}.{ending}">{ending}</a>' in page
        assert_self_contained(page)

    def test_more_than_a_plate_keeps_the_worst_and_points_to_the_table(self, tmp_path, monkeypatch):
        monkeypatch.setattr("linnet.nuclei.batch.page.MOST_PICTURES", 6)
        monkeypatch.setattr("linnet.nuclei.batch.page.KEPT", 3)
        monkeypatch.setattr("linnet.nuclei.batch.batch.MOST_PICTURES", 6)
        monkeypatch.setattr("linnet.nuclei.batch.batch.KEPT", 3)
        images = [png(tmp_path / f"{n:02}.png", 0 if n in (2, 9) else n) for n in range(1, 12)]
        result = run(images, tmp_path / "out", overlay=False)
        page = result.report.read_text(encoding="utf-8")
        assert re.findall(r'class="name">(\d\d)\.png', page) == ["02", "09", "01"]
        assert page.count("<image ") == 3
        assert "The 3 worst of 11 pictures are shown" in page
        assert len(rows(result.out / "counts.csv")) == 12
        assert f"{result.nuclei} nuclei in 11 images" in page

    @pytest.mark.slow
    def test_it_opens_in_a_browser_without_a_word_on_the_console(self, tmp_path):
        shots = []
        images = [png(tmp_path / "a <b>.png", 30), png(tmp_path / "c.png", 0)]
        (tmp_path / "bad.png").touch()
        result = run([*images, tmp_path / "bad.png"], tmp_path / "out")
        for dark in (False, True):
            shots.append(tmp_path / f"{dark}.png")
            assert console_messages(result.report, tmp_path, screenshot=shots[-1], dark=dark) == []
        light, dark = (np.asarray(Image.open(s).convert("L")).astype(float) for s in shots)
        assert light[5, 5] > 240 > 40 > dark[5, 5]

    @pytest.mark.parametrize(("of", "budget"), [(1, 1.5e6), (100, 25e6 / 100), (384, 25e6 / 384), (10_000, 25e6 / 100)])
    def test_a_plate_stays_light_whatever_is_in_its_pictures(self, of, budget):
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 256, (900, 1000), dtype=np.uint8)
        crowd = Detections(rng.uniform(0, 900, (30_000, 2)), rng.random(30_000), (900, 1000), Count(30_000))
        assert len(card("a.png", "a", noise, crowd, of=of, key=1).picture) < budget

    def test_flags_come_first_and_histograms_stand_above_the_counts(self, tmp_path):
        images = [png(tmp_path / f"{n}.png", n) for n in (5, 4, 3, 2, 0)]
        page = run(images, tmp_path / "out").report.read_text(encoding="utf-8")
        titles = re.findall(r"<h2[^>]*>([^<]+)</h2>", page)
        assert titles[:4] == ["In short", "Look at these", "Pictures", "Counts"]
        assert page.index("nothing was found") < page.index("<figure")
        assert page.count('class="spread"') == 3
        assert "Nuclei in an image" in page

    def test_a_slide_is_a_picture_to_zoom_and_the_page_stays_light(self, tmp_path):
        slide = np.random.default_rng(0).integers(0, 250, (2200, 2600), dtype=np.uint8)
        slide[::200, ::200] = 255
        Image.fromarray(slide).save(tmp_path / "slide.png")
        result = run([tmp_path / "slide.png", png(tmp_path / "small.png")], tmp_path / "out", overlay=False)
        page = result.report.read_text(encoding="utf-8")
        assert page.count('class="zoom"') == 1
        assert re.findall(r"for=\"zoom-1-\d\">(\d+)%", page) == ["39", "79", "100"]
        assert len(page) < 25e6
        assert_self_contained(page)

    def test_tables_fit_a_narrow_screen(self, tmp_path):
        (tmp_path / "broken.png").write_text("no image")
        name = "a_rather_long_name_of_a_plate_and_a_well_2026-11-30_channel_0.png"
        result = run([png(tmp_path / name), png(tmp_path / "e.png", 0), tmp_path / "broken.png"], tmp_path / "out")
        with Chromium(tmp_path, size=(400, 800)) as browser:
            browser.open(result.report.resolve().as_uri())
            browser.until("document.querySelectorAll('.scroll').length === 3")
            assert browser.value("document.documentElement.scrollWidth") <= 400
            wide = "[...document.querySelectorAll('.scroll')].filter((e) => e.scrollWidth > e.clientWidth).length"
            assert browser.value(wide) == 0
            assert browser.console == []
