"""Mask life: noted at changes only, told coarser when it is long, the same after a resume."""

import json

import pytest

from linnet.errors import BudgetError
from linnet.prune.training.history import MaskLife


def test_only_changes_are_noted():
    life = MaskLife(("a", "b"))
    for step, kept in enumerate([[8, 8], [8, 8], [8, 4], [8, 4], [8, 8]]):
        life.note(step, kept, {"macs": 0.5})
    assert (life.steps, life.kept) == ([0, 2, 4], [[8, 8], [8, 4], [8, 8]])


def test_a_long_life_keeps_its_first_steps_and_stays_small():
    life = MaskLife(("a",))
    for step in range(5000):
        life.note(step, [step], {})
    assert 200 <= len(life.steps) <= 400
    assert life.steps == sorted(life.steps)
    assert life.steps[0] == 0
    assert life.steps[-1] > 4900
    assert [row[0] for row in life.kept] == life.steps


def test_a_resumed_life_is_the_same():
    whole, first = MaskLife(("a",)), MaskLife(("a",))
    for step in range(900):
        whole.note(step, [step], {"macs": step})
    for step in range(450):
        first.note(step, [step], {"macs": step})
    second = MaskLife(("a",))
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    for step in range(450, 900):
        second.note(step, [step], {"macs": step})
    assert second == whole


def test_json_both_ways_and_no_other():
    life = MaskLife(("<b>",), [3], [[8]], [{"macs": 0.9}])
    assert MaskLife.from_json(life.to_json()) == life
    for text in ("", "[]", "{}", '{"names": [], "steps": [1], "kept": [], "used": []}'):
        with pytest.raises(BudgetError, match="`text`"):
            MaskLife.from_json(text)
