"""The tables of trained detectors, from records made by hand; and how a threshold and scores are found."""

import numpy as np
import pytest

from benchmarks.nuclei.rivals import subject
from benchmarks.nuclei.rivals.table import as_markdown, f1_table
from linnet.data import NucleusImage
from linnet.results import Record

COSTS = {"train_cpu_s": 60.4, "steps": 1234, "first_result_cpu_s": 71.0, "train_peak_mb": 1500, "file_mb": 0.71}


def f1(method, value, interval=None, reach="3px"):
    facts = {"group": "small_fluo", "radius_px": 3.21, "mosaics": 4}
    return Record(
        f"nuclei.rivals.f1.small_fluo.{reach}", value, n=7, interval=interval, level=0.95, method=method, context=facts
    )


def test_the_best_of_a_row_is_bold_and_a_tie_is_two():
    records = [f1("linnet.x1", 0.8, (0.7, 0.9)), f1("stardist.x1", 0.85), f1("stardist_short.x3", 0.8501)]
    records += [f1("linnet.x1", 0.9, reach="half_radius")]
    rows = f1_table(records).splitlines()
    assert rows[0] == (
        "| test images | F1 within | linnet, points | StarDist, outlines, its own settings "
        "| StarDist, outlines, smaller patches, 3x |"
    )
    assert rows[2] == "| small_fluo, n = 7 (4) | 3 px | 0.800 (0.70-0.90) | **0.850** | **0.850** |"
    assert rows[3] == "|  | half a radius (3.2 px) | **0.900** | - | - |"


def test_costs_stand_beside_what_was_trained_and_the_missing_are_named():
    records = [
        Record("nuclei.rivals.training", 60.4, method="stardist_short.x3", context=COSTS),
        Record("nuclei.rivals.rate", 0.912, method="stardist_short"),
        Record("nuclei.rivals.memory", 812.0, method="stardist_short"),
        Record("nuclei.rivals.training", 60.4, method="linnet.x1", context=COSTS),
        Record("nuclei.rivals.absent", None, method="cellpose", context={"reason": "no weights"}),
    ]
    told = as_markdown(records)
    costs = "60 | 1,234 | 71 | 1,500 MB | 812 MB | 0.71 MB | 0.91 MP per CPU s |"
    assert f"| StarDist, outlines, smaller patches, 3x | {costs}" in told
    assert "| linnet, points | 60 | 1,234 | 71 | 1,500 MB | - | 0.71 MB | - |" in told
    assert "\n- cellpose: no weights.\n" in told
    timed = [
        Record("nuclei.rivals.rate", 0.06, method="cellpose"),
        Record("nuclei.rivals.memory", 1349.0, method="cellpose"),
    ]
    row = "| Cellpose, its network alone, random weights | - | - | - | - | 1,349 MB | - | 0.06 MP per CPU s |"
    assert row in as_markdown([*records[:-1], *timed])
    assert row not in told
    assert told.endswith("- Spotiflow, points: not run yet.")
    assert told.count("not run yet") == 3


def image(name, split, points, mosaic="m"):
    sizes = np.full(len(points), 12.0)
    return NucleusImage(name, None, np.array(points, float).reshape(-1, 2), "small_fluo", mosaic, split, sizes)


def test_a_threshold_comes_from_validation_images_and_linnets_from_its_training():
    images = [image("v", "val", [(0, 0), (50, 50)]), image("t", "test", [(9, 9)])]
    found = {"v": np.array([[0, 1, 0.9], [50, 50, 0.6], [20, 20, 0.4]]), "t": np.array([[9, 9, 0.1]])}
    assert subject._threshold("stardist", images, found, [{}]) == pytest.approx(0.5)
    assert subject._threshold("linnet", images, found, [{"threshold": -1.5}]) == -1.5


def test_scores_at_every_radius_with_their_pictures():
    images = [image("t", "test", [(10, 10), (40, 40)], "p"), image("u", "test", [(10, 10)], "q")]
    points = {"t": np.array([[10.0, 14.0], [40.0, 40.0]]), "u": np.array([[10.0, 16.0]])}
    records = {r.name.rsplit(".", 1)[-1]: r for r in subject._scores("small_fluo", images, points, "linnet.x1")}
    assert {name: record.value for name, record in records.items()} == {
        "3px": pytest.approx(1 / 3),
        "5px": pytest.approx(2 / 3),
        "7px": 1.0,
        "half_radius": pytest.approx(1 / 3),  # 12 px across: 3 px
    }
    assert records["5px"].context["mosaics"] == 2
    assert records["half_radius"].context["radius_px"] == 3.0
    assert records["5px"].n == 2
    assert subject._scores("gray_tissue", [], points, "linnet.x1") == []
