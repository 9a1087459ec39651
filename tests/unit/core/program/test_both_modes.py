"""What only training runs is recorded, labelled and proved, and what no mode reaches is named."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.core import ChannelGraph, cost, resize
from linnet.core.program.both_modes import record_both
from linnet.errors import GraphError, ProofError
from linnet.prune import Budget, plan

X = torch.zeros(2, 3, 8, 8)


class Switched(nn.Module):
    """Two convolutions; `train` changes what lies between them in training."""

    def __init__(self, train, *, aux=False):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.o, self.b = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 4, 1), nn.Conv2d(16, 4, 1) if aux else None
        self.change = train

    def forward(self, x):
        y = self.a(x).relu()
        if self.training:
            return self.change(self, y)
        return self.o(y)


def both_alike(model, small, kept):
    x = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        gone = [place for place, one in enumerate(kept) if not one]
        for layer in (model.o, model.b):
            if layer is not None:
                layer.weight[:, gone] = 0
        for training in (False, True):
            one, other = model.train(training)(x), small.train(training)(x)
            one, other = (out if isinstance(out, tuple) else (out,) for out in (one, other))
            assert all(torch.allclose(p, q, atol=1e-5) for p, q in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Conv2d(8, 2, 1)),
        nn.Sequential(nn.Conv2d(3, 8, 8), nn.BatchNorm2d(8), nn.Dropout2d(0.5), nn.Flatten(), nn.Linear(8, 2)),
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.InstanceNorm2d(8, track_running_stats=True), nn.Conv2d(8, 2, 1)),
    ],
)
def test_batch_norm_and_dropout_are_no_other_path(network):
    program = record_both(network, X)
    assert program.training == ()
    assert program.training_error == ""


def test_an_auxiliary_head_follows_the_edit():
    model = Switched(lambda self, y: (self.o(y), self.b(y)), aux=True)
    graph = ChannelGraph(model, X)
    assert {slot.tensor for slot in graph.classes["a"].slots if slot.role == "consume"} == {"o.weight", "b.weight"}
    assert "training" in str(graph.classes["b"].frozen)
    kept = [1, 0] * 8
    both_alike(model, resize(model, graph, {"a": kept}), kept)


def test_an_order_of_training_alone_ties_channels():
    model = Switched(lambda self, y: self.o(torch.cat(y.chunk(2, 1)[::-1], 1)))
    graph = ChannelGraph(model, X)
    assert graph.classes["a"].size == 8
    with pytest.raises(GraphError, match="8 channels"):
        resize(model, graph, {"a": [1, 0] * 8})
    kept = [1, 0, 0, 1, 1, 0, 1, 0]
    both_alike(model, resize(model, graph, {"a": kept}), kept * 2)


def test_fixed_numbers_in_training_freeze_with_the_line():
    model = Switched(lambda self, y: self.o(torch.cat([y[:, 8:], y[:, :8]], 1)))
    assert "y[:, 8:]" in str(ChannelGraph(model, X).classes["a"].frozen)


def test_what_training_mixes_is_frozen():
    graph = ChannelGraph(Switched(lambda self, y: self.o(F.normalize(y, dim=1))), X)
    assert "norm" in str(graph.classes["a"].frozen)


def test_noise_in_training_is_no_false_alarm():
    model = Switched(lambda self, y: self.o(y * y.new_empty(len(y), 1, 1, 1).bernoulli_(0.8).div_(0.8)))
    assert resize(model, ChannelGraph(model, X), {"a": [1, 0] * 8}).linnet_edit.error <= 1e-10


def test_the_proof_runs_the_training_path():
    model = Switched(lambda self, y: self.o(y) / self.a.out_channels)
    with pytest.raises(ProofError, match="train mode"):
        resize(model, ChannelGraph(model, X), {"a": [1, 0] * 8})


def test_the_cost_is_that_of_eval_mode():
    model = Switched(lambda self, y: self.o(y) + self.b(y), aux=True)
    graph = ChannelGraph(model, X)
    assert graph.program.training
    assert graph.cost() == cost(model, X)
    kept = [1] * 8 + [0] * 8
    assert graph.cost({"a": kept}) == cost(resize(model, graph, {"a": kept}), X)


def test_the_graph_of_two_modes_goes_through_plain_data():
    model = Switched(lambda self, y: (self.o(y), self.b(y)), aux=True)
    graph = ChannelGraph(model, X)
    again = ChannelGraph.from_dict(graph.to_dict())
    assert again.to_dict() == graph.to_dict()
    assert resize(model, again, {"a": [1, 0] * 8}).b.in_channels == 8


class Unreached(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.o = nn.Conv2d(3, 16, 1), nn.Conv2d(3, 16, 1), nn.Conv2d(16, 4, 1)

    def forward(self, x):
        return self.o(self.a(x) if x.shape[-1] < 64 else self.b(x))


def test_a_branch_that_no_mode_reaches_is_named_in_the_plan_and_in_a_warning():
    model = Unreached()
    graph = ChannelGraph(model, X)
    with pytest.warns(UserWarning, match=r"b\.weight, b\.bias"):
        resize(model, graph, {"a": [1, 0] * 8})
    with pytest.warns(UserWarning, match=r"b\.weight, b\.bias"):
        made = plan(model, X, Budget(macs=0.6))
    assert "b.weight" in str(made)


def test_a_training_mode_that_cant_run_is_told():
    class Targets(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.o = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x, targets=None):
            if self.training and targets is None:
                raise ValueError("targets are needed")
            return self.o(self.a(x))

    model = Targets()
    graph = ChannelGraph(model, X)
    assert graph.program.training_error == "targets are needed"
    with pytest.warns(UserWarning, match="targets are needed"):
        resize(model, graph, {"a": [1, 0] * 4})
