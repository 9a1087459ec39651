"""What `linnet nuclei evaluate` shows and keeps."""

import numpy as np
import pytest

from linnet.cli.scores import score_lines, score_records
from linnet.nuclei.scoring.scores import evaluate

TRUTH = {"good": np.array([[0.0, 0.0], [0.0, 20.0]]), "bad": np.array([[5.0, 5.0]]), "empty": np.zeros((0, 2))}
FOUND = {"good": np.array([[0.0, 3.0], [0.0, 21.0]]), "bad": np.array([[50.0, 50.0], [60.0, 60.0]])}


@pytest.fixture
def result():
    return evaluate(TRUTH, FOUND)


def test_the_worst_image_stands_first_and_undefined_is_a_dash(result):
    lines = list(score_lines(result))
    assert lines[0].split() == ["image", "true", "found", "matched", "precision", "recall", "F1", "difference"]
    assert lines[1].split() == ["bad", "1", "2", "0", "0.000", "0.000", "0.000", "+1"]
    assert lines[2].split() == ["good", "2", "2", "2", "1.000", "1.000", "1.000", "+0"]
    assert lines[3].split() == ["empty", "0", "0", "0", "-", "-", "-", "+0"]


def test_the_pooled_scores_stand_last(result):
    text = "\n".join(score_lines(result))
    assert "in all, 3 images, radius 5 px" in text
    assert "precision 0.500  recall 0.667  F1 0.571" in text
    assert "distance of matched pairs 2.000 px, SD 1.000" in text
    assert "|found - true| per image 0.3, SD 0.5" in text


def test_a_long_list_is_cut_on_the_terminal_only():
    truth = {f"{k:03}": np.array([[0.0, 0.0]]) for k in range(30)}
    result = evaluate(truth, truth)
    assert "... and 10 more images with an F1 at least as high" in list(score_lines(result))
    assert len([r for r in score_records(result) if r.name == "nuclei.image_f1"]) == 30


def test_records_hold_the_same_numbers(result):
    records = {record.name: record for record in score_records(result) if record.name != "nuclei.image_f1"}
    assert records["nuclei.f1"].value == pytest.approx(4 / 7)
    assert records["nuclei.f1"].context["fp"] == 2
    assert records["nuclei.distance_sd_px"].value == pytest.approx(1.0)
