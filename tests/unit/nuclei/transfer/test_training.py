"""What each training learns from, starts from and is tested on."""

import dataclasses
import json

import pytest
import torch

from linnet.engine.trials.trial import Trial
from linnet.nuclei.transfer.demo import write_demo
from linnet.nuclei.transfer.plan import read_plan
from linnet.nuclei.transfer.training import _Study, network_file, run_training

SIZES = {"steps": 1, "shot_steps": 1, "batch_size": 1, "train_images": 2, "validation_images": 1, "test_images": 1}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    plan = read_plan(write_demo(folder), scale="smoke")
    plan = dataclasses.replace(plan, settings=dataclasses.replace(plan.settings, **SIZES))
    return plan, folder / "out"


def shots(start, *, rehearsal, **more):
    return Trial("shots", {"group": "small_bright", "k": 1, "seed": 0, "start": start, "rehearsal": rehearsal, **more})


def mix_of(study, trial):
    return _Study(*study)._mix(trial)


def test_a_mixture_towards_a_target_draws_it_as_often_as_all_others(study):
    mix = mix_of(study, Trial("mixture", {"weights": "weighted", "group": "small_bright", "seed": 0}))
    assert [image.group for image in mix.images] == ["target"] * 2 + ["others"] * 2
    assert mix.balance == 0
    assert {image.group for image in mix.judges} == {"small_bright"}


@pytest.mark.parametrize(
    ("weights", "balance", "augmented"),
    [("pooled", 1, True), ("sqrt", 0.5, True), ("even", 0, True), ("unaugmented", 1, False)],
)
def test_the_other_mixtures_serve_all_targets(study, weights, balance, augmented):
    mix = mix_of(study, Trial("mixture", {"weights": weights, "seed": 0}))
    assert (mix.balance, mix.augmented) == (balance, augmented)
    assert [image.group for image in mix.images] == ["small_bright"] * 2 + ["large_dark"] * 2


def test_rehearsal_gives_the_source_half_of_the_crops_and_no_say_in_the_thresholds(study):
    mix = mix_of(study, shots("best", rehearsal=True, source="large_dark"))
    assert [image.group for image in mix.images] == ["target", "source", "source"]
    assert mix.balance == 0
    assert [image.group for image in mix.judges] == ["small_bright"]
    assert len(mix_of(study, shots("best", rehearsal=False, source="large_dark")).images) == 1


def test_all_others_leave_the_target_out(study):
    mix = mix_of(study, Trial("others", {"group": "small_bright", "seed": 0}))
    assert {image.group for image in [*mix.images, *mix.judges]} == {"large_dark"}


def test_few_images_start_from_the_sources_network_and_make_it_again_where_its_file_is_gone(study):
    plan, out = study
    source = Trial("alone", {"group": "large_dark", "seed": 0})
    trial = shots("best", rehearsal=True, source="large_dark")
    threads = torch.get_num_threads()
    first = run_training(trial, plan=plan, out=out)
    assert torch.get_num_threads() == threads
    assert network_file(out, source).is_file()
    again = run_training(trial, plan=plan, out=out)
    assert again.context["counts"] == first.context["counts"]
    assert set(json.loads(str(first.context["counts"]))) == {"small_bright", "large_dark"}
    assert first.command == "linnet nuclei study plan.toml --scale smoke"


def test_the_shipped_detector_is_tested_as_it_is(study):
    plan, out = study
    record = run_training(Trial("shipped", {"seed": 0}), plan=plan, out=out)
    assert (record.context["steps"], record.context["images"]) == (0, 0)
    assert set(json.loads(str(record.context["counts"]))) == {"small_bright", "large_dark"}
    tuned = run_training(shots("default", rehearsal=False), plan=plan, out=out)
    assert tuned.context["images"] == 1
