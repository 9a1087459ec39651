"""The table of proofs: what a verdict means, and that a wrong edit would show."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from benchmarks import goal
from benchmarks.core import proofs
from benchmarks.core import zoo as core_zoo
from benchmarks.sidebyside import Side
from linnet.results import Record
from tests.zoo import ZOO


def test_a_verdict_is_about_the_worst_edit():
    assert core_zoo._verdict([1e-16, 2e-11], 1e-10, 0) == "right"
    assert core_zoo._verdict([1e-16, 2e-9], 1e-10, 0) == "wrong"
    assert core_zoo._verdict([], 1e-10, 3) == "refused"
    assert core_zoo._verdict([], 1e-10, 0) == "nothing may be edited"


def test_both_directions_are_right_and_a_shifted_network_is_not(monkeypatch):
    entry = ZOO["vgg"]
    for numbers in core_zoo.DIRECTIONS.values():
        errors, refused = core_zoo._errors(entry, 2, numbers, torch.float64, "cpu")
        assert refused == 0
        assert max(errors["eval"] + errors["train"]) < 1e-13

    resize = core_zoo.resize

    def shifted(*args, **options):
        new = resize(*args, **options)
        with torch.no_grad():
            next(p for p in new.parameters() if p.ndim == 2).add_(1e-3)
        return new

    monkeypatch.setattr(core_zoo, "resize", shifted)
    errors, _ = core_zoo._errors(entry, 1, (1, 2), torch.float64, "cpu")
    assert core_zoo._verdict(errors["eval"], 1e-10, 0) == "wrong"


class Peer:
    """Removes the channels that `cut` says, from both layers of a two-layer network."""

    prune_linear_out_channels = prune_conv_out_channels = None

    def __init__(self, cut, *, allowed=True):
        self.cut, self.allowed = cut, allowed
        self.DependencyGraph = lambda: self

    def build_dependency(self, model, example_inputs):
        self.model = model
        return self

    def get_pruning_group(self, layer, way, idxs):
        return SimpleNamespace(prune=lambda: self.cut(self.model, idxs))

    def check_pruning_group(self, group):
        return self.allowed


def cut(model, gone, *, other=0):
    keep = [n for n in range(4) if n not in gone]
    first, second = model
    first.weight, first.bias = nn.Parameter(first.weight[keep]), nn.Parameter(first.bias[keep])
    second.weight = nn.Parameter(second.weight[:, [(n + other) % 4 for n in keep]])


@pytest.mark.parametrize(
    ("peer", "words"),
    [
        (Peer(cut), "right"),
        (Peer(lambda model, gone: cut(model, gone, other=1)), "silently wrong"),
        (Peer(cut, allowed=False), "refused"),
    ],
)
def test_the_peer_is_judged_by_the_masked_network(peer, words):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).double()
    masked = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).double()
    masked.load_state_dict(model.state_dict())
    with torch.no_grad():
        masked[1].weight[:, 2] = 0
    x = torch.randn(5, 3, dtype=torch.float64)
    assert core_zoo._pruned(peer, model, {"0": [2]}, masked, x).startswith(words)


def test_a_missed_goal_says_why_and_a_met_one_does_not():
    fast, slow = Side("a", lambda: None, lambda _: 0), Side("b", lambda: sum(range(20000)), lambda _: 0)
    missed = goal.time_ratio("x", "what", slow, fast, goal=0.5, pairs=3, reason="it is slow")
    met = goal.time_ratio("x", "what", fast, slow, goal=0.5, pairs=3, reason="it is slow")
    assert "no: it is slow" in goal.as_markdown([missed])
    assert "it is slow" not in goal.as_markdown([met])


def test_a_row_of_the_table():
    facts = {"graph": "vgg", "device": "cpu", "refused": 0, "bound": 1e-10, "verdict": "right"}
    records = [
        Record("a", 3e-16, n=25, context={**facts, "direction": way, "mode": mode, "dtype": dtype, "peer": "refused"})
        for way in ("widen", "narrow")
        for mode in ("eval", "train")
        for dtype in ("float64", "float32")
    ]
    row = core_zoo.as_markdown(records).splitlines()[2]
    assert row == "| vgg | 3.0e-16 | 3.0e-16 | 3.0e-16 | 3.0e-16 | 100 | right | refused |"


def test_the_page_says_what_the_records_say():
    assert proofs.PAGE.current() == proofs.text()
