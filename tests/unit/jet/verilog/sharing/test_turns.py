"""Layers that take turns: pace and queue against a slow count, and whole networks against the references."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Sign, freeze
from linnet.jet.verification import rtl
from linnet.jet.verilog.network import design
from linnet.jet.verilog.sharing.turns import depth_of, turn_of
from linnet.jet.verilog.streams import signs
from tests.built_together import BuiltTogether
from tests.unit.jet.verilog.needs_simulator import needs_icarus, needs_simulator


def program(kind, *, padding=0, side=(9, 10)):
    """Two pools, so that a shared convolution reads another shared one; classes and channels fill no whole turn."""
    torch.manual_seed(0)
    pad = {} if not padding else {"padding": padding, "pad_value": 1}
    net = nn.Sequential(
        BinaryConv2d(1, 3, 1), nn.BatchNorm2d(3), Sign(), nn.MaxPool2d(2),
        kind(3, 5, 3, **pad), nn.BatchNorm2d(5), Sign(), kind(5, 3, 1 if kind is BinaryConv2d else 2),
        nn.BatchNorm2d(3), Sign(),
    )  # fmt: skip
    size = net(torch.zeros(2, 1, *side)).shape[1:]
    net.extend([nn.Flatten(), BinaryLinear(int(np.prod(size)), 7), nn.BatchNorm1d(7)])
    for norm in (m for m in net if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))):
        norm.weight.data.normal_()
        norm.running_mean.normal_()
    return freeze(net.eval(), torch.randint(0, 256, (4, 1, *side)))


def test_a_turn_has_as_many_clocks_as_come_on_average():
    pooled = signs(4, 7, 7).paced(2, 28, 196)  # 14 x 14 pooled by two
    assert turn_of(pooled, 32, "auto") == 4
    assert turn_of(pooled, 3, "auto") == 3
    assert turn_of(pooled, 32, 1) == 1
    assert turn_of(signs(4, 14, 14), 32, "auto") == 1


@pytest.mark.parametrize(("width", "clocks", "row_clocks"), [(7, 2, 28), (5, 2, 22), (6, 4, 48), (1, 1, 9), (9, 1, 30)])
@pytest.mark.parametrize("outputs", [2, 16])
def test_no_more_positions_wait_than_the_queue_holds(width, clocks, row_clocks, outputs):
    source = signs(1, 6, width).paced(clocks, row_clocks)
    turn = turn_of(source, outputs, "auto")
    assert turn > 1
    rng = np.random.default_rng(0)
    for trial in range(30):
        at, times = 0, []
        for n in range(20 * width):
            ready = at + clocks if n else 0
            ready = max(ready, times[n - width] + row_clocks) if n >= width else ready
            at = ready + (int(rng.integers(0, 9)) if trial and rng.random() < 0.2 else 0)
            times.append(at)
        waiting, most, arrivals = 0, 0, set(times)
        for clock in range(times[-1] + 2):
            if clock % turn == trial % turn and waiting:
                waiting -= 1
            waiting += clock in arrivals
            most = max(most, waiting)
        assert most <= depth_of(source, turn)


def test_only_layers_whose_positions_come_seldom_take_turns():
    text = design(program(BinaryConv2d).graph, 9, 10, "net").text
    assert set(re.findall(r"^module (\w+_queue)", text, re.MULTILINE)) == {"net_4_queue", "net_7_queue", "net_11_queue"}
    alone = design(program(BinaryConv2d).graph, 9, 10, "net", 1)
    assert "_queue" not in alone.text
    assert "busy" not in alone.text
    assert alone.interface["share"] == 1
    with pytest.raises(InputError, match=r'`share` must be "auto" or 1 \(got 2\)'):
        design(program(BinaryConv2d).graph, 9, 10, "net", 2)


@needs_icarus
@pytest.mark.parametrize("kind", [BinaryConv2d, JetConv2d])
@pytest.mark.parametrize("padding", [0, 1])
def test_they_equal_the_references_and_leave_nothing_undefined(kind, padding):
    made = program(kind, padding=padding)
    made.verify(torch.randint(0, 256, (20, 1, 9, 10)), backends=["icarus"])


@needs_simulator
def test_they_equal_the_references_under_every_kind_of_gap(monkeypatch):
    made = [program(kind, padding=padding) for kind in (BinaryConv2d, JetConv2d) for padding in (0, 1)]
    frames = [torch.randint(0, 256, (40, 1, 9, 10)) for _ in made]
    monkeypatch.setitem(rtl.SIMULATORS, "rtl", BuiltTogether.of(zip(made, frames, strict=True)))
    for one, pixels in zip(made, frames, strict=True):
        one.verify(pixels, backends=["rtl"])


@needs_simulator
def test_files_on_disk_are_checked_as_they_were_shared(tmp_path):
    made = program(JetConv2d)
    made.to_verilog(tmp_path, share=1)
    record = made.verify(torch.randint(0, 256, (2, 1, 9, 10)), backends=["rtl"], directory=tmp_path)
    assert record.ran[-1].files_sha256
