"""The study of Padam: its smallest scale runs to tables, its plan spends equal budgets, its rule is a line."""

import math
from functools import cache
from types import MappingProxyType

import pytest

from linnet.results import Record, read_records
from papers.chen2020_padam import plan
from papers.chen2020_padam.optimizers import ROWS, half_decades
from papers.chen2020_padam.plan import next_trials
from papers.chen2020_padam.report import pictures, readme, tables
from papers.chen2020_padam.report.abstract import claims
from papers.chen2020_padam.report.findings import difference, epochs_to_reach, results
from papers.chen2020_padam.report.learning_rate import accuracies, fit_rule, ridge, rule_on_second
from papers.chen2020_padam.run import main
from papers.chen2020_padam.scales import SCALES
from papers.study import finished_trials

CPU = SCALES["cpu"]
GOLDEN = {0.0: 3.0, 1 / 16: 2.0, 1 / 8: 1.0, 1 / 4: 0.1, 1 / 2: 0.01}  # best learning rates of the made-up runs


def made_up(trial, *, best=None, bad_row=None):
    """A record without a training: accuracy falls with the decades to a best learning rate, in the grid by default."""
    settings = trial.settings
    if trial.stage == "joins":
        return record(trial, 1e-15, n=200)
    if trial.stage.endswith("gradient scale"):
        return record(trial, 0.5, gradient_scale=0.01)
    inside = ROWS[settings["row"]].grid["lr"][2]
    peak = GOLDEN[settings["p"]] if "p" in settings else best or inside
    value = 0.9 - 0.02 * math.log10(settings["lr"] / peak) ** 2 - 0.001 * (settings.get("weight_decay", 0) > 1e-3)
    value += 0.001 * settings["seed"] - (0.05 if settings["row"] == bad_row else 0)
    value -= 0.001 * abs(math.log10(settings.get("eps", 1e-3) / 1e-3))
    extra = {"curve": f"0.5 {value - 0.1} {value}", "loss_curve": "1.0 0.5 0.25", "validation_nll": 0.3, "wall_s": 2.0}
    if trial.stage == "final":
        extra |= {"test_accuracy": value - 0.01, "test_nll": 0.35}
    if trial.stage == "map":
        extra |= {"rate_low": 1.0, "rate_median": 2.0, "rate_high": 1.0 + 100 * settings["p"]}
    return record(trial, value, **extra)


def record(trial, value, n=2000, **extra):
    context = {"trial": trial.key, "stage": trial.stage, **trial.settings, **extra}
    return Record("made up", value, n=n, rng_seed=trial.settings["seed"], context=context, machine="m", commit="c")


@cache
def carried_out(limit=10**6, **options):
    """All records of a study whose runs are made up, in the order in which they were asked for."""
    finished = {}
    while left := [trial for trial in next_trials(finished, CPU) if trial.key not in finished]:
        same_stage = [trial for trial in left if trial.stage == left[0].stage]
        for trial in same_stage[: limit - len(finished)]:
            finished[trial.key] = made_up(trial, **options)
        if len(finished) == limit:
            break
    return MappingProxyType(finished)


def test_every_optimizer_has_twelve_trials_and_printed_grids():
    for key, row in ROWS.items():
        sizes = [len(values) for values in row.grid.values()]
        assert math.prod(sizes) == 12, key
        assert all(list(values) == sorted(set(values)) for values in row.grid.values())
    assert half_decades(0.01, 4) == (0.01, 0.032, 0.1, 0.32)


def test_without_an_edge_the_budget_is_twelve_and_seeds_are_paired():
    finished = carried_out(best=1.0)
    found = results(finished, CPU)
    # The best learning rate 1 lies inside the grids of SGD and Padam and on the edge of Adam's: all grids grow.
    assert plan.extensions_done(finished, CPU) == 2
    assert {result.trials for result in found.values()} == {16}
    assert {tuple(result.runs) for result in found.values()} == {(1, 2, 3, 4, 5)}
    assert found["sgdm"].best == {"lr": 1.0, "weight_decay": 0.0001}
    assert found["sgdm"].edges == ()
    assert found["adam"].edges == ("lr",)
    assert max(found["adam"].axes["lr"]) == pytest.approx(1.0, rel=0.1)


def test_grids_that_hold_their_best_values_do_not_grow():
    finished = carried_out()
    assert plan.extensions_done(finished, CPU) == 0
    assert {result.trials for result in results(finished, CPU).values()} == {12}


def test_what_is_cut_first_is_the_second_set_then_the_map_and_seeds_last():
    stages = [record.context["stage"] for record in carried_out().values()]
    order = list(dict.fromkeys(stages))
    assert order == ["joins", "gradient scale", "tune", "final", "map", "second gradient scale", "second map"]
    seeds = [r.context["seed"] for r in carried_out().values() if r.context["stage"] == "final"]
    assert seeds == sorted(seeds)
    assert stages.count("map") == 30


