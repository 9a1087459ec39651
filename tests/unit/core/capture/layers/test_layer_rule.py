"""A layer that another package teaches the capture to read."""

import pytest
import torch
from torch import nn

from linnet.core import Capture, LayerRule, add_layer_rule
from linnet.core.capture.gram import rows_gram
from linnet.core.capture.layers import coverage
from linnet.errors import CaptureError, InputError


class Shift(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.offset = nn.Parameter(torch.arange(channels, dtype=torch.float64))

    def forward(self, x):
        return x + self.offset


class ShiftRule(LayerRule):
    types = (Shift,)
    params = ("offset",)

    def refusal_of_input(self, module, a):
        return None if a.ndim == 2 else "its input isn't (N, channels)"

    def per_sample(self, module, uses, param):
        return sum(use.g for use in uses)

    def gram(self, module, uses, others, *, param, max_bytes):
        rows = self.per_sample(module, uses, param)
        return rows_gram(rows, None if others is None else self.per_sample(module, others, param))


@pytest.fixture
def clean():
    before = list(coverage.RULES)
    yield
    coverage.RULES[:] = before


def test_a_rule_of_ones_own_reads_its_layer(clean):
    net, x = nn.Sequential(nn.Linear(3, 2), Shift(2)).double(), torch.rand(5, 3, dtype=torch.float64)
    with Capture(net) as cap:
        net(x).sum().backward()
    assert "1.offset" in cap.uncovered
    add_layer_rule(ShiftRule())
    with Capture(net) as cap:
        net(x).square().sum().backward()
    assert cap.names == ["0", "1"]
    assert torch.equal(cap["1"].per_sample("offset")[:, 1], 2 * net(x)[:, 1])
    with pytest.raises(CaptureError, match="Shift"):
        cap["1"].factors()
    with Capture(net) as cap:
        net(x[:, None]).sum().backward()
    assert "channels" in cap.uncovered["1"]


def test_the_rules_with_constant_statistics_are_those_that_were_added_too(clean):
    mine = ShiftRule()
    add_layer_rule(mine)
    assert coverage.constant_statistics()[0] is mine
    assert coverage.rule_of(Shift(2)) is mine
    norm = coverage.rule_of(nn.BatchNorm2d(3), coverage.constant_statistics())
    assert norm is not None
    assert norm.refusal(nn.BatchNorm2d(3)) is None
    with pytest.raises(InputError, match="`rule`"):
        add_layer_rule(ShiftRule)
