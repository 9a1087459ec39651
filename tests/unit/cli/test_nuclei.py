"""`linnet nuclei detect | train | evaluate`: what is handed on, what is shown, and the exit code."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import linnet.nuclei
import linnet.nuclei.batch.batch
from linnet.cli.application import main
from linnet.nuclei.points.columns import Count
from linnet.nuclei.points.detections import Detections
from linnet.results import read_records


@pytest.fixture
def tables(tmp_path):
    truth, found = tmp_path / "truth.csv", tmp_path / "found.csv"
    truth.write_text("y,x\n0,0\n0,6\n")
    found.write_text("y,x\n0,4.5\n0,10.5\n")
    return truth, found


def test_evaluate_shows_the_scores_and_keeps_them_when_asked(tables, tmp_path, capsys):
    kept = tmp_path / "scores.jsonl"
    assert main(["nuclei", "evaluate", *map(str, tables), "--out", str(kept)]) == 0
    shown = capsys.readouterr().out
    assert "precision 1.000  recall 1.000  F1 1.000" in shown
    assert "distance of matched pairs 4.500 px" in shown
    assert shown.endswith(f"Result: {kept}\nNext:   linnet report {kept}\n")
    assert {record.name: record.value for record in read_records(kept)}["nuclei.f1"] == 1.0


def test_evaluate_takes_the_radius(tables, capsys):
    assert main(["nuclei", "evaluate", *map(str, tables), "--radius", "4"]) == 0
    assert "F1 0.500" in capsys.readouterr().out  # only (0, 6) and (0, 4.5) are nearer than 4 px


def test_evaluate_of_a_missing_file_is_one_message(tables, capsys):
    assert main(["nuclei", "evaluate", str(tables[0]), "nowhere.csv"]) == 2
    captured = capsys.readouterr()
    assert "nowhere.csv" in captured.err
    assert captured.out == ""


@pytest.fixture
def batch(monkeypatch):
    """The batch that was asked for; `failed` is what it answers."""
    asked = SimpleNamespace(calls=[], failed=())

    def detect(paths, out, **options):
        asked.calls.append((list(paths), out, options))
        found = Detections(np.zeros((2, 2)), np.ones(2), (8, 8), Count(2))
        done = tuple(linnet.nuclei.batch.batch.Done(Path(p), Path(p).stem, found) for p in ("a.tif",))
        return linnet.nuclei.batch.batch.BatchResult(out, done, asked.failed)

    monkeypatch.setattr(linnet.nuclei.batch.batch, "detect", detect)
    return asked


def test_detect_hands_every_option_on(batch, capsys):
    words = "nuclei detect a.tif b.tif -o found --format csv,json --tile 512 --page 1 --channel 2 --pixel-size 0.25"
    assert main([*words.split(), "--diameter", "40", "--threshold", "0.4", "--weights", "mine.st", "--no-overlay"]) == 0
    [(paths, out, options)] = batch.calls
    assert (paths, out) == ([Path("a.tif"), Path("b.tif")], Path("found"))
    assert options == {
        "weights": "mine.st",
        "formats": ("csv", "json"),
        "tile": 512,
        "page": 1,
        "channel": 2,
        "pixel_size_um": 0.25,
        "diameter_px": 40.0,
        "threshold": 0.4,
        "overlay": False,
    }
    assert "Result: found/report.html" in capsys.readouterr().out


def test_detect_without_out_takes_a_folder_of_its_own(batch, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "found").mkdir()
    assert main(["nuclei", "detect", "a.tif"]) == 0
    (tmp_path / "found" / "counts.csv").touch()
    assert main(["nuclei", "detect", "a.tif"]) == 0
    assert main(["nuclei", "detect", "a.tif", "--overwrite"]) == 0
    assert [str(call[1]) for call in batch.calls] == ["found", "found-2", "found"]
    assert [call[2].get("overwrite", False) for call in batch.calls] == [False, False, True]


def test_detect_without_images_is_refused(batch, capsys):
    assert main(["nuclei", "detect", "-o", "found"]) == 2
    assert "image" in capsys.readouterr().err
    assert batch.calls == []


@pytest.fixture
def training(monkeypatch, tmp_path):
    """The training that was asked for; two images with their points lie in `tmp_path`."""
    images, points = tmp_path / "images", tmp_path / "points"
    images.mkdir()
    points.mkdir()
    for name in "ab":
        Image.fromarray(np.zeros((8, 10), np.uint8)).save(images / f"{name}.png")
        (points / f"{name}.csv").write_text("y,x\n1,2\n")
    asked = []

    def train(pixels, truths, **options):
        asked.append((sorted(pixels), truths["b"].tolist(), options))
        options["folder"].mkdir()
        card = {"validation_f1": 0.875, "thresholds_from": "1 held-out images"}
        return SimpleNamespace(card=card, save=lambda path: path.write_bytes(b"weights"))

    monkeypatch.setattr(linnet.nuclei, "train", train)
    return asked, ["nuclei", "train", str(points), "--images", str(images), "--out", str(tmp_path / "mine.safetensors")]


def test_train_pairs_images_with_points_and_keeps_the_detector(training, tmp_path, capsys):
    asked, words = training
    assert main([*words, "--epochs", "3", "--rng-seed", "5", "--lr", "0.01"]) == 0
    [(names, points, options)] = asked
    assert (names, points) == (["a", "b"], [[1.0, 2.0]])
    assert (options["start"], options["epochs"], options["rng_seed"], options["lr"]) == ("default", 3, 5, 0.01)
    assert (tmp_path / "mine.safetensors").read_bytes() == b"weights"
    assert not options["folder"].exists()  # checkpoints are of no use any more
    shown = capsys.readouterr().out
    assert "2 images, 2 nuclei; F1 0.875 on 1 held-out images" in shown
    assert f"--weights {tmp_path / 'mine.safetensors'}" in shown


def test_train_from_scratch_starts_from_nothing(training):
    asked, words = training
    assert main([*words, "--start", "scratch", "--preset", "paper"]) == 0
    assert (asked[0][2]["start"], asked[0][2]["preset"]) == (None, "paper")


def test_train_refuses_an_unknown_preset(training, capsys):
    asked, words = training
    assert main([*words, "--preset", "large"]) == 2
    assert asked == []


def test_detect_lists_what_failed_and_exits_with_1(batch, capsys):
    batch.failed = (linnet.nuclei.batch.batch.Failure("b.tif", "it is empty. Give an image."),)
    assert main(["nuclei", "detect", "a.tif", "b.tif", "-o", "found"]) == 1
    shown = capsys.readouterr().out
    assert "2 nuclei in 1 image\n" in shown
    assert "1 failed (listed in failed.csv):\n  b.tif: it is empty. Give an image.\n" in shown


def test_view_prints_its_address_and_says_where_the_corrections_are(tmp_path, monkeypatch, capsys):
    from linnet.nuclei.view.server import ViewServer

    Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "a.png")
    out = linnet.nuclei.detect(tmp_path / "a.png", tmp_path / "found", progress=False).out
    monkeypatch.setattr(ViewServer, "serve_forever", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert main(["nuclei", "view", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "http://127.0.0.1:" in shown
    assert "/?token=" in shown
    assert f"Result: {out}\nNext:   linnet nuclei view {out}\n" in shown
    (out / "corrected").mkdir()
    assert main(["nuclei", "view", str(out)]) == 0
    assert f"Next:   linnet nuclei train {out / 'corrected'} --images" in capsys.readouterr().out


def test_view_of_no_results_and_of_a_bad_port_is_one_message(tmp_path, capsys):
    assert main(["nuclei", "view", str(tmp_path)]) == 2
    assert "holds no results" in capsys.readouterr().err
