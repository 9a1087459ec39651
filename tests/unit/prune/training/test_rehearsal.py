"""What would fail at the freeze fails at the first step; what fails at the freeze all the same changes nothing."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.errors import OptimizerStateError, ProofError, TrainingError
from linnet.prune import Budget, Pruner
from linnet.prune.masks import masked_network

EXAMPLE = torch.zeros(1, 3, 8, 8)


class Net(nn.Module):
    """Two convolutions and a linear layer; `fault` is planted between them."""

    def __init__(self, fault=lambda self, y: y):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.n, self.b = nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 3)
        self.o, self.fault = nn.Linear(16, 2), fault

    def forward(self, x):
        return self.o(self.b(self.fault(self, self.n(self.a(x)))).relu().mean((2, 3)))


def adam(net):
    return torch.optim.Adam(net.parameters(), lr=0.01)


def steps(net, optimizers, pruner, count, *, size=6):
    given = optimizers if isinstance(optimizers, list) else [optimizers]
    for step in range(count):
        x = torch.randn(size, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        for one in given:
            one.zero_grad()
        F.cross_entropy(net(x), torch.arange(size) % 2).backward()
        for one in given:
            one.step()
        pruner.step(optimizers)


def made(net, **options):
    return Pruner(net, EXAMPLE, **{"budget": Budget(params=0.5), "align": 1, "steps": 8, "warmup": 2, **options})


def by_width(self, y):
    return y / self.a.out_channels


def in_training(self, y):
    return y * (2.0 if self.a.out_channels < 16 else 1.0) if self.training else y


def on_this_batch(self, y):
    if len(y) == 6 and self.a.out_channels < 16:
        raise RuntimeError("six samples need sixteen channels")
    return y


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (by_width, ProofError, "eval mode"),
        (in_training, ProofError, "train mode"),
        (on_this_batch, TrainingError, "six samples need sixteen channels"),
    ],
)
def test_a_network_that_cant_become_narrower_is_told_at_the_first_step(fault, error, words):
    net = Net(fault)
    pruner, optimizer = made(net), adam(net)
    with pytest.raises(error, match=words) as caught:
        steps(net, optimizer, pruner, 1)
    assert "first step" in str(caught.value)


def test_state_that_cant_follow_is_told_at_the_first_step():
    class Odd(torch.optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            for group in self.param_groups:
                for parameter in group["params"]:
                    self.state[parameter]["odd"] = torch.zeros(3)

    net = Net()
    with pytest.raises(OptimizerStateError, match=r"`odd`.*first step"):
        steps(net, Odd(net.parameters(), lr=0.01), made(net), 1)


def test_the_rehearsal_changes_nothing():
    nets = [Net(), Net()]
    pruner, optimizers = made(nets[0], freeze=7), [adam(net) for net in nets]
    torch.manual_seed(1)
    steps(nets[0], optimizers[0], pruner, 1)
    drawn = torch.rand(3)
    x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    optimizers[1].zero_grad()
    F.cross_entropy(nets[1](x), torch.arange(6) % 2).backward()
    optimizers[1].step()
    torch.manual_seed(1)
    assert torch.equal(drawn, torch.rand(3))
    for one, other in zip(nets[0].state_dict().values(), nets[1].state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_several_optimizers_follow():
    net = Net()
    parts = [*net.a.parameters(), *net.n.parameters()], [*net.b.parameters(), *net.o.parameters()]
    optimizers = [torch.optim.SGD(parts[0], 0.01, 0.9), torch.optim.Adam(parts[1], 0.01)]
    pruner = made(net)
    steps(net, optimizers, pruner, 8)
    assert pruner.compacted
    for optimizer in optimizers:
        for parameter, state in optimizer.state.items():
            assert all(held.shape == parameter.shape for held in state.values() if held.ndim)


def test_a_wrapped_optimizer_and_an_average_follow():
    class Wrapper(torch.optim.Optimizer):
        """As accelerate wraps one."""

        def __init__(self, optimizer):
            self.optimizer = optimizer

        def __getattribute__(self, name):
            own = object.__getattribute__(self, "__dict__")
            return own["optimizer"] if name == "optimizer" else getattr(own["optimizer"], name)

    net = Net()
    average = torch.optim.swa_utils.AveragedModel(net)
    inner, pruner = adam(net), made(net, also=[average])
    steps(net, Wrapper(inner), pruner, 8)
    assert pruner.compacted
    assert average.module.a.out_channels == net.a.out_channels < 16
    average.update_parameters(net)
    assert all(held.shape == p.shape for p, state in inner.state.items() for held in state.values() if held.ndim)


@pytest.mark.parametrize("name", ["Adafactor", "Adam", "SGD", "RMSprop", "Adagrad", "NAdam"])
def test_optimizers_train_on_after_the_freeze(name):
    net = Net()
    optimizer = getattr(torch.optim, name)(net.parameters(), lr=1e-3)
    pruner = made(net)
    steps(net, optimizer, pruner, 8)
    assert pruner.compacted
    assert pruner.finish().a.out_channels < 16


@pytest.mark.parametrize("error", [RuntimeError("injected"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize("stage", ["resized", "_adopt", "_give_back"])
def test_after_a_failure_at_the_freeze_all_is_as_before(stage, error, monkeypatch):
    net = Net()
    average = copy.deepcopy(net)
    pruner, optimizer = made(net, also=[average]), adam(net)
    steps(net, optimizer, pruner, 3)
    real, calls = getattr(masked_network, stage), []

    def failing(*args, **kwargs):
        calls.append(1)
        if stage != "resized" and len(calls) == 1:
            real(*args, **kwargs)  # the first of two networks is changed already
            if stage == "_adopt":
                return
        raise error

    x = torch.randn(6, 3, 8, 8)
    optimizer.zero_grad()
    F.cross_entropy(net(x), torch.arange(6) % 2).backward()
    optimizer.step()
    references = [(p, p.data, p.grad) for one in (net, average) for p in one.parameters()]
    before = copy.deepcopy([net.state_dict(), average.state_dict(), optimizer.state_dict()])
    attributes = net.a.out_channels, net.n.num_features
    monkeypatch.setattr(masked_network, stage, failing)
    with pytest.raises(type(error)):
        pruner.step(optimizer)
    assert calls
    assert all(p.data is data or torch.equal(p.data, data) for p, data, _ in references)
    assert all(p.grad is grad for p, _, grad in references)
    assert (net.a.out_channels, net.n.num_features) == attributes
    after = [net.state_dict(), average.state_dict(), optimizer.state_dict()]
    for one, other in zip(before[:2], after[:2], strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    for place, state in before[2]["state"].items():
        assert all(torch.equal(state[key], after[2]["state"][place][key]) for key in state)
    assert any(module._forward_pre_hooks for module in net.modules())  # still masked
    net(x)
