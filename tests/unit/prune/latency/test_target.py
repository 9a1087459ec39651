"""Meeting a latency: on a machine of our own, whose networks take what a formula says."""

import logging

import pytest
import torch
from torch import nn

from linnet import ChannelGraph, resize
from linnet.errors import BudgetError
from linnet.models import create
from linnet.prune import Budget, Plan, extract, plan
from tests.unit.prune.latency.machine import Call, machine, network_s

__all__ = ["machine"]  # a fixture

EXAMPLE = torch.zeros(1, 3, 16, 16)


def _net():
    torch.manual_seed(0)
    return create("resnet", depth=8, width=32)


DENSE_MS = network_s(_net()) * 1e3


@pytest.mark.parametrize("share", [0.9, 0.75, 0.6, 0.5, 0.4])
def test_the_target_is_met_within_five_percent_and_never_exceeded(machine, share):
    net, target = _net(), share * DENSE_MS
    made = plan(net, EXAMPLE, Budget(latency_ms=target))
    took = network_s(extract(net, made)) * 1e3
    assert 0.95 * target <= took <= target
    assert made.latency.after_ms == pytest.approx(took)
    assert made.latency.before_ms == pytest.approx(DENSE_MS)
    assert made.latency.target_ms == target


def test_what_is_reported_was_measured_and_is_of_the_network_that_is_extracted(machine):
    net = _net()
    made = plan(net, EXAMPLE, Budget(latency_ms=0.5 * DENSE_MS))
    sizes = [p.shape for p in extract(net, made).parameters()]
    assert any([p.shape for p in network.parameters()] == sizes for network in machine.networks)


def test_a_counted_limit_beside_it_holds_too(machine):
    net = _net()
    made = plan(net, EXAMPLE, Budget(latency_ms=0.7 * DENSE_MS, macs=0.3))
    assert made.after["macs"] <= 0.3 * made.before["macs"]
    assert made.latency.after_ms <= 0.7 * DENSE_MS


def test_where_another_limit_stays_below_the_target_nothing_is_looked_for(machine):
    net = _net()
    made = plan(net, EXAMPLE, Budget(latency_ms=10 * DENSE_MS, macs=0.3))
    assert made.kept == plan(net, EXAMPLE, Budget(macs=0.3)).kept
    assert made.latency.networks == 1
    assert len(plan(net, EXAMPLE, Budget(latency_ms=10 * DENSE_MS)).kept["conv1"]) == 32


def test_one_rate_for_all_layers_meets_it_too(machine):
    made = plan(_net(), EXAMPLE, Budget(latency_ms=0.6 * DENSE_MS), select="per_layer")
    assert made.latency.after_ms <= 0.6 * DENSE_MS


def test_a_target_out_of_reach_names_the_smallest_that_was_measured(machine):
    net = _net()
    graph = ChannelGraph(net, EXAMPLE)
    eight = {c.name: [1] * 8 + [0] * (c.size - 8) for c in graph.classes.values() if c.frozen is None}
    least = network_s(resize(net, graph, eight))
    with pytest.raises(BudgetError, match=rf"`latency_ms`.*{least * 1e3:.3g} ms"):
        plan(net, EXAMPLE, Budget(latency_ms=0.3 * least * 1e3))


def test_the_second_plan_takes_no_kernel_again(machine, monkeypatch):
    plan(_net(), EXAMPLE, Budget(latency_ms=0.6 * DENSE_MS))
    monkeypatch.setattr("linnet.prune.latency.cache.quickest", lambda call: pytest.fail("a kernel was timed again"))
    before = len(machine.networks)
    made = plan(_net(), EXAMPLE, Budget(latency_ms=0.55 * DENSE_MS))
    assert made.latency.after_ms <= 0.55 * DENSE_MS
    assert len(machine.networks) - before <= 4


def test_a_machine_that_became_slower_is_followed(machine, monkeypatch):
    plan(_net(), EXAMPLE, Budget(latency_ms=0.6 * DENSE_MS))

    def slow(self, network):
        return Call(1.6 * network_s(network))

    monkeypatch.setattr("linnet.prune.latency.target.LatencyModel._network_call", slow)
    made = plan(_net(), EXAMPLE, Budget(latency_ms=0.8 * DENSE_MS))
    assert 0.95 * 0.8 * DENSE_MS <= made.latency.after_ms <= 0.8 * DENSE_MS


def test_noise_is_said_and_not_chased(machine, caplog):
    machine.noise[0] = 1.5
    with caplog.at_level(logging.WARNING):
        made = plan(_net(), EXAMPLE, Budget(latency_ms=0.6 * DENSE_MS))
    assert made.latency.noisy
    assert "1.50" in caplog.text
    assert "noisy: p95 / p50 is 1.50" in str(made)
    assert made.latency.after_ms <= 0.6 * DENSE_MS


def test_a_plan_with_a_latency_goes_to_json_and_back(machine):
    made = plan(_net(), EXAMPLE, Budget(latency_ms=0.6 * DENSE_MS, batch=2))
    assert Plan.from_json(made.to_json()) == made
    assert "measured" in str(made)


@pytest.mark.parametrize("runtime", ["torch", pytest.param("onnxruntime", marks=pytest.mark.slow)])
def test_real_runtimes_measure_a_real_network(runtime, monkeypatch, tmp_path):
    if runtime == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="the extra `onnx` isn't installed")
    monkeypatch.setenv("LINNET_CACHE", str(tmp_path))
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Flatten(), nn.Linear(2304, 2))
    made = plan(net, EXAMPLE, Budget(macs=0.5, latency_ms=10_000, runtime=runtime, batch=2))
    assert 0 < made.latency.after_ms <= made.latency.p50_ms <= made.latency.p95_ms
    assert made.latency.runtime.startswith(runtime)
    assert made.latency.runs in (30, 60)  # once more where other work disturbs
    assert list(tmp_path.glob("latency/*.json"))
