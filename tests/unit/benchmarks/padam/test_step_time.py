"""What the benchmark of Padam measures on, and how it reads its times."""

import math

import pytest

from benchmarks.padam.step_time import _goals, _step, shapes, timed
from benchmarks.padam.subject import as_markdown


def test_models_have_the_sizes_that_the_table_names():
    sizes = {model: shapes(model) for model in ("tiny", "many", "resnet18", "large")}
    counts = {model: (len(found), sum(math.prod(shape) for shape in found)) for model, found in sizes.items()}
    assert counts == {
        "tiny": (20, 60_000),
        "many": (200, 1_000_000),
        "resnet18": (62, 11_181_642),
        "large": (10, 30_000_000),
    }


def test_a_step_is_a_multiple_of_nine_words_at_the_streams_speed():
    seconds = {"stream": [1.0, 1.0, 2.0], "Padam loop": [6.0, 6.0, 12.0], "Padam blocked": [9.0, 9.0, 18.0]}
    record = _step("tiny", 0.125, "Padam loop", seconds)
    assert record.value == 2.0
    goals = {record.context["beside"]: record for record in _goals("tiny", 0.125, seconds)}
    assert goals["Padam loop"].value == pytest.approx(1.5)
    assert "reason" in goals["Padam loop"].context
    assert "| 2.00 | 2.00 to 2.00 |" in as_markdown([record])


@pytest.mark.filterwarnings("ignore")
def test_ways_take_turns_and_a_missing_one_says_why():
    seconds, skipped = timed("tiny", 0.125, rounds=3, compiling=False)
    assert {len(times) for times in seconds.values()} == {3}
    assert "Padam compiled" in skipped
    assert not seconds.keys() & skipped.keys()
