"""The study of pruning while training: its smallest scale runs to tables, budgets are kept, verdicts follow."""

import math
import signal
import subprocess
import sys
from dataclasses import replace
from functools import cache, partial
from itertools import chain

import pytest

from linnet import cost
from linnet.results import Record, read_records
from papers.qi2021_pruning import ablation, plan
from papers.qi2021_pruning.arms import ARMS, RIVALS, stages_of, uniform_stages
from papers.qi2021_pruning.bench import Bench, ready
from papers.qi2021_pruning.peer import INSTALLED, group_norm_pruned
from papers.qi2021_pruning.report import conclusion, pictures, readme, tables
from papers.qi2021_pruning.report.abstract import claims
from papers.qi2021_pruning.report.findings import Study, difference
from papers.qi2021_pruning.run import HERE, main, times_path
from papers.qi2021_pruning.scales import SCALES, Target
from papers.qi2021_pruning.training import run_trial
from papers.study import carry_out, finished_trials

CPU = SCALES["cpu"]
GOOD = {"dense": 0.90, "ours": 0.898, "uniform": 0.88, "uniform_longer": 0.898, "l1": 0.91}


def made_up(trial):
    """A record without a training: accuracies of `GOOD`, with a little that goes with the seed."""
    settings = trial.settings
    value = {0.03: 0.5, 0.1: 0.7, 0.3: 0.6}[settings["lr"]] if trial.stage == "rate" else 0.5
    if trial.stage == "fine-tuning":
        value = {0.3: 0.4, 1.0: 0.6}[settings["fine_tune"]]
    if trial.stage == "arms":
        value = GOOD.get(settings["arm"], 0.8) + 0.01 * settings["seed"]
        value += 0.0002 * (settings["seed"] % 3) * (settings["arm"] == "ours")
    if trial.stage == "ablation":
        value = (0.6 if settings["variant"] == "random" else 0.7) + 0.01 * settings["seed"]
        value += 0.001 * (settings["seed"] % 2) * (settings["variant"] != "default")
    share = {"25 %": 0.25, "10 %": 0.1, "50 %": 0.5}.get(settings.get("budget", ""), 1.0)
    extra = {"nll": 0.4, "ece": 0.03, "macs": 1000 * share, "params": 500 * share, "train_macs": 6000.0, "wall_s": 2.0}
    extra |= {
        "used_macs": 0.99,
        "most_used": 0.995,
        "difference": 0.0,
        "proof_error": 1e-7,
        "flips": 10,
        "widths": "8 8/16 16/32 32",
    }
    context = {"trial": trial.key, "stage": trial.stage, **settings, **extra}
    return Record("made up", value, n=2000, rng_seed=settings["seed"], context=context, machine="m", commit="c")


@cache
def carried_out(limit=10**6):
    """Records of a study whose runs are made up, in the order in which they were asked for."""
    finished = {}
    while left := [trial for trial in plan.next_trials(finished, CPU) if trial.key not in finished]:
        finished[left[0].key] = made_up(left[0])
        if len(finished) == limit:
            break
    return finished


def test_rates_come_first_then_seeds_and_the_ablation_in_two_parts():
    order = [(r.context["stage"], r.context["seed"]) for r in carried_out().values()]
    blocks = list(dict.fromkeys(order))
    assert blocks == [
        ("rate", 0),
        ("fine-tuning", 0),
        ("arms", 1),
        *(("ablation", seed) for seed in (1, 2, 3)),
        *(("arms", seed) for seed in (2, 3, 4, 5)),
    ]
    early = [r.context["variant"] for r in carried_out().values() if r.context["stage"] == "ablation"][:12]
    assert set(early) == {"default", "as_known", "memory_evaporate", "normalise_max"}
    late = [stage for stage, seed in order if stage == "ablation" or seed == 4]
    assert late.index("arms") == 3 * len(ablation.VARIANTS)
    first = [r.context for r in carried_out().values() if (r.context["stage"], r.context["seed"]) == ("arms", 1)]
    assert [context.get("budget", "25 %") for context in first] == sorted(
        (context.get("budget", "25 %") for context in first), key=["25 %", "10 %", "50 %"].index
    )
    arms = len(ARMS) - 1 - (not INSTALLED)
    assert len(first) == 2 * (1 + 3 * arms - 2)  # trained longer at one budget only
    assert {context["lr"] for context in first} == {0.1}
    assert {context["fine_tune"] for context in first if context["arm"] == "l1"} == {1.0}


