"""What docs/natural.md says is what the records say."""

from benchmarks.natural import page as natural_page
from benchmarks.time_to_target import defaults, robustness, wrong_labels
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


def test_every_rival_trained_with_its_defaults_on_every_problem():
    records = read_records(natural_page.DEFAULTS)
    runs = [(r.context["problem"], r.method, r.rng_seed) for r in records if r.name == "natural.defaults"]
    assert len(set(runs)) == len(runs)
    for problem in defaults.TITLES:
        for name in set(defaults.RIVALS) - {"kfac_005"}:
            assert sum(run[:2] == (problem, name) for run in runs) >= 2, (problem, name)


def test_every_approximation_was_tried_with_every_share_of_wrong_labels():
    found = [(r.method, r.context["share"]) for r in read_records(natural_page.WRONG)]
    assert sorted(found) == sorted(wrong_labels.runs())


def test_labels_that_are_wrong_leave_none_but_tridiagonal_behind_adams_best_of_three_rates():
    ends = {(r.method, r.context["share"]): r.value for r in read_records(natural_page.WRONG)}
    for share in wrong_labels.SHARES:
        best = min(ends[f"adam {lr:g}", share] for lr in wrong_labels.ADAM)
        assert all(ends[approx, share] <= best for approx in wrong_labels.OURS if approx != "tridiagonal")
