"""What records say: sources by validation, differences, curves, forgetting, and the rule."""

import pytest

from linnet.nuclei.transfer.report import tables
from linnet.nuclei.transfer.report.page import all_tables, html, markdown
from linnet.nuclei.transfer.report.worst import worst_pair
from linnet.nuclei.transfer.rule import derive_rule
from tests.unit.nuclei.transfer.made import findings, record

HITS = {"a": {"a": 9, "b": 7, "c": 2}, "b": {"a": 6, "b": 8, "c": 3}, "c": {"a": 1, "b": 2, "c": 9}}


def matrix():
    """Three groups, two seeds; b is the best source for a, a for b, b for c by validation."""
    return [
        record(
            "alone",
            {target: [hits, hits, hits] for target, hits in row.items()},
            validation={target: hits / 10 for target, hits in row.items()},
            group=source,
            seed=seed,
        )
        for source, row in HITS.items()
        for seed in (0, 1)
    ]


def shots(hits_by_k, **told):
    return [
        record("shots", {"a": [hits] * 3, "b": [5, 5, 5]}, group="a", k=k, seed=seed, rehearsal=False, **told)
        for k, hits in hits_by_k.items()
        for seed in (0, 1)
    ]


def test_the_matrix_its_best_sources_and_its_worst_pair():
    found = findings(matrix())
    assert found.cell("a", "b").mean == pytest.approx(0.7)
    assert [found.best_source(target) for target in "abc"] == ["b", "a", "b"]
    assert [found.best_source(target, alike=True) for target in "abc"] == ["b", "a", ""]
    assert found.own_less_best_other("a").mean == pytest.approx(0.3)
    assert worst_pair(found) == ("c", "a")
    table = tables.matrix_table(found, "px")
    assert table.rows[0] == [
        "a",
        "0.900 [0.900, 0.900], n = 3 x 2",
        "0.700 [0.700, 0.700], n = 3 x 2",
        table.rows[0][3],
    ]


def test_few_test_pictures_are_marked():
    assert tables.marked(findings([], pictures=1), "a") == "a (few)"
    assert tables.marked(findings([], pictures=2), "a") == "a"


def test_curves_begin_at_the_start_and_say_from_when_on_they_are_level():
    records = matrix() + shots({1: 7, 2: 9}, start="best", source="b") + shots({1: 5, 2: 6}, start="scratch")
    found = findings(records)
    assert {k: round(e.mean, 6) for k, e in found.curve("a", "best").items()} == {0: 0.6, 1: 0.7, 2: 0.9}
    assert found.level_from("a", "best") == 2
    assert found.level_from("a", "scratch") is None
    assert found.forgotten("a", "best", 2, rehearsal=False).mean == pytest.approx(-0.3)
    gains = {row[1]: row[2:] for row in tables.gain_table(found).rows}
    assert gains["the best other group"][1].startswith("+0.300")


def test_mixtures_are_held_against_the_target_alone():
    mixed = [record("mixture", {"a": [8] * 3, "b": [8] * 3, "c": [9] * 3}, weights="pooled", seed=s) for s in (0, 1)]
    found = findings(matrix() + mixed)
    rows = {row[0]: row[3:] for row in tables.mixture_table(found).rows}
    assert rows["a"] == ["-0.100 [-0.100, -0.100]", "worse"]
    assert rows["b"] == ["+0.000 [+0.000, +0.000]", "level"]


def curve_of(group, hits_by_k):
    own = [record("alone", {group: [9] * 3}, group=group, seed=0)]
    return own + [
        record("shots", {group: [h] * 3}, group=group, k=k, seed=0, rehearsal=False, start="mixture")
        for k, h in hits_by_k.items()
    ]


def test_a_rule_is_tried_on_groups_that_it_was_not_derived_from():
    good = [r for group in "abc" for r in curve_of(group, {1: 7, 2: 9})]
    rule = derive_rule(findings(good), "mixture")
    assert (rule.n, rule.holds) == (2, True)
    assert rule.sentence().startswith(
        "About 2 clicked image(s), begun from a mixture of other groups, give F1 within 0.02"
    )
    bad = [r for group in "ab" for r in curve_of(group, {1: 9, 2: 9})] + curve_of("c", {1: 7, 2: 9})
    rule = derive_rule(findings(bad), "mixture")
    assert (rule.n, rule.holds) == (2, False)  # a and b ask for one image, which doesn't do for c
    assert "it held on 2 of 3" in rule.sentence()
    assert "No rule can be derived" in derive_rule(findings(curve_of("a", {1: 9})), "mixture").sentence()


def test_the_page_and_the_markdown_hold_every_section(tmp_path):
    found = findings(matrix() + shots({1: 7, 2: 9}, start="best", source="b"))
    text, page = markdown(found), html(found, tmp_path, None)
    for title in [*all_tables(found), "A rule for users"]:
        assert f"## {title}" in text
        assert f">{title}<" in page
    assert page.count("<svg") == 2  # the heat map and the curves: no mixture was trained
    told = "6 of 6 of each group alone, 0 of 2 of mixtures, 0 of 6 of all other groups, 4 of 36 of few target images"
    assert f"10 of 50 trainings are finished: {told}." in text
