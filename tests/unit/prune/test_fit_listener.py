"""Pruning inside `fit`: to the budget, and exact on resume in every phase."""

import pytest
import torch
from torch import nn

from linnet import cost
from linnet.data import ArrayLoader
from linnet.engine import Average, Listener, fit
from linnet.errors import TrainingError
from linnet.models import create
from linnet.prune import Budget, Pruner, Pruning

EXAMPLE = torch.zeros(1, 3, 8, 8)


class _Task:
    def loss(self, model, batch):
        images, labels = batch
        return nn.functional.cross_entropy(model(images), labels), {}

    def validate(self, model, compute):
        return {}


class _Killed(Exception):
    pass


class _KillAt(Listener):
    def __init__(self, step):
        self.step = step

    def on_gradients(self, run):
        if run.step == self.step:
            raise _Killed


def _run(folder=None, *, kill=None, average=None, budget=None):
    torch.manual_seed(0)
    net = create("resnet", width=8, depth=8)
    draw = torch.Generator().manual_seed(0)
    images, labels = torch.randn(48, 3, 8, 8, generator=draw), torch.randint(0, 10, (48,), generator=draw)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    pruner = Pruner(net, EXAMPLE, budget or Budget(macs=0.4), align=2, steps=24)
    listeners = [Pruning(pruner), *([] if kill is None else [_KillAt(kill)])]
    result = fit(
        net, _Task(), ArrayLoader((images, labels), batch_size=8, rng_seed=0), optimizer=optimizer, epochs=4,
        listeners=listeners, folder=folder, checkpoint_every=1, progress="off", average=average,
    )  # fmt: skip
    return pruner, result


def test_fit_ends_within_the_budget():
    pruner, result = _run()
    assert cost(pruner.finish(), EXAMPLE).macs <= 0.4 * pruner.plan().before["macs"]
    assert cost(result.model, EXAMPLE).macs == pruner.plan().after["macs"]


@pytest.mark.parametrize("kill", [0, 5, 14])
def test_a_killed_run_goes_on_to_the_same_bits(kill, tmp_path):
    whole, _ = _run()
    with pytest.raises(_Killed):
        _run(tmp_path, kill=kill)
    again, _ = _run(tmp_path)
    assert again.plan() == whole.plan()
    for a, b in zip(whole.model.state_dict().values(), again.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_an_average_follows_and_is_resumed(tmp_path):
    _, whole = _run(average=Average(0.5))
    with pytest.raises(_Killed):
        _run(tmp_path, kill=15, average=Average(0.5))
    _, again = _run(tmp_path, average=Average(0.5))
    for name, tensor in whole.model.state_dict().items():
        assert whole.averaged[name].shape == tensor.shape
        assert torch.equal(whole.averaged[name], again.averaged[name])


def test_a_checkpoint_of_another_budget_is_refused(tmp_path):
    with pytest.raises(_Killed):
        _run(tmp_path, kill=14)
    torch.manual_seed(1)
    net = create("resnet", width=12, depth=8)
    pruner = Pruner(net, EXAMPLE, Budget(macs=0.4), align=2, steps=24)
    with pytest.raises(TrainingError, match="network"):
        fit(
            net, _Task(), ArrayLoader((torch.zeros(48, 3, 8, 8), torch.zeros(48).long()), batch_size=8, rng_seed=0),
            optimizer=torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9), epochs=4,
            listeners=[Pruning(pruner)], folder=tmp_path, progress="off",
        )  # fmt: skip