def test_verdicts_follow_from_paired_differences():
    study = Study(CPU, carried_out(), {})
    pair = difference(study.arm("fashion_mnist", "25 %", "ours"), study.arm("fashion_mnist", "25 %", "dense"))
    assert pair.n == 5
    assert pair.mean == pytest.approx(-0.002 + 0.0002 * (1 + 2 + 0 + 1 + 2) / 5)
    said = {claim.claim: claim.verdict for claim in claims(study)}

    def verdict(words):
        return next(verdict for claim, verdict in said.items() if words in claim)

    assert verdict("(1)") == verdict("(2)") == "holds"
    assert verdict("(3)") == "not run"
    assert verdict("`fashion_mnist`, 25 % of the MACs: at most 0.4 points below our dense network") == "holds"
    assert verdict("above uniformly narrow, same epochs") == "holds"
    assert verdict("above one-shot L1, fine-tuned") == "does not hold"
    assert next(c.n for c in claims(study) if "same training MACs" in c.claim) == 2  # at one budget of two sets
    words = conclusion.outcome_words(study)
    assert words.startswith("The bar against the dense network is met at this scale: mean differences of -0.2 to -0.2")
    assert words.endswith("our pruner lies below: one-shot L1, fine-tuned.")


def test_a_network_over_its_budget_or_unlike_the_trained_one_is_told():
    finished = dict(carried_out())
    key, record = next((k, r) for k, r in finished.items() if r.context.get("arm") == "per_layer")
    finished[key] = replace(record, context=record.context | {"most_used": 1.001, "difference": 0.1})
    said = {claim.claim[:3]: claim.verdict for claim in claims(Study(CPU, finished, {}))}
    assert said["(1)"] == said["(2)"] == "does not hold"


def test_the_ablation_names_what_differs():
    study = Study(CPU, carried_out(), {})
    words = conclusion.ablation_words(study)
    assert words.startswith("Options that differ")
    assert "criterion: random (-9.9 [" in words
    assert "regrow" not in words
    rows = {row[0]: row for row in tables.ablation_table(study).rows}
    assert rows["criterion: random"][4] == "worse"
    assert rows["widths: any"][4] == "no difference shown"
    assert len(rows) == len(ablation.VARIANTS)


def test_a_page_of_half_a_study_tells_what_was_cut():
    text = readme.text(Study(CPU, carried_out(100), {}))
    left = len(plan.next_trials(carried_out(100), CPU)) - (100 - 10)
    assert f"| scale `cpu` | cut: {left} runs of ablation, arms |" in text
    assert "| milliseconds | not measured: `--time` |" in text
    assert "not run here" in text
    assert "cut: " not in readme.text(Study(CPU, carried_out(), {}))


def digits_bench(limits=None, **changes):
    scale = replace(SCALES["smoke"], **changes)
    return Bench(scale, ready(scale, "digits", None), 1, 0.1, limits or {"macs": 0.5})


def test_the_uniform_network_is_the_widest_within_the_limit():
    pytest.importorskip("sklearn", reason="the smoke scale learns scikit-learn's digits")
    bench = digits_bench()
    dense, found = bench.fresh(), bench.fresh(uniform_stages(bench))
    limit = bench.macs(dense) // 2
    assert bench.macs(found) <= limit
    widths = [list(stage) for stage in stages_of(found)]
    pairs = zip(chain(*widths), chain(*bench.scale.stages), strict=True)
    shares = [own / whole for own, whole in pairs]
    assert max(shares) - min(shares) <= 1 / 8
    for stage in range(len(widths)):
        for place in range(len(widths[stage])):
            wider = [row.copy() for row in widths]
            wider[stage][place] += 1
            assert bench.macs(bench.fresh(wider)) > limit


@pytest.mark.skipif(not INSTALLED, reason="torch-pruning is not installed: make peers")
def test_the_peer_is_brought_to_the_same_limit():
    pytest.importorskip("sklearn", reason="the smoke scale learns scikit-learn's digits")
    bench = digits_bench()
    model = bench.fresh()
    limit = bench.macs(model) // 2
    small = group_norm_pruned(model, bench.example, limit)
    assert 0.85 * limit <= cost(small, bench.example).macs <= limit
    assert bench.macs(model) > limit  # the trained one is only read


