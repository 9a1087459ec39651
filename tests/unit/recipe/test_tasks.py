from importlib.metadata import EntryPoint

import pytest

from linnet.errors import RecipeError
from linnet.recipe import find_task, tasks
from linnet.recipe.classify import TASK


@pytest.fixture
def offered(monkeypatch):
    """Lets packages offer these tasks, {name: where}."""

    def offer(places):
        points = [EntryPoint(name, where, tasks.GROUP) for name, where in places.items()]
        monkeypatch.setattr(tasks, "entry_points", lambda group: points if group == tasks.GROUP else [])

    return offer


def test_a_task_is_found_by_name_and_only_that_one_is_imported(offered):
    offered({"classify": "linnet.recipe.classify:TASK", "broken": "no.such.module:TASK"})
    assert find_task("classify") is TASK
    assert list(tasks.installed()) == ["broken", "classify"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("clasify", r'"clasify".*[Dd]id you mean "classify".*"gone", "wrong"'),
        ("zzz", r'"zzz".*"classify"'),
        ("gone", r'"gone".*no\.such\.module:TASK.*No module named'),
        ("wrong", r'"wrong".*linnet\.recipe\.classify:Parts.*RecipeTask'),
    ],
)
def test_what_is_no_task_is_refused_with_what_there_is(offered, name, said):
    offered(
        {
            "classify": "linnet.recipe.classify:TASK",
            "wrong": "linnet.recipe.classify:Parts",
            "gone": "no.such.module:TASK",
        }
    )
    with pytest.raises(RecipeError, match=said):
        find_task(name)


def test_without_an_installation_it_says_so(offered):
    offered({})
    with pytest.raises(RecipeError, match=r"pip install \."):
        find_task("classify")