def test_differences_and_verdicts_follow_from_the_runs():
    finished = carried_out(bad_row="adam")
    found = results(finished, CPU)
    pair = difference(found["adam"], found["sgdm"])
    assert pair.n == 5
    assert pair.interval[1] < -0.04
    said = {claim.claim: claim.verdict for claim in claims(finished, found)}
    assert [verdict for claim, verdict in said.items() if "Adam is over-adapted" in claim] == ["holds"]
    assert [verdict for claim, verdict in said.items() if claim.startswith("(2)")] == ["holds"]
    assert [verdict for claim, verdict in said.items() if claim.startswith("(3)")] == ["not tested"]
    goal = found["sgdm"].runs[1].value
    assert epochs_to_reach(found["sgdm"], goal) == 3
    assert epochs_to_reach(found["adam"], goal) == math.inf


def test_a_diverged_run_is_no_choice_and_is_counted():
    finished = dict(carried_out())
    best = plan.chosen("sgdm", finished, CPU, 0)
    finished[best.context["trial"]] = Record("x", None, rng_seed=0, context=dict(best.context) | {"diverged": True})
    assert plan.chosen("sgdm", finished, CPU, 0).context["trial"] != best.context["trial"]
    assert results(finished, CPU)["sgdm"].diverged == 1


def test_the_ridge_is_found_between_the_points_of_the_map_and_the_rule_is_its_line():
    finished = carried_out()
    peaks = ridge(accuracies(finished, CPU))
    assert [peak.p for peak in peaks] == list(CPU.map_p)
    for peak in peaks:
        assert peak.lr == pytest.approx(GOLDEN[peak.p], rel=1e-6)  # the made-up accuracies are parabolas
    rule = fit_rule(peaks[:1] + peaks[-1:])
    assert (rule.lr_half, rule.r) == pytest.approx((0.01, 300.0))
    [eighth, quarter] = rule_on_second(finished, CPU)
    assert (eighth.found, quarter.found) == pytest.approx((1.0, 0.1))
    assert eighth.predicted == pytest.approx(0.01 * 100**0.75)
    assert quarter.factor == pytest.approx(1.0)
    assert eighth.factor == pytest.approx(1 / 0.3162, rel=1e-3)


def test_the_page_tells_what_was_cut():
    text = readme.text(carried_out(limit=200), CPU)
    cut = "cut: 72 runs of final, map, second gradient scale, second map and what follows from them"
    assert f"| scale `cpu` | {cut} |" in text  # 23 of the seeds, the map of 30, the test of the rule
    assert "| scale `gpu` (ResNet-18 on CIFAR-10-JPEG, 15 epochs) | not run |" in text
    whole = readme.text(carried_out(), CPU)
    assert "cut: " not in whole
    assert "offer" in tables.rule_words(carried_out(), CPU)


@pytest.mark.slow
def test_the_smallest_scale_runs_to_tables_and_a_page(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="the smoke scale learns scikit-learn's digits")
    words = ["--scale", "smoke", "--out", str(tmp_path)]
    assert main([*words, "--minutes", "0"]) == 2  # nothing was begun, and there is nothing to show
    assert main(words) == 0
    path = tmp_path / "smoke.jsonl"
    records = read_records(path)
    finished = finished_trials(path)
    found = results(finished, SCALES["smoke"])
    assert [(row, sorted(result.runs)) for row, result in found.items()] == [
        ("sgdm", [1, 2]),
        ("adam", [1, 2]),
        ("padam_8", [1, 2]),
    ]
    assert finished[plan.joins_trial().key].value < 1e-10
    for kept in records:
        assert kept.commit
        assert kept.value is None or 0 <= kept.value <= 1
    text = (tmp_path / "README.md").read_text()
    assert "| claim | theirs | ours | n | verdict |" in text
    verdicts = {claim.verdict for claim in claims(finished, found)}
    assert verdicts == {"holds", "not tested", "not run", "not decided by 2 seeds"}  # holds: p joins both, exactly
    assert "lr 0.1, 0.32; weight_decay 0.0001 | 2 (0)" in text
    assert {"curves.png", "final.png", "map.png", "spread.png"} <= {p.name for p in (tmp_path / "pictures").iterdir()}
    assert (tmp_path / "report.html").read_text().count("<svg") == 4 + pictures.STEP_TIMES.is_file()
    capsys.readouterr()
    assert main(words) == 0
    assert "0 runs in" in capsys.readouterr().out
    assert read_records(path) == records
    assert main([*words, "--report"]) == 0
    assert (tmp_path / "README.md").read_text() == text
