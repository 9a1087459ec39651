"""torch.compile: one graph with a gate and one without, whatever the masks become; one more for a smaller network."""

import logging

import pytest
import torch
from torch import nn
from torch.nn.parallel import DataParallel

from linnet.errors import TrainingError
from linnet.prune import Budget, Pruner

EXAMPLE = torch.zeros(1, 3, 8, 8)


@pytest.fixture(autouse=True)
def _nothing_compiled():
    """What torch keeps of compiled code is kept for the whole process."""
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class Counting:
    """A backend that runs what it is given and counts it."""

    def __init__(self):
        self.graphs = 0

    def __call__(self, graph, example):
        self.graphs += 1
        return graph


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b = nn.Conv2d(3, 12, 3), nn.BatchNorm2d(12), nn.Conv2d(12, 10, 3)
        self.head = nn.Linear(160, 4)

    def forward(self, x):
        return self.head(torch.sigmoid(self.b(torch.relu(self.norm(self.a(x))))).flatten(1))


def _plain():
    return nn.Sequential(nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Conv2d(12, 10, 3), nn.Flatten(), nn.Linear(160, 4))


def _made(make=Net, **options):
    torch.manual_seed(0)
    net = make()
    kind = {"steps": 1000, "warmup": 2, "every": 2, "memory": 0.0} | options
    return net, Pruner(net, EXAMPLE, Budget(macs=0.5), align=1, **kind)


def _train(call, net, pruner, steps, backend=None):
    """Graphs so far after each step, and what each step came to."""
    optimizer, draw = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9), torch.Generator().manual_seed(1)
    counts, seen = [], []
    for _ in range(steps):
        x, y = torch.randn(8, 3, 8, 8, generator=draw), torch.randint(0, 4, (8,), generator=draw)
        optimizer.zero_grad()
        nn.functional.cross_entropy(call(x), y).backward()
        optimizer.step()
        seen.append(pruner.step(optimizer))
        counts.append(backend.graphs if backend else 0)
    return counts, seen


@pytest.mark.slow
@pytest.mark.parametrize("how", ["compile", "in place", "plain"])
def test_two_graphs_over_twenty_changes_of_the_masks(how):
    make = _plain if how == "plain" else Net
    (eager, reference), backend = _made(make, regrow=True), Counting()
    _train(eager, eager, reference, 60)
    net, pruner = _made(make, regrow=True)
    if how == "in place":
        net.compile(backend=backend)
    call = net if how == "in place" else torch.compile(net, backend=backend)
    counts, seen = _train(call, net, pruner, 60, backend)
    assert sum(step.changed > 0 for step in seen) >= 20
    assert counts[0] == 1  # step 0 is measured
    assert set(counts[4:]) == {2}  # without a gate
    assert pruner.plan() == reference.plan()
    for mine, its in zip(net.state_dict().values(), eager.state_dict().values(), strict=True):
        assert torch.equal(mine, its)


@pytest.mark.slow
def test_a_smaller_network_is_one_more_graph():
    (net, pruner), backend = _made(steps=16), Counting()
    counts, seen = _train(torch.compile(net, backend=backend), net, pruner, 14, backend)
    assert [step.step for step in seen if step.compacted] == [7]
    assert counts[4:8] == [2] * 4
    assert counts[8:] == [3] * 6


def test_networks_of_one_class_have_each_their_own_masks():
    pairs, backend = [_made(), _made()], Counting()
    calls = [torch.compile(net, backend=backend) for net, _ in pairs]
    for (net, pruner), call, count in zip(pairs, calls, (3, 7), strict=True):
        _train(call, net, pruner, count)
    x = torch.randn(4, 3, 8, 8)
    for (_, pruner), call in zip(pairs, calls, strict=True):
        torch.testing.assert_close(call(x), pruner.finish()(x), rtol=1e-5, atol=1e-6)


def test_removed_masks_are_gone_from_what_was_compiled():
    (net, pruner), backend = _made(), Counting()
    call = torch.compile(net, backend=backend)
    _train(call, net, pruner, 4)
    x, masked = torch.randn(4, 3, 8, 8), call.eval()(torch.ones(4, 3, 8, 8))
    pruner.remove()
    torch.testing.assert_close(call(x), net(x))
    assert not torch.allclose(call(torch.ones(4, 3, 8, 8)), masked)


def test_a_network_that_was_compiled_and_called_is_refused():
    net = Net()
    torch.compile(net, backend=Counting())(torch.randn(2, 3, 8, 8))
    for model in (net, torch.compile(net, backend=Counting()), Net()):
        with pytest.raises(TrainingError, match=r"`Net`.*torch\.compiler\.reset\(\)"):
            Pruner(model, EXAMPLE, Budget(macs=0.5), align=1)
    assert not net._forward_pre_hooks
    torch.compiler.reset()
    Pruner(net, EXAMPLE, Budget(macs=0.5), align=1).remove()


def test_torchs_own_containers_are_found_out_at_the_first_step():
    net = _plain()
    call = torch.compile(net, backend=Counting())
    call(torch.randn(8, 3, 8, 8))
    pruner = Pruner(net, EXAMPLE, Budget(macs=0.5), align=1)
    with pytest.raises(TrainingError, match=r"torch\.compiler\.reset\(\)"):
        _train(call, net, pruner, 1)


@pytest.mark.parametrize("wrap", [lambda net: torch.compile(net, backend=Counting()), DataParallel])
def test_a_wrapper_is_taken_off_with_a_note(wrap, caplog):
    net = Net()
    with caplog.at_level(logging.INFO, logger="linnet"):
        pruner = Pruner(wrap(net), EXAMPLE, Budget(macs=0.5), align=1)
    assert pruner.model is net
    assert "Net" in caplog.text


def test_a_compiled_network_does_not_block_others_of_its_class():
    def plain(width):
        parts = nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        return nn.Sequential(*parts, nn.Linear(width, 2))

    example, net = torch.zeros(1, 3, 8, 8), plain(32)
    pruner = Pruner(net, example, Budget(macs=0.4), steps=6, warmup=1)
    call, optimizer = torch.compile(net, backend="eager"), torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(6):
        optimizer.zero_grad()
        call(torch.randn(4, 3, 8, 8)).square().mean().backward()
        optimizer.step()
        pruner.step(optimizer)
    assert pruner.compacted
    Pruner(plain(16), example, Budget(macs=0.6), align=1).remove()  # torch's conditions on sizes can't hold for it


@pytest.mark.parametrize("width", [8, 24])
def test_a_compiled_container_of_torch_blocks_no_later_network(width):
    def plain(channels):
        parts = nn.Conv2d(3, channels, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        return nn.Sequential(nn.Sequential(*parts), nn.Linear(channels, 2))

    torch.manual_seed(0)
    torch.compile(plain(8), backend=Counting())(torch.randn(2, 3, 8, 8))
    net = plain(width)
    pruner = Pruner(net, EXAMPLE, Budget(macs=0.5), align=1, steps=4, warmup=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(4):
        optimizer.zero_grad()
        net(torch.randn(4, 3, 8, 8)).square().mean().backward()
        optimizer.step()
        pruner.step(optimizer)
    assert pruner.finish()[0][0].out_channels < width