@pytest.mark.slow
def test_the_smallest_scale_runs_to_tables_and_a_page(tmp_path, capsys):
    pytest.importorskip("sklearn", reason="the smoke scale learns scikit-learn's digits")
    words = ["--scale", "smoke", "--out", str(tmp_path)]
    assert main([*words, "--minutes", "0"]) == 2  # nothing was begun, and there is nothing to show
    assert main(words) == 0
    path = tmp_path / "records" / "smoke.jsonl"
    records = read_records(path)
    scale = SCALES["smoke"]
    study = Study(scale, finished_trials(path), {})
    arms = [arm for arm in ARMS if arm != "torch_pruning" or INSTALLED]
    for arm in arms:
        runs = study.arm("digits", "50 %", arm)
        assert sorted(runs) == [1, 2], arm
        for seed, run in runs.items():
            dense = study.arm("digits", "", "dense")[seed]
            most = 1.0 if arm == "dense" else 0.5
            assert run.context["macs"] <= most * dense.context["macs"]
            assert run.value > 0.15  # it learns something in four epochs
            if arm in ("ours", "random", "per_layer"):
                assert run.context["difference"] <= 1e-5
                assert 0 <= run.context["proof_error"] <= 1e-5
                assert run.context["most_used"] <= 1
                assert run.context["train_macs"] < scale.epochs * dense.context["macs"]
    assert study.variants() == ablation.variants(scale)
    assert main([*words, "--time"]) == 0
    times = read_records(times_path(path))
    assert len(times) == 4  # two seeds, two batch sizes
    for found in times:
        assert {name for name in found.context if name.startswith("ms ")} == {
            "ms dense" if arm == "dense" else f"ms {arm}, 50 %" for arm in arms
        }
        assert found.value > 0
    text = (tmp_path / "README.md").read_text()
    assert "| claim | theirs | ours | n | verdict |" in text
    assert ("Torch-Pruning is not installed" in text) == (not INSTALLED)
    assert {p.name for p in (tmp_path / "pictures").iterdir()} == {"accuracy_ms.png", "life.png"}
    assert (tmp_path / "report.html").read_text().count("<svg") == 2
    capsys.readouterr()
    assert main(words) == 0
    assert "0 runs in" in capsys.readouterr().out
    assert read_records(path) == records
    assert (tmp_path / "README.md").read_text() == text


