"""Adapt: the asked parts follow the new data, all else keeps its bits; after an error all does."""

import copy

import pytest
import torch
from torch import nn

from linnet.errors import InputError, NonFiniteLoss, TrainingError
from linnet.prune import adapt


def _net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(6, 5, 3), nn.Flatten(),
        nn.Linear(20, 3),
    )  # fmt: skip


def _batches(shift=2.0):
    draw = torch.Generator().manual_seed(1)
    y = torch.arange(24) % 3
    x = torch.randn(24, 1, 6, 6, generator=draw) + y[:, None, None, None] + shift
    return [(x[:16], y[:16]), (x[16:], y[16:])]


_BN = {"1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"}
_HEAD = {"6.weight", "6.bias"}


@pytest.mark.parametrize(("parts", "moved"), [("bn", _BN), ("head", _HEAD), ("both", _BN | _HEAD)])
def test_only_the_asked_parts_move_and_the_loss_falls(parts, moved):
    net = _net()
    net[0].bias.requires_grad_(requires_grad=False)
    before = copy.deepcopy(net.state_dict())
    x, y = _batches()[0]
    wanted = nn.functional.cross_entropy(net.eval()(x), y)
    assert adapt(net, _batches(), parts, epochs=8) is net
    assert {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])} == moved
    assert nn.functional.cross_entropy(net(x), y) < wanted
    assert not net.training
    assert [name for name, p in net.named_parameters() if not p.requires_grad] == ["0.bias"]


def test_statistics_come_from_the_new_data():
    net = nn.Sequential(nn.BatchNorm1d(2, momentum=1.0), nn.Linear(2, 2))
    x = torch.tensor([[1.0, 10.0], [3.0, 14.0]])
    adapt(net, [(x, torch.tensor([0, 1]))], "bn")
    assert net[0].running_mean.tolist() == [2.0, 12.0]
    assert net[0].running_var.tolist() == [2.0, 8.0]


def test_the_head_is_the_layer_that_runs_last():
    class Reversed(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(4, 2), nn.Linear(3, 4)

        def forward(self, x):
            return self.last(self.first(x))

    net = Reversed()
    before = copy.deepcopy(net.state_dict())
    adapt(net, [(torch.randn(5, 3), torch.arange(5) % 2)], "head")
    moved = {name for name, tensor in net.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"last.weight", "last.bias"}


@pytest.mark.parametrize(
    ("make", "batches", "options", "error", "words"),
    [
        (_net, _batches(), {"parts": "all"}, InputError, "`parts`.*'all'"),
        (_net, _batches(), {"lr": 0.0}, InputError, "`lr`.*0"),
        (_net, [], {}, TrainingError, "`loader`"),
        (_net, None, {}, InputError, "`loader`.*NoneType"),
        (_net, [torch.zeros(2, 1, 6, 6)], {}, InputError, "`loader`.*Tensor"),
        (lambda: nn.Sequential(nn.Linear(2, 2)), [(torch.zeros(2, 2), torch.zeros(2))], {"parts": "bn"},
         TrainingError, "parts='head'"),
        (lambda: nn.Sequential(nn.BatchNorm1d(2)), [(torch.zeros(2, 2), torch.zeros(2))], {"parts": "head"},
         TrainingError, "parts='bn'"),
        (_net, [*_batches(), (torch.full((4, 1, 6, 6), torch.nan), torch.zeros(4).long())], {}, NonFiniteLoss,
         "loss.*nan"),
    ],
)  # fmt: skip
def test_bad_input_leaves_the_network_as_it_was(make, batches, options, error, words):
    net = make()
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(error, match=words):
        adapt(net, batches, **options)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert all(parameter.requires_grad for parameter in net.parameters())
