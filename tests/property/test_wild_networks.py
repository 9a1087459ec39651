"""Random networks with hooks, paths of training alone, frozen parts, fixed splits and unreached branches are narrowed
right, or their channels are frozen with a reason: what is handed over equals the masked network in both modes."""

import warnings

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from linnet.core import ChannelGraph, resize
from tests.zoo.check import masked

SIDE = 6
KINDS = (
    "conv", "normed", "hook that scales", "hook that mixes", "hook that looks on", "training order", "training head",
    "fixed split", "split by attribute", "unreached", "noise", "residual", "slice assignment", "group norm",
)  # fmt: skip


class Block(nn.Module):
    """Some channels in, 8 out, with one kind of oddity."""

    def __init__(self, kind, channels):
        super().__init__()
        self.kind, self.c = kind, 4
        self.a = nn.Conv2d(channels, 8, 3, padding=1)
        if kind == "normed":
            self.n = nn.BatchNorm2d(8)
        elif kind == "group norm":
            self.n = nn.GroupNorm(4, 8)
        elif kind in ("fixed split", "split by attribute"):
            self.s = nn.Conv2d(4, 4, 1)
        elif kind in ("unreached", "training head", "residual"):
            self.b = nn.Conv2d(8, 8, 1)
        if kind.startswith("hook"):
            hooks = {"scales": lambda m, i, o: o * 1.5 + 0.1, "mixes": lambda m, i, o: F.normalize(o, dim=1)}
            self.seen = []
            self.a.register_forward_hook(hooks.get(kind.split()[-1], self.look))

    def look(self, module, inputs, output):
        self.seen.append(float(output.mean()))

    def forward(self, x):
        y = self.a(x)
        if self.kind in ("normed", "group norm"):
            return self.n(y).relu()
        if self.kind == "training order" and self.training:
            return torch.cat([y[:, 4:], y[:, :4]], 1).relu()
        if self.kind == "training head":
            return (y + self.b(y)).relu() if self.training else y.relu()
        if self.kind == "fixed split":
            return torch.cat([self.s(y[:, :4]), y[:, 4:]], 1)
        if self.kind == "split by attribute":
            first, second = y.split((self.c, self.c), 1)
            return torch.cat([self.s(first), second], 1)
        if self.kind == "unreached":
            return self.b(y) if x.shape[-1] > 100 else y.relu()
        if self.kind == "noise":
            return y + torch.randn_like(y) if self.training else y
        if self.kind == "residual":
            return y + self.b(y.relu())
        if self.kind == "slice assignment":
            z = torch.zeros_like(y)
            z[:, :3] = y[:, 5:]
            return z + y.relu()
        return y.relu()


def network(kinds, seed):
    torch.manual_seed(seed)
    return nn.Sequential(*(Block(kind, 3 if place == 0 else 8) for place, kind in enumerate(kinds)), nn.Conv2d(8, 2, 1))


def assert_same_in_both_modes(reference, small):
    x = torch.randn(3, 3, SIDE, SIDE, dtype=torch.float64)
    for training in (False, True):
        found = []
        for one in (reference, small):
            torch.manual_seed(0)
            with torch.no_grad():
                found.append(one.train(training)(x))
        assert torch.allclose(*found, atol=1e-9)


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
    st.integers(0, 2**16),
    st.booleans(),
    st.sampled_from(["together", "groups"]),
)
def test_a_wild_network_is_narrowed_right_or_frozen_with_a_reason(kinds, seed, freeze, norms):
    model = network(kinds, seed).double()
    frozen = ["0"] if freeze else []
    graph = ChannelGraph(model, torch.zeros(1, 3, SIDE, SIDE, dtype=torch.float64), frozen=frozen, norms=norms)
    draw = torch.Generator().manual_seed(seed)
    edit = {}
    for names in graph.cut_together():
        members = [graph.classes[name] for name in names]
        if any(known.frozen or known.uniform for known in members) or len({known.size for known in members}) > 1:
            continue
        size = members[0].size
        count = int(torch.randint(1, size + 1, (1,), generator=draw))  # the parts of a cut keep equally many
        for known in members:
            kept = torch.zeros(size, dtype=torch.long)
            kept[torch.randperm(size, generator=draw)[:count]] = 1
            edit[known.name] = kept.tolist()
    if freeze:
        assert all(known.frozen for name, known in graph.classes.items() if name.startswith("0."))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unreached branch is told
        small = resize(model, graph, edit)
    assert all(not block.seen for block in model if getattr(block, "seen", None) is not None)
    assert_same_in_both_modes(masked(model, graph, edit), small)


def test_the_comparison_finds_a_planted_fault():
    model = network(["conv", "training head"], 0).double()
    graph = ChannelGraph(model, torch.zeros(1, 3, SIDE, SIDE, dtype=torch.float64))
    edit = {"0.a": [1, 0] * 4}
    small, reference = resize(model, graph, edit), masked(model, graph, edit)
    assert_same_in_both_modes(reference, small)
    small[1].b.weight.data += 1e-3  # only training reads it
    try:
        assert_same_in_both_modes(reference, small)
    except AssertionError:
        return
    raise AssertionError("the fault wasn't found")