def test_the_largest_scale_is_refused_without_a_gpu(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert main(["--scale", "gpu", "--out", str(tmp_path)]) == 2
    assert "torch sees no GPU. Take --scale cpu" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_without_data_it_says_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LINNET_DATA", str(tmp_path / "none"))
    monkeypatch.setattr("papers.qi2021_pruning.run.SCALES", {**SCALES, "cpu": replace(CPU, workers=0)})
    assert main(["--scale", "cpu", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "fashion_mnist" in said


def test_the_largest_scale_takes_the_same_path(tmp_path):
    """bfloat16, augmentation on the device, two limits: on a small network, for two epochs."""
    pytest.importorskip("sklearn", reason="the smoke scale learns scikit-learn's digits")
    tiny = replace(
        SCALES["gpu"].quick(),
        sets=("digits",),
        stages=((8, 8), (16,)),
        budgets=(Target("headline", 0.5, 0.6),),
        align=2,
        device="cpu",
        precision=SCALES["gpu"].precision,
    )
    assert tiny.precision == "bfloat16"
    path = tmp_path / "gpu.jsonl"
    following = partial(plan.next_trials, scale=tiny)
    carry_out(path, following, partial(run_trial, scale=tiny, data=None), workers=0)
    study = Study(tiny, finished_trials(path), {})
    run = study.arm("digits", "headline", "ours")[1]
    assert run.context["used_macs"] <= 1
    assert run.context["used_params"] <= 1
    assert math.isfinite(run.context["nll"])
    assert all(study.arm("digits", "headline", arm) for arm in RIVALS if arm != "torch_pruning" or INSTALLED)
    row = next(claim for claim in claims(study) if claim.claim.startswith("(3)"))
    assert row.n == 1
    assert pictures.drawable(study).keys() == {"life"}


def tiny_headline(**changes):
    """The headline's way on scikit-learn's digits, in seconds."""
    tiny = {"sets": ("digits",), "images": 256, "test_images": 128, "stages": ((8, 8), (16,)), "epochs": 2, "seeds": 1}
    tiny |= {"batch_size": 32, "budgets": (Target("headline", 0.5, 0.6),), "align": 2, "device": "cpu"}
    return replace(SCALES["headline"], **{**tiny, "checkpoint_steps": 3, **changes})


def test_the_headline_begins_with_the_arms_that_matter_and_tunes_nothing():
    asked = plan.next_trials({}, SCALES["headline"], peer=True)
    order = [(trial.settings["seed"], trial.settings["arm"]) for trial in asked]
    arms = ["ours", "rank_equal", "uniform", "dense", "random", "torch_pruning_equal", "rank", "uniform_equal"]
    assert order == [(seed, arm) for seed in (1, 2, 3) for arm in arms]
    assert {trial.settings["lr"] for trial in asked} == {0.1}
    assert [t.settings["arm"] for t in plan.next_trials({}, SCALES["headline_full"])] == ["ours", "rank_equal", "dense"]


def test_the_headline_runs_to_its_page(tmp_path, monkeypatch):
    """Two limits, bfloat16, one-cycle rate: every arm within both limits, trained for as many MACs as ours."""
    pytest.importorskip("sklearn", reason="the headline's small twin learns scikit-learn's digits")
    monkeypatch.setattr("papers.qi2021_pruning.run.SCALES", {**SCALES, "headline": tiny_headline()})
    assert main(["--scale", "headline", "--out", str(tmp_path)]) == 0
    path = tmp_path / "records" / "headline.jsonl"
    assert not list(path.with_name("headline_checkpoints").iterdir())  # they go with the record
    study = Study(tiny_headline(), finished_trials(path), {})
    ours = study.arm("digits", "headline", "ours")[1]
    for arm in study.scale.arms:
        if arm == "dense" or (arm == "torch_pruning_equal" and not INSTALLED):
            continue
        run = study.arm("digits", "headline", arm)[1]
        assert run.context["used_macs"] <= 1
        assert run.context["used_params"] <= 1
        if arm.endswith("_equal"):
            # whole epochs, so to half an epoch of a network that is at most as large as the limit
            assert run.context["train_macs"] == pytest.approx(
                ours.context["train_macs"], abs=0.51 * run.context["macs"]
            )
    assert study.arm("digits", "headline", "rank")[1].context["widths"] == ours.context["widths"]
    text = (tmp_path / "README.md").read_text()
    done = len(study.trainings)
    assert f"{done} of 8 trainings are finished." in text.splitlines()[2]
    assert "| narrow by rank, same training MACs | 1 |" in text


def test_a_training_of_the_headline_goes_on_after_a_kill(tmp_path):
    """Stopped in its small part, ours goes on from its last checkpoint and ends with the same record."""
    pytest.importorskip("sklearn", reason="the headline's small twin learns scikit-learn's digits")
    scale = tiny_headline(precision="float32")
    trial = plan.next_trials({}, scale)[0]
    assert trial.settings["arm"] == "ours"
    whole = run_trial(trial, scale=scale, data=None, checkpoints=tmp_path / "whole")
    script = (
        "import os, runpy, sys\n"
        "from pathlib import Path\n"
        "from papers.qi2021_pruning import arms, plan\n"
        "test = runpy.run_path(sys.argv[2])\n"
        "on_step = arms._Watched.on_step\n"
        "def killed(self, run):\n"
        "    on_step(self, run)\n"
        "    if run.step == 11:\n"
        "        os.kill(os.getpid(), 9)\n"
        "arms._Watched.on_step = killed\n"
        "scale = test['tiny_headline'](precision='float32')\n"
        "test['run_trial'](plan.next_trials({}, scale)[0], scale=scale, data=None, checkpoints=Path(sys.argv[1]))\n"
    )
    folder = tmp_path / "killed"
    found = subprocess.run([sys.executable, "-c", script, str(folder), __file__], check=False, cwd=HERE.parents[1])
    assert found.returncode == -signal.SIGKILL
    assert list((folder / "training").iterdir())
    again = run_trial(trial, scale=scale, data=None, checkpoints=folder)
    assert again.value == whole.value
    same = ("widths", "train_macs", "most_used", "flips", "nll", "life")
    assert {name: again.context[name] for name in same} == {name: whole.context[name] for name in same}
