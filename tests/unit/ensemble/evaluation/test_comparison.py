"""Comparisons are paired by seed, and "better" is said only where the intervals exclude 0."""

import dataclasses

import numpy as np
import pytest

from linnet.ensemble import Report, compare
from linnet.errors import InputError
from linnet.results import t_interval


def report(seed, nll, accuracy=0.9, images=None, order="a"):
    samples = {} if images is None else {"clean": {"nll": np.asarray(images)}}
    return Report(
        {"clean": {"nll": nll, "accuracy": accuracy}}, {"clean": 10}, rng_seed=seed, samples=samples, order=order
    )


def reports(*values, accuracy=0.9):
    return [report(seed, value, accuracy) for seed, value in enumerate(values)]


def test_the_difference_is_paired_by_seed_not_by_place():
    base = reports(1.0, 2.0, 3.0, 4.0, 5.0)
    ours = reports(0.9, 1.8, 2.9, 3.8, 4.9)[::-1]
    (row, _) = compare({"ours": ours, "base": base}, "base").rows
    assert row.measure == "clean.nll"
    assert row.difference == pytest.approx(-0.14)
    assert row.interval == pytest.approx(t_interval([-0.1, -0.2, -0.1, -0.2, -0.1]))
    assert (row.verdict, row.n, row.bootstrap) == ("better", 5, None)


def test_better_is_said_only_where_the_interval_excludes_zero():
    base = reports(1.0, 1.0, 1.0, 1.0, 1.0)
    methods = {"base": base, "noise": reports(0.5, 0.9, 1.3, 0.8, 1.05), "worse": reports(1.2, 1.3, 1.2, 1.3, 1.2)}
    verdicts = {(row.method, row.measure): row.verdict for row in compare(methods, "base").rows}
    assert verdicts["noise", "clean.nll"] == "undecided"
    assert verdicts["worse", "clean.nll"] == "worse"
    assert verdicts["worse", "clean.accuracy"] == "undecided"
    higher = compare({"base": base, "up": reports(1, 1, 1, 1, 1, accuracy=0.95)}, "base", measures=["clean.accuracy"])
    assert [row.verdict for row in higher.rows] == ["better"]


def test_the_images_must_agree_too():
    generator = np.random.default_rng(0)
    seeds = range(5)
    base = [report(seed, 1.0, images=np.ones(40)) for seed in seeds]
    steady = [report(seed, 0.9, images=0.9 + 0.01 * generator.standard_normal(40)) for seed in seeds]
    few = np.ones(40)
    few[0] = -3.0  # one image makes the whole difference
    single = [report(seed, few.mean() + 1e-4 * seed, images=few) for seed in seeds]
    rows = {
        row.method: row
        for row in compare({"base": base, "steady": steady, "single": single}, "base").rows
        if row.measure == "clean.nll"
    }
    assert rows["steady"].verdict == "better"
    assert rows["steady"].bootstrap == pytest.approx((-0.1, -0.1), abs=0.01)
    assert rows["single"].interval[1] < 0
    assert rows["single"].bootstrap[1] == pytest.approx(0, abs=1e-6)
    assert rows["single"].verdict == "undecided"
    other = [dataclasses.replace(one, order="b") for one in single]
    assert next(iter(compare({"base": base, "single": other}, "base").rows)).bootstrap is None


def test_the_table_and_the_records_say_the_same():
    found = compare({"ours": reports(0.8, 0.7), "base": reports(1.0, 1.0)}, "base", level=0.9)
    table = found.to_markdown()
    assert "| ours | clean.nll | 0.7500 | 1.0000 | -0.2500 |" in table
    assert "90% interval" in table
    assert "Fewer than 5 seeds" in table
    record = found.records()[0]
    assert (record.name, record.value, record.n, record.level) == ("difference.clean.nll", -0.25, 2, 0.9)
    assert record.context["baseline"] == "base"


BASE = reports(1.0, 2.0)


@pytest.mark.parametrize(
    ("methods", "options", "said"),
    [
        ({"base": BASE}, {"baseline": "bse"}, "`baseline`.*Did you mean `base`"),
        ({"base": BASE, "a": BASE[:1]}, {}, r"same seeds.*\[0\].*\[0, 1\]"),
        ({"base": BASE[:1], "a": BASE[:1]}, {}, "at least 2 seeds"),
        ({"base": [*BASE, BASE[0]], "a": BASE}, {}, "twice"),
        ({"base": [dataclasses.replace(one, rng_seed=None) for one in BASE]}, {}, "rng_seed"),
        ({"base": BASE, "a": BASE}, {"measures": ["clean.nl"]}, "`measures`.*Did you mean `clean.nll`"),
        ({"base": BASE, "a": BASE}, {"level": 95}, "`level`"),
    ],
)
def test_bad_input_is_refused(methods, options, said):
    with pytest.raises(InputError, match=said):
        compare(methods, **({"baseline": "base"} | options))
