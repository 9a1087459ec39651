"""A machine of our own, whose kernels and networks take what a formula says."""

import pytest
from torch import nn

from linnet.engine.compute.timing import Timing


class Call:
    """A call that takes these seconds."""

    def __init__(self, seconds):
        self.seconds = seconds


def _kernel_s(self, inputs, outputs, runtime, **kind):
    """Overhead, work, and the penalty of channels that aren't a multiple of 8."""
    work = inputs * outputs / max(self.groups or inputs, 1) * 9 * self.extent[0] ** 2
    return Call(2e-6 + work * 1e-11 * (1.0 if outputs % 8 == 0 else 1.5))


def network_s(network):
    """Not the sum of kernels: a third less, and a constant more."""
    work = sum(m.weight.numel() / 1e9 + 3e-6 for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear)))
    return 2e-5 + 0.7 * work * 8


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """Gives the networks that were measured; `noise` makes runs uneven."""
    monkeypatch.setenv("LINNET_CACHE", str(tmp_path))
    measured, noise = [], [1.0]

    def network_call(self, network):
        measured.append(network)
        return Call(network_s(network))

    def timed(*calls, threads):
        runs = [[call.seconds] * 20 + [call.seconds * noise[0]] * 10 for call in calls]
        return tuple(Timing.of(seconds) for seconds in runs)

    monkeypatch.setattr("linnet.prune.latency.kernel.Kernel.call", _kernel_s)
    monkeypatch.setattr("linnet.prune.latency.cache.quickest", lambda call: call.seconds)
    monkeypatch.setattr("linnet.prune.latency.target.LatencyModel._network_call", network_call)
    monkeypatch.setattr("linnet.prune.latency.target.timed", timed)
    return type("Machine", (), {"networks": measured, "noise": noise})
