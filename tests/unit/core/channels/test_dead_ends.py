"""What stopped whole networks before: sizes kept in attributes, tensors made on the way, operators without a rule."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet import load, save
from linnet.core import ChannelGraph, resize
from linnet.errors import GraphError
from linnet.prune import Budget, extract, plan

X = torch.zeros(2, 3, 16, 16)


class Net(nn.Module):
    """A convolution, what a function makes of it, and a reading convolution."""

    def __init__(self, between, out=16, **parts):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.o = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(out, 4, 1)
        self.between = between
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.o(self.between(self, self.a(x)))


def halved(graph):
    return {n: [1, 0] * (c.size // 2) for n, c in graph.classes.items() if c.frozen is None and c.uniform is None}


def assert_right(model, example=X, **options):
    """The halved network equals the one whose reading columns are 0, in both modes."""
    graph = ChannelGraph(model, example, **options)
    edit = halved(graph)
    assert edit
    small, masked = resize(model, graph, edit), copy.deepcopy(model)
    tensors = dict(masked.named_parameters())
    with torch.no_grad():
        for name, kept in edit.items():
            for slot in graph.classes[name].slots:
                if slot.role == "consume":
                    gone = [int(p) for one, places in zip(kept, slot.index, strict=True) if not one for p in places]
                    tensors[slot.tensor].index_fill_(slot.axis, torch.tensor(gone), 0.0)
        given = torch.randn(example.shape)
        for training in (False, True):
            left, right = masked.train(training)(given), small.train(training)(given)
            assert torch.allclose(left, right, atol=1e-5)
    return graph, small


def split_by_attribute(self, y):
    first, second = torch.split(y, [self.c, self.c], 1)
    return torch.cat([self.b(first), second], 1)


def slices_by_attribute(self, y):
    return torch.cat([self.b(y[:, : self.c]), y[:, self.c :]], 1)


@pytest.mark.parametrize("between", [split_by_attribute, slices_by_attribute])
def test_a_split_by_an_attribute_follows_the_edit(between, tmp_path):
    model = Net(between, b=nn.Conv2d(8, 8, 3, padding=1), c=8)
    _, small = assert_right(model)
    assert small.c == 4
    assert model.c == 8
    save(small, tmp_path / "small.safetensors")
    again = load(Net(between, b=nn.Conv2d(8, 8, 3, padding=1), c=8), tmp_path / "small.safetensors")
    assert again.c == 4
    assert torch.equal(again(X), small(X))


def test_a_fixed_split_beside_a_free_class_in_a_concatenation():
    def between(self, y):
        first, second = torch.split(y, [4, 12], 1)
        return torch.cat([self.b(first), second], 1)

    model = Net(between, b=nn.Conv2d(4, 4, 3, padding=1))
    graph, _ = assert_right(model)
    assert graph.classes["a"].frozen is not None
    wide = resize(model, graph, {"b": 2})
    assert torch.allclose(wide(X + 1), model(X + 1), atol=1e-5)
    assert len(extract(model, plan(model, X, Budget(params=0.97), align=1)).b.weight) < 4


@pytest.mark.parametrize(
    "between",
    [
        lambda self, y: y * torch.arange(y.shape[2], dtype=torch.float32).cos()[:, None],
        lambda self, y: (y.flatten(2) @ torch.eye(y.shape[2] * y.shape[3])).view(y.shape),
        lambda self, y: y.masked_fill(torch.ones(y.shape[2:], dtype=torch.bool).triu(1), 0.0),
    ],
    ids=["cos", "eye", "mask"],
)
def test_tensors_made_in_forward_freeze_nothing(between):
    graph, _ = assert_right(Net(between))
    assert graph.classes["a"].frozen is None


def test_pooling_of_channels_last_tensors_keeps_their_channels():
    def between(self, y):
        return F.adaptive_avg_pool2d(self.c(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), 1)

    graph, _ = assert_right(Net(between, c=nn.Linear(16, 16)))
    assert graph.classes["c"].frozen is None


def written(self, y):
    z = torch.zeros_like(y)
    z[:, :8] = y[:, 8:]
    z[:, 8:] = y[:, :8]
    return self.c(z)


@pytest.mark.parametrize(
    ("between", "words"),
    [
        (lambda self, y: self.c(y + torch.randn_like(y)), "randn_like"),
        (written, "writes into a part of a tensor"),
        (lambda self, y: self.c(self.g(y.flatten(2).mT)[0].mT.unflatten(2, (16, 16))), "`g`"),
    ],
    ids=["noise", "slice assignment", "GRU"],
)
def test_operators_without_a_rule_freeze_what_they_touch_and_nothing_else(between, words):
    parts = {"g": nn.GRU(16, 16, batch_first=True)} if words == "`g`" else {}
    model = Net(between, out=32, c=nn.Conv2d(16, 32, 1), **parts).eval()
    graph = ChannelGraph(model, X)
    assert graph.classes["c"].frozen is None
    assert words in str(graph.classes["a"].frozen)
    made = resize(model, graph, {"c": [1, 0] * 16})
    masked = copy.deepcopy(model)
    masked.o.weight.data[:, 1::2] = 0
    torch.manual_seed(0)
    left = masked(X + 1)
    torch.manual_seed(0)
    assert torch.allclose(left, made(X + 1), atol=1e-5)


@pytest.mark.parametrize("norm", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm])
def test_computed_weights_keep_their_channels(norm):
    model = nn.Sequential(norm(nn.Conv2d(3, 16, 3)), nn.ReLU(), nn.Conv2d(16, 8, 1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    graph, _ = assert_right(model)
    assert graph.classes["2"].frozen is None


def test_numbers_of_channels_in_the_code_freeze_with_the_line():
    model = Net(lambda self, y: torch.cat([y, y.new_zeros(len(y), 24 - y.shape[1], 16, 16)], 1), out=24)
    assert "24 - y.shape[1]" in str(ChannelGraph(model, X).classes["a"].frozen)


def test_a_graph_may_be_told_to_refuse():
    with pytest.raises(GraphError, match="randn_like"):
        ChannelGraph(Net(lambda self, y: y + torch.randn_like(y)), X, unsupported="refuse")
    with pytest.raises(GraphError, match="`unsupported`"):
        ChannelGraph(Net(lambda self, y: y), X, unsupported="skip")


@pytest.mark.parametrize("groups", [4, 16])
def test_whole_groups_of_a_group_norm_go(groups):
    model = Net(lambda self, y: self.n(y).relu(), n=nn.GroupNorm(groups, 16))
    graph, small = assert_right(model, norms="groups")
    assert graph.classes["a"].size == groups
    assert (small.n.num_groups, small.n.num_channels) == (groups // 2, 8)
    together = ChannelGraph(model, X)
    assert together.classes["a"].uniform
    assert ChannelGraph.from_dict(graph.to_dict()).norms == "groups"
    made = plan(model, X, Budget(macs=0.6), align=1)
    assert made.options["norms"] == "groups"
    assert type(made).from_json(made.to_json()) == made
    assert extract(model, type(made).from_json(made.to_json())).n.num_groups < groups


def test_what_is_frozen_and_a_graph_are_taken_by_plan():
    model = nn.Sequential(nn.Conv2d(3, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.ReLU(), nn.Conv2d(16, 2, 1))
    made = plan(model, X, Budget(macs=0.8), align=1, frozen=["0"])
    assert "frozen by the caller" in made.frozen["0"]
    again = type(made).from_json(made.to_json())
    assert extract(model, again)[0].out_channels == 16
    graph = ChannelGraph(model, X, frozen=[("0.weight", 0)])
    made = plan(model, X, Budget(macs=0.8), align=1, graph=graph)
    assert made.graph is graph
    assert extract(model, made)[0].out_channels == 16
    with pytest.raises(ValueError, match="`frozen`"):
        plan(model, X, Budget(macs=0.8), graph=graph, frozen=["0"])
    with pytest.raises(ValueError, match="`graph`"):
        plan(model, X, Budget(macs=0.8), graph=model)


@pytest.mark.parametrize("prepared", [True, False])
def test_quantised_networks_get_a_clear_word(prepared):
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    model[1] = torch.ao.quantization.FakeQuantize() if prepared else torch.ao.nn.quantized.ReLU6()
    with pytest.raises(GraphError, match="prepared for quantisation" if prepared else "is quantised"):
        ChannelGraph(model, X)
