"""What docs/natural.md says is what the records say."""

from benchmarks.natural import page as natural_page
from benchmarks.time_to_target import robustness
from benchmarks.time_to_target.problems import SCALES
from benchmarks.time_to_target.rivals import RANGES
from linnet.results import read_records
from papers.study import finished_trials


def test_the_page_is_that_of_the_records():
    assert natural_page.PAGE.current() == natural_page.text()


def test_every_missed_goal_has_a_reason():
    for record in read_records(natural_page.SPEED):
        if "bound" in record.context and record.value > record.context["bound"]:
            assert record.context["reason"], record.name


def test_the_study_is_whole():
    finished = finished_trials(natural_page.STUDY)
    for problem, scale in SCALES["cpu"].items():
        for name in RANGES:
            runs = [r for r in finished.values() if (r.method, r.context["problem"]) == (name, problem)]
            stages = [r.context["stage"] for r in runs]
            assert (stages.count("tune"), stages.count("final")) == (scale.draws, scale.seeds), (problem, name)
            assert len({r.context["settings"] for r in runs if r.context["stage"] == "final"}) == 1


def test_the_trial_of_rates_is_whole():
    keys = ("method", "lr", "damping")
    found = [tuple(record.context.get(key) for key in keys) for record in read_records(natural_page.ROBUST)]
    assert sorted(map(str, found)) == sorted(str(tuple(run.get(key) for key in keys)) for run in robustness.runs())


def test_every_rival_was_timed():
    timed = {(r.context["problem"], r.method) for r in read_records(natural_page.TIMES)}
    assert timed == {(problem, name) for problem in SCALES["cpu"] for name in RANGES}
