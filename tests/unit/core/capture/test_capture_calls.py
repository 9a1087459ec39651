"""Layers that run several times, weights that are shared, and rows that are not samples."""

import pytest
import torch
from torch import nn

from linnet.core import Capture
from linnet.errors import CaptureError
from tests.unit.core.capture.captured import X, net


def test_a_layer_used_twice_points_to_its_calls():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    with Capture(model) as cap:
        model(torch.ones(3, 2)).sum().backward()
    for name in ("a", "g"):
        with pytest.raises(CaptureError, match=r"`0`.*`\.calls`"):
            getattr(cap["0"], name)
    first, second = cap["0"].calls
    assert torch.equal(first.a, torch.ones(3, 2))
    assert torch.equal(second.g, torch.ones(3, 2))


def test_calls_of_different_batches_are_not_summed():
    layer = nn.Linear(2, 2)
    model = nn.ModuleList([layer])
    with Capture(model) as cap:
        (layer(torch.ones(3, 2)).sum() + layer(torch.ones(4, 2)).sum()).backward()
    assert [len(call.a) for call in cap["0"].calls] == [3, 4]
    with pytest.raises(CaptureError, match=r"`0`.*\b3\b.*\b4\b"):
        cap["0"].per_sample()


def test_a_parameter_held_by_two_layers_is_refused_by_both_names():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    model[2].weight = model[0].weight
    with Capture(model) as cap:
        model(torch.ones(3, 2)).sum().backward()
    with pytest.raises(CaptureError, match=r"`0\.weight`.*`2\.weight`"):
        cap["0"].per_sample("weight")
    with pytest.raises(CaptureError, match=r"`2\.weight`.*`0\.weight`"):
        cap["2"].gram()
    assert torch.equal(cap["2"].per_sample("bias"), torch.ones(3, 2))
    assert cap["2"].gram(params=["bias"]).tolist() == [[2.0] * 3] * 3


class Windows(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        return self.inner(x.reshape(-1, 2)).reshape(len(x), -1)


def test_rows_that_are_not_samples_are_refused():
    model = Windows()
    with Capture(model) as cap:
        model(torch.ones(3, 8)).sum().backward()
    assert cap["inner"].a.shape == (12, 2)
    assert cap["inner"].factors()[0].tolist() == [[12.0, 12.0], [12.0, 12.0]]
    with pytest.raises(CaptureError, match=r"`inner`.*12"):
        cap["inner"].gram()


def test_a_second_forward_replaces_the_first():
    model = net()
    with Capture(model) as cap:
        for factor in (1, 2, 3):
            model(factor * X).sum().backward()
            assert torch.equal(cap["0"].a, factor * X)
            assert len(cap["0"].calls) == 1


def test_two_forwards_before_one_backward_are_two_calls():
    model = net()
    with Capture(model) as cap:
        (model(X) + model(2 * X)).sum().backward()
    assert [torch.equal(c.a, k * X) for k, c in enumerate(cap["0"].calls, 1)] == [True, True]


def test_unequal_passes_through_calls_are_refused():
    layer = nn.Linear(2, 2)
    model = nn.ModuleList([layer])
    with Capture(model, keep="all") as cap:
        first, second = layer(torch.ones(3, 2)), layer(torch.ones(3, 2))
        (first + second).sum().backward(retain_graph=True)
        first.sum().backward()
    with pytest.raises(CaptureError, match=r"`0`.*keep='all'"):
        cap["0"].per_sample()
