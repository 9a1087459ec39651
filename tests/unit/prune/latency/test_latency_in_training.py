"""A latency met while training: predicted until the freeze, measured there and at the end."""

import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.models import create
from linnet.prune import Budget, Pruner
from tests.unit.prune.latency.machine import machine, network_s

__all__ = ["machine"]  # a fixture
EXAMPLE = torch.zeros(1, 3, 8, 8)
STEPS = 8


def _net():
    torch.manual_seed(0)
    return create("resnet", depth=8, width=32)


TARGET_MS = 0.6 * network_s(_net()) * 1e3


def _made(**options):
    net = _net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    budget = Budget(latency_ms=TARGET_MS)
    return net, optimizer, Pruner(net, EXAMPLE, budget, steps=STEPS, warmup=1, freeze=5, every=1, **options)


def _train(net, optimizer, pruner, steps):
    done = []
    for number in steps:
        generator = torch.Generator().manual_seed(number)
        x, y = torch.randn(8, 3, 8, 8, generator=generator), torch.randint(0, 10, (8,), generator=generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
        done.append(pruner.step(optimizer))
    return done


def test_the_network_is_measured_at_the_freeze_and_meets_the_target(machine):
    net, optimizer, pruner = _made()
    done = _train(net, optimizer, pruner, range(STEPS))
    assert [step.compacted for step in done].index(True) == 4
    assert 0.95 * TARGET_MS <= network_s(net) * 1e3 <= TARGET_MS
    small = pruner.finish()
    assert pruner.plan().latency.after_ms == pytest.approx(network_s(small) * 1e3)
    assert {r.method: r.value for r in small.report if r.name == "latency ms"} == {
        "dense": pytest.approx(network_s(_net()) * 1e3), "pruned": pytest.approx(network_s(small) * 1e3)
    }  # fmt: skip
    assert all(set(step.used) == {"latency_ms"} and step.used["latency_ms"] <= 1 for step in done[1:])


@pytest.mark.parametrize("steps", [3, STEPS])
def test_finish_measures_where_no_compaction_came(machine, steps):
    net, optimizer, pruner = _made(compact=False)
    _train(net, optimizer, pruner, range(steps))
    assert 0.95 * TARGET_MS <= network_s(pruner.finish()) * 1e3 <= TARGET_MS


@pytest.mark.parametrize("stop", [3, 6])
def test_a_resumed_training_ends_with_the_same_bits(machine, stop):
    _made()  # fills the cache: the three know the same of the machine
    (net, optimizer, pruner), (first, first_optimizer, first_pruner), (again, again_optimizer, again_pruner) = (
        _made() for _ in range(3)
    )
    _train(net, optimizer, pruner, range(STEPS))
    _train(first, first_optimizer, first_pruner, range(stop))
    kept = first_pruner.state_dict(), first.state_dict(), first_optimizer.state_dict()
    again_pruner.load_state_dict(kept[0])
    again.load_state_dict(kept[1])
    again_optimizer.load_state_dict(kept[2])
    _train(again, again_optimizer, again_pruner, range(stop, STEPS))
    assert again_pruner.plan().kept == pruner.plan().kept
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])


def test_progressive_compaction_is_refused_as_whole_networks_are_measured(machine):
    with pytest.raises(InputError, match=r"`compact`.*`latency_ms`"):
        _made(compact="progressive")
