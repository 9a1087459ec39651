"""The table of what each part of the detector brings."""

from benchmarks.nuclei.ablation import COLUMNS, RECIPE, SEARCHES, TRAININGS, as_markdown
from linnet.recipe import parse
from linnet.results import Record


def test_each_arm_changes_settings_that_the_recipe_has():
    plan = parse(RECIPE)
    for label, without in TRAININGS.values():
        changed = parse(RECIPE, overrides=without)
        assert (changed.settings() != plan.settings()) == bool(without), label


def test_an_arm_that_was_not_measured_has_no_row_and_a_missing_figure_is_a_dash():
    facts = {"context": {"label": TRAININGS["crowded"][0]}, "split": "validation"}
    records = [Record.measured("nuclei.ablation.crowded.validation", 0.8125, **facts)]
    table = as_markdown(records).splitlines()
    assert len(table) == 3
    assert table[2] == "| without drawn crowded tissue | 0.812 |" + " - |" * (len(COLUMNS) - 1)
    assert not set(TRAININGS) & set(SEARCHES)
