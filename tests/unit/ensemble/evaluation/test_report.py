"""A report as a table, records and a picture."""

import pytest
from PIL import Image
from torch import nn

from linnet.ensemble import evaluate
from linnet.errors import InputError
from linnet.results import share_interval
from tests.unit.ensemble.evaluation.members import Noisy, answers

X, Y = answers()
REPORT = evaluate(
    Noisy(), (X, Y), {"fog/1": (X / 2, Y), "fog/2": (X / 3, Y)}, X * 0.1, answers(seed=1), method="noisy", rng_seed=1
)


def test_the_table_has_a_row_for_each_measure():
    lines = REPORT.to_markdown().splitlines()
    assert lines[0] == "| noisy | clean | shifted | ood |"
    accuracy = REPORT.metrics["clean"]["accuracy"], REPORT.metrics["shifted"]["accuracy"]
    assert f"| accuracy | {accuracy[0]:.4f} | {accuracy[1]:.4f} | - |" in lines
    assert lines[-1] == "| n | 200 | 400 | 200 |"
    assert "shifted/fog/2" in REPORT.to_markdown(each_shift=True)


def test_every_measure_is_a_record_with_its_interval():
    found = {record.name: record for record in REPORT.records(facts={"split": "test", "context": {"set": "x"}})}
    accuracy = found["clean.accuracy"]
    hits = round(REPORT.metrics["clean"]["accuracy"] * 200)
    assert accuracy.interval == pytest.approx(share_interval(hits, 200))
    assert (accuracy.method, accuracy.rng_seed, accuracy.split, accuracy.n) == ("noisy", 1, "test", 200)
    assert accuracy.context["members"] == 3
    assert accuracy.context["set"] == "x"
    assert found["clean.nll"].unit == "nat"
    low, high = found["clean.ece_debiased"].interval
    assert low <= found["clean.ece_debiased"].value <= high
    assert found["shifted/fog/1.ece"].value == REPORT.metrics["shifted/fog/1"]["ece"]
    assert found["ood.auroc_entropy"].value == REPORT.metrics["ood"]["auroc_entropy"]
    bins = [record for record in REPORT.records() if record.name == "reliability"]
    assert sum(record.n for record in bins) == 200


def test_the_picture_is_drawn_and_a_regression_has_none(tmp_path):
    path = REPORT.plot(tmp_path / "report.png")
    with Image.open(path) as picture:
        assert picture.size == (1248, 988)
        assert len(picture.convert("RGB").getcolors(2**20) or ()) > 50
    values = evaluate(nn.Identity(), (X, X + 1), task="regression")
    with pytest.raises(InputError, match="classifier"):
        values.plot(tmp_path / "other.png")
    assert not (tmp_path / "other.png").exists()
