"""Rows with a goal: what is written where it is met and where it is missed."""

import pytest

from benchmarks.goal import as_markdown, bounded, missing, reached
from linnet.results import Record


@pytest.mark.parametrize(("value", "met"), [(0.9, "yes"), (0.95, "yes"), (0.89, "no: narrow layers")])
def test_a_figure_that_must_be_large_keeps_its_reason_only_where_it_is_not(value, met):
    row = reached("a", "used", value, least=0.9, goal=">= 0.9", beside="count", reason="narrow layers")
    assert as_markdown([row]).splitlines()[-1] == f"| used | count | >= 0.9 | {value:.3g} | {met} |"


@pytest.mark.parametrize(("value", "met"), [(0.94, "no"), (0.95, "yes"), (1.0, "yes"), (1.01, "no")])
def test_a_figure_may_have_both_ends(value, met):
    row = reached("a", "ratio", value, least=0.95, goal="0.95 to 1", beside="target", context={"bound": 1.0}, unit="x")
    assert as_markdown([row]).endswith(f"| {value:.3g} x | {met} |")


def test_an_extrapolation_meets_no_goal():
    row = reached("a", "time", 900.0, least=100, goal=">= 100x faster (extrapolated)", beside="peer", unit="x")
    assert as_markdown([row]).endswith("| 900 x | extrapolated |")


def test_other_rows_are_as_they_were():
    small = bounded("a", "error", 2.0, bound=1.0, goal="<= 1", beside="truth")
    none = missing("b", "time", goal=1.5, beside="peer", reason="not installed")
    free = Record("c", 3.0, context={"what": "seconds", "beside": "", "goal": "none"})
    rows = as_markdown([small, none, free]).splitlines()[2:]
    assert rows == [
        "| error | truth | <= 1 | 2 | no |",
        "| time | peer | <= 1.5x | not measured: not installed | |",
        "| seconds |  | none | 3 |  |",
    ]
