"""A failure at any stage of an edit leaves the model, its average and the optimizer as they were."""

import copy
import importlib
import itertools

import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph, resize
from linnet.core.edit import optimizer_state
from linnet.core.edit.optimizer_state import ApproximateState
from linnet.errors import LinnetError

RESIZE = importlib.import_module("linnet.core.edit.resizing")
X = torch.randn(4, 3, 7, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
EDIT = {"0": [0, 1, 2, 1]}


class Trained:
    """A network, its average and its optimizer after a step, and a copy of everything."""

    def __init__(self, make=torch.optim.Adam, **options):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)).double()
        self.graph = ChannelGraph(self.model, X)
        self.average = copy.deepcopy(self.model)
        self.optimizer = make(self.model.parameters(), **options)
        self.step()
        self.parameters = list(self.model.parameters())
        self.before = self.content()

    def step(self):
        self.optimizer.zero_grad()
        self.model(X).square().mean().backward()
        self.optimizer.step()

    def content(self):
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "gradients": [p.grad for p in self.model.parameters()],
                "mode": [m.training for m in self.model.modules()],
                "random": torch.get_rng_state(),
            }
        )

    def resize(self, **options):
        return resize(self.model, self.graph, EDIT, optimizer=self.optimizer, also=[self.average], **options)

    def assert_unchanged(self):
        assert_same(self.before, self.content())
        held = [p for group in self.optimizer.param_groups for p in group["params"]]
        assert all(p is q for p, q in zip(held, self.parameters, strict=True))
        assert set(self.optimizer.state) == set(self.parameters)
        assert not hasattr(self.model, "linnet_edit")


def assert_same(left, right):
    """Two nested structures hold the same values."""
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, (list, tuple)):
        for a, b in zip(left, right, strict=True):
            assert_same(a, b)
    else:
        assert left == right


def failing(function, call, error):
    """The function, but for its call number `call`, which raises."""
    calls = itertools.count()

    def wrapped(*args, **kwargs):
        if next(calls) == call:
            raise error
        return function(*args, **kwargs)

    return wrapped


STAGES = [("plan", 0), ("apply", 0), ("apply", 1), ("edited", 3), ("next_state", 0), ("prove", 0), ("prove", 1)]


@pytest.mark.parametrize("error", [RuntimeError("injected"), KeyboardInterrupt()], ids=["error", "interrupt"])
@pytest.mark.parametrize(("stage", "call"), STAGES)
def test_a_failure_while_the_edit_is_made(stage, call, error, monkeypatch):
    given = Trained()
    monkeypatch.setattr(RESIZE, stage, failing(getattr(RESIZE, stage), call, error))
    with pytest.raises(type(error)):
        given.resize()
    given.assert_unchanged()
    monkeypatch.undo()
    given.model, given.average = given.resize()
    given.step()
    assert given.model[0].weight.shape[0] == 4


class Interrupting:
    """State whose content can't be read to its end."""

    def keys(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize("what", ["state", "groups"])
def test_a_failure_while_parameters_are_swapped(what, monkeypatch):
    given = Trained()

    def spoiled(*args, **kwargs):
        made = next_state(*args, **kwargs)
        groups = made.groups if what == "state" else [*made.groups, []]
        return optimizer_state.NextState(groups, Interrupting() if what == "state" else made.state)

    next_state = optimizer_state.next_state
    monkeypatch.setattr(RESIZE, "next_state", spoiled)
    with pytest.raises((KeyboardInterrupt, ValueError)):
        given.resize()
    given.assert_unchanged()


@pytest.mark.parametrize(
    "options",
    [
        {"split": "fair"},
        {"split": "per_consumer"},
        {"probe": torch.zeros(2, 5, 7, 7)},
        {"probe": torch.full_like(X, float("nan"))},
        {"probe": 3},
    ],
    ids=str,
)
def test_refused_options(options):
    given = Trained()
    with pytest.raises((LinnetError, RuntimeError)):
        given.resize(**options)
    given.assert_unchanged()


def test_an_average_of_another_network_is_refused():
    given = Trained()
    given.average = nn.Sequential(nn.Conv2d(3, 5, 3))
    given.before = given.content()
    with pytest.raises(LinnetError, match=r"`0\.weight`.*ChannelGraph\(model, example\)"):
        given.resize()
    given.assert_unchanged()


def test_a_warning_that_is_an_error_changes_nothing():
    given = Trained(torch.optim.Adamax)
    with pytest.raises(ApproximateState, match="exp_inf"):
        given.resize()
    given.assert_unchanged()


def test_an_average_that_fails_its_own_proof_stops_all():
    given = Trained()
    with torch.no_grad():
        given.average[3].weight.fill_(float("inf"))
    given.before = given.content()
    with pytest.raises(LinnetError, match=r"`3\.weight`"):
        given.resize()
    given.assert_unchanged()
