"""[prune]: a recipe whose network becomes small while it trains; resumed to the same bits in every phase."""

import re
import sys
import time
from dataclasses import replace
from importlib import import_module

import pytest
import torch

from linnet import cost, load, models
from linnet.cli.model_argument import model_of
from linnet.errors import BudgetError, MissingExtra, RecipeError
from linnet.prune import Budget, Plan
from linnet.recipe import dry_run, parse, run
from linnet.recipe.classifier_file import load_classifier
from linnet.recipe.classify import TASK
from tests import forked

recipe_run = import_module("linnet.recipe.runner")
EXAMPLE = torch.zeros(1, 1, 6, 5)
PRUNE = '\n[prune]\nmacs = 0.5\nparams = 0.6\nalign = 2\nevery = 2\ncompare = "dense"\n'
PHASES = {"warm-up": 0, "masked": 4, "frozen": 13, "dense": 18}  # of 16 steps: first mask at 1, small from 8 on


@pytest.fixture(autouse=True)
def _plain_report(monkeypatch):
    monkeypatch.setattr(
        recipe_run, "write_report", lambda folder, path, title, lead, **_more: path.write_text(title + lead)
    )


@pytest.fixture
def pruned(recipe):
    """The small recipe with a wider network and a [prune] section."""
    recipe.write_text(recipe.read_text().replace("width = 4", "width = 8") + PRUNE)
    return recipe


def digest(folder):
    records = [(r.name, r.value, r.method, r.context, r.interval) for r in folder.records() if r.unit != "ms"]
    files = ("weights.safetensors", "dense.safetensors", "plan.json", "life.json")
    return [(folder.path / name).read_bytes() for name in files], records


def dense_network():
    return models.create("tiny", input_shape=(1, 6, 5), classes=2, width=8)


def test_one_folder_holds_the_small_network_its_plan_and_both_sets_of_records(pruned, task_named):
    folder = run(pruned, out=pruned.parent / "out", task_named=task_named)
    assert {entry.name for entry in folder.path.iterdir()} == {
        "checkpoints", "checkpoints-dense", "dense.safetensors", "life.json", "plan.json", "recipe.toml",
        "record.jsonl", "report.html", "run.json", "weights.safetensors",
    }  # fmt: skip
    plan = Plan.from_json((folder.path / "plan.json").read_text())
    small = load_classifier(folder.weights)
    found, dense = cost(small, EXAMPLE), cost(dense_network(), EXAMPLE)
    assert type(small) is models.Tiny
    assert {name: getattr(found, name) for name in plan.after} == plan.after
    assert found.macs <= 0.5 * dense.macs
    assert found.params <= 0.6 * dense.params
    assert cost(load_classifier(folder.path / "dense.safetensors"), EXAMPLE) == dense

    accuracy = {r.method: r.value for r in folder.records() if r.name == "accuracy" and r.split == "test"}
    assert set(accuracy) == {"pruned", "dense"}
    assert min(accuracy.values()) > 0.8
    course = [r.value for r in folder.records() if r.name == "loss" and r.method == "pruned"]
    assert len(course) == 4


def test_the_weights_are_found_by_load_and_by_the_command_line(pruned, task_named):
    folder = run(pruned, out=pruned.parent / "out", task_named=task_named)
    x = torch.randn(3, 1, 6, 5, generator=torch.Generator().manual_seed(0))
    wanted = load_classifier(folder.weights).eval()(x)
    assert torch.equal(load(dense_network(), folder.weights).eval()(x), wanted)
    assert torch.equal(model_of(str(folder.weights)).eval()(x), wanted)


def interrupted_after(steps, task_named):
    """The task, with Ctrl-C in the loss of the step with this number, counted over the whole run."""
    count = iter(range(10**6))

    def build(plan):
        built = TASK.build(plan)

        class Interrupted:
            def loss(self, model, batch):
                if next(count) == steps:
                    raise KeyboardInterrupt
                return built.task.loss(model, batch)

            def validate(self, model, compute):
                return built.task.validate(model, compute)

        return replace(built, task=Interrupted())

    return lambda name: replace(task_named(name), build=build)


def test_an_interrupted_run_goes_on_to_the_same_bits_in_every_phase(pruned, task_named):
    whole = digest(run(pruned, out=pruned.parent / "whole", task_named=task_named))
    for phase, steps in PHASES.items():
        out = pruned.parent / phase
        with pytest.raises(KeyboardInterrupt):
            run(pruned, out=out, task_named=interrupted_after(steps, task_named))
        assert (out / "weights.safetensors").exists() == (phase == "dense")
        assert digest(run(pruned, out=out, task_named=task_named)) == whole, phase


