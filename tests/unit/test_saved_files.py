"""Every kind of file that linnet has written goes on loading: those of `tests/saved` are never written anew."""

import json
import shutil
from pathlib import Path

import pytest
import torch

import linnet
from linnet.prune import Plan, extract
from linnet.recipe.classifier_file import load_classifier
from tests.saved.make import EXAMPLE, METHODS, KillAt, network, train

SAVED = Path(__file__).parents[1] / "saved"


def test_a_channel_graph_comes_back_with_its_classes():
    stored = json.loads((SAVED / "graph.json").read_text())
    graph = linnet.ChannelGraph.from_dict(stored)
    assert graph.to_dict() == stored
    assert list(graph.classes) == list(linnet.ChannelGraph(network(), EXAMPLE).classes)


@pytest.mark.parametrize("name", ["network", "classifier"])
def test_an_edited_network_comes_back_in_its_size(name):
    path = SAVED / f"{name}.safetensors"
    small = linnet.load(network(), path)
    assert small.conv1.weight.shape == (6, 1, 3, 3)  # 8 channels: one doubled, three removed
    assert torch.equal(small.conv1.weight[0], small.conv1.weight[1])
    if name == "classifier":
        assert torch.equal(load_classifier(path)(EXAMPLE), small(EXAMPLE))


def test_a_pruning_plan_comes_back_and_can_be_carried_out():
    plan = Plan.from_json((SAVED / "plan.json").read_text())
    assert linnet.cost(extract(network(), plan), EXAMPLE).macs == plan.after["macs"] <= 0.5 * plan.before["macs"]


@pytest.mark.parametrize("method", METHODS)
def test_a_run_goes_on_from_its_checkpoint(method, tmp_path, monkeypatch):
    steps: list[int] = []
    shutil.copytree(SAVED / method, tmp_path / "saved")
    with monkeypatch.context() as patch:
        patch.setattr(KillAt, "on_gradients", lambda self, run: steps.append(run.step))
        resumed = train(tmp_path / "saved", method)
    whole = train(tmp_path / "whole", method)
    assert steps == list(range(9, 16))  # the saved run was killed in its step 9, and is not begun anew
    assert [epoch.step for epoch in resumed.history] == [4, 8, 12, 16]
    for name, value in whole.model.state_dict().items():  # another processor may round otherwise
        torch.testing.assert_close(resumed.model.state_dict()[name], value, rtol=1e-3, atol=1e-4)
