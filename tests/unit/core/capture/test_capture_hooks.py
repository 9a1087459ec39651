"""A capture leaves nothing behind, whatever ends its block, and says when it is read too early."""

import itertools

import pytest
import torch
from torch import nn

from linnet.core import Capture
from linnet.errors import CaptureError
from tests.unit.core.capture.captured import X, hooks, net


class Hooked(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.error = error

    def forward(self, x):
        x = self.layer(x)
        if self.error is not None:
            raise self.error
        return x


@pytest.mark.parametrize("error", [None, ValueError("no"), KeyboardInterrupt(), SystemExit()])
def test_no_hook_stays_after_any_exit(error):
    model = Hooked(error)
    if error is None:
        with Capture(model):
            assert len(hooks(model)) == 2
            model(torch.ones(1, 2)).sum().backward()
    else:
        with pytest.raises(type(error)), Capture(model):
            model(torch.ones(1, 2))
    assert hooks(model) == []
    assert model.layer._forward_hooks_with_kwargs == {}


def test_no_hook_stays_when_opening_fails_half_way(monkeypatch):
    model = net()
    counter = itertools.count()
    register = nn.Module.register_forward_hook

    def failing(self, *args, **options):
        if next(counter) == 2:
            raise KeyboardInterrupt
        return register(self, *args, **options)

    monkeypatch.setattr(nn.Module, "register_forward_hook", failing)
    with pytest.raises(KeyboardInterrupt), Capture(model):
        pass
    assert hooks(model) == []


def test_tensor_hooks_are_gone_after_the_block():
    model = net()
    with Capture(model) as cap:
        out = model(X)
    out.sum().backward()
    with pytest.raises(CaptureError, match=r"with Capture\("):
        cap["0"]


def test_reading_before_backward_says_so():
    model = net()
    with Capture(model) as cap:
        model(X)
        with pytest.raises(CaptureError, match=r"`0`.*`backward`"):
            cap["0"]


def test_nested_captures_are_independent():
    model = net()
    with Capture(model) as outer:
        with Capture(model, layers=["4"]) as inner:
            model(X).sum().backward()
        assert len(hooks(model)) == 4
        model(2 * X).sum().backward()
    assert inner.names == ["4"]
    assert torch.equal(outer["0"].a, 2 * X)
    assert torch.equal(inner["4"].g, outer["4"].g)
    assert hooks(model) == []


def test_opening_twice_is_refused_and_opening_again_starts_afresh():
    model = net()
    cap = Capture(model)
    with cap:
        model(X).sum().backward()
        with pytest.raises(CaptureError, match="open"):
            cap.__enter__()
    assert cap["0"].a is not None
    with cap, pytest.raises(CaptureError, match="`backward`"):
        cap["0"]