def test_later_stages_are_done_again_from_the_last_checkpoint(pruned, task_named):
    folder = run(pruned, out=pruned.parent / "out", task_named=task_named)
    before = digest(folder)
    for name in ("weights.safetensors", "plan.json", "record.jsonl", "report.html"):
        (folder.path / name).unlink()
    assert digest(run(pruned, out=folder.path, task_named=task_named)) == before


SCRIPT = """
import sys
from linnet.recipe import run
from linnet.recipe.classify import TASK
run(sys.argv[1], out=sys.argv[2], overrides={"train.epochs": 6}, task_named=lambda name: TASK)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(pruned, task_named):
    whole = run(pruned, out=pruned.parent / "whole", overrides={"train.epochs": 6}, task_named=task_named)
    out = pruned.parent / "killed"
    for step in (3, 15):  # of 24: under masks, small
        process = forked.start(SCRIPT, pruned.parent, str(pruned), str(out))
        while process.is_alive() and _newest(out) < step:
            time.sleep(0.01)
        process.kill()
        process.join()
    folder = run(pruned, out=out, overrides={"train.epochs": 6}, task_named=task_named)
    assert folder.weights.read_bytes() == whole.weights.read_bytes()
    assert (out / "plan.json").read_bytes() == (whole.path / "plan.json").read_bytes()


def _newest(out):
    found = [int(path.stem.split("-")[1]) for path in (out / "checkpoints").glob("checkpoint-*.safetensors")]
    return max(found, default=-1)


def test_every_key_reaches_the_pruner(pruned, task_named):
    changed = {
        "prune.decay": 0.7, "prune.criterion": "bn_taylor", "prune.select": "per_layer", "prune.normalise": "max",
        "prune.compact": "never", "prune.keep": ["head"], "prune.limits": {"conv2": 0.5}, "prune.warmup": 3,
        "prune.freeze": 0.75, "prune.min_fraction": 0.1, "prune.regrow": True, "prune.price": "none",
    }  # fmt: skip
    plan = parse(pruned, overrides=changed, task_named=task_named)
    pruner = plan.prune.pruner(dense_network(), EXAMPLE, steps=16, rng_seed=0)
    assert (pruner.time.warmup_steps, pruner.time.freeze_at, pruner.time.every) == (3, 12, 2)
    assert pruner.budget == Budget(macs=0.5, params=0.6)
    folder = run(pruned, out=pruned.parent / "out", overrides=changed, task_named=task_named)
    kept = Plan.from_json((folder.path / "plan.json").read_text()).kept
    assert len(kept["conv2"]) <= 8  # half of 16


def test_averaged_weights_are_those_of_the_small_network(pruned, task_named):
    options = {"train.average": 0.5, "prune.freeze": 0.3}
    folder = run(pruned, out=pruned.parent / "out", overrides=options, task_named=task_named)
    small = load_classifier(folder.weights)
    assert cost(small, EXAMPLE).macs <= 0.5 * cost(dense_network(), EXAMPLE).macs


def test_every_mistake_is_told_at_once_with_its_line(pruned, task_named):
    text = pruned.read_text().replace(
        "macs = 0.5\nparams = 0.6\nalign = 2\nevery = 2",
        'mac = 0.5\nalign = 0\nprice = "dear"\nlimits = { "conv*" = 1.5 }\nkeep = "head"\nwarmup = 1.5',
    )
    pruned.write_text(text)
    line = next(number for number, row in enumerate(text.splitlines(), 1) if row.startswith("mac ="))
    with pytest.raises(RecipeError) as refusal:
        parse(pruned, task_named=task_named)
    for offset, said in enumerate(
        [
            r"\[prune\] `mac`.*`macs`",
            r"`align`.*\b0\b",
            r'`price`.*"dear"',
            r"`limits`.*1\.5",
            r'`keep`.*"head"',
        ]
    ):
        assert re.search(rf"line {line + offset}: .*{said}", str(refusal.value)), (said, str(refusal.value))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prune.macs": None}, "`macs`"),
        ({"prune.warmup": 1.5}, r"`warmup`.*1\.5"),
        ({"train.early_stop": 2}, "`early_stop`"),
        ({"optimizer.name": "natural", "optimizer.lr": 0.5}, r'\[optimizer\].*"natural"'),
    ],
)
def test_what_does_not_go_together_is_refused(pruned, task_named, change, said):
    if "prune.macs" in change:
        pruned.write_text(pruned.read_text().replace("macs = 0.5\nparams = 0.6\n", ""))
        change = {}
    with pytest.raises(RecipeError, match=said):
        parse(pruned, overrides=change, task_named=task_named)


def test_a_budget_out_of_reach_leaves_no_folder(pruned, task_named):
    with pytest.raises(BudgetError, match="`macs`"):
        run(pruned, out=pruned.parent / "out", overrides={"prune.macs": 0.001}, task_named=task_named)
    assert not (pruned.parent / "out").exists()


def test_a_task_without_an_example_says_so(pruned, task_named):
    def build(plan):
        return replace(TASK.build(plan), example=None)

    with pytest.raises(RecipeError, match=r"\[prune\].*example"):
        run(pruned, out=pruned.parent / "out", task_named=lambda name: replace(TASK, build=build))


def test_an_override_alone_makes_a_recipe_prune(recipe, task_named):
    changed = {"model.width": 8, "prune.macs": 0.5, "prune.align": 2, "train.epochs": 2}
    folder = run(recipe, out=recipe.parent / "out", overrides=changed, task_named=task_named)
    assert cost(load_classifier(folder.weights), EXAMPLE).macs <= 0.5 * cost(dense_network(), EXAMPLE).macs
    assert not (folder.path / "dense.safetensors").exists()


def test_a_dry_run_tells_stages_steps_and_a_plan_and_writes_nothing(pruned, task_named):
    out = pruned.parent / "out"
    told = dry_run(pruned, out=out, overrides={"prune.macs": 0.6}, task_named=task_named)
    assert not out.exists()
    assert re.search(r"train +writes weights.safetensors, plan.json, life.json\n", told)
    assert re.search(r"train the dense network +writes dense.safetensors\n", told)
    assert "training: 4 epochs of 4 batches of 8, 16 steps" in told
    assert "measured every 2 steps, first mask at step 1, masks freeze at step 8" in told
    assert "budget: macs <= 0.6 of the given network's, params <= 0.6" in told
    found = re.search(r"macs: ([\d,]+) -> ([\d,]+)", told)
    before, after = (int(number.replace(",", "")) for number in found.groups())
    assert before == cost(dense_network(), EXAMPLE).macs
    assert after <= 0.6 * before
    assert re.search(r"conv1 +\d of 8", told)


def test_a_dry_run_knows_what_is_there_already_and_what_is_in_its_way(pruned, task_named):
    out = run(pruned, out=pruned.parent / "out", task_named=task_named).path
    (out / "report.html").unlink()
    told = dry_run(pruned, out=out, task_named=task_named)
    assert told.count("(is there already)") == 3
    with pytest.raises(RecipeError, match=r"prune\.macs"):
        dry_run(pruned, out=out, overrides={"prune.macs": 0.6}, task_named=task_named)
    with pytest.raises(BudgetError, match="`macs`"):
        dry_run(pruned, out=pruned.parent / "new", overrides={"prune.macs": 0.001}, task_named=task_named)


def test_a_dry_run_without_pruning_says_nothing_of_it(recipe, task_named):
    told = dry_run(recipe, out=recipe.parent / "out", task_named=task_named)
    assert "network: Tiny, " in told
    assert "budget" not in told


def test_an_onnx_file_is_written_when_it_is_asked_for(pruned, task_named):
    runtime = pytest.importorskip("onnxruntime", reason="the extra `onnx` isn't installed")
    pytest.importorskip("onnxscript", reason="the extra `onnx` isn't installed")
    options = {"prune.export": "onnx", "train.epochs": 2}
    folder = run(pruned, out=pruned.parent / "out", overrides=options, task_named=task_named)
    x = torch.randn(3, 1, 6, 5, generator=torch.Generator().manual_seed(0))
    session = runtime.InferenceSession(folder.path / "model.onnx", providers=["CPUExecutionProvider"])
    [found] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), load_classifier(folder.weights).eval()(x), rtol=1e-4, atol=1e-4)


def test_a_missing_runtime_is_told_before_anything_is_trained(pruned, task_named, monkeypatch):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtra, match=r'pip install "linnet\[onnx\]"'):
        run(pruned, out=pruned.parent / "out", overrides={"prune.export": "onnx"}, task_named=task_named)
    assert not (pruned.parent / "out").exists()
