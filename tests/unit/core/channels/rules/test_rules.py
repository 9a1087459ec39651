"""Each rule alone, on a net of two layers with slots written down by hand."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.core import ChannelGraph, resize
from linnet.core.channels.rule_call import rule
from linnet.core.channels.rules.shapes import Group, groups
from linnet.core.channels.union_find import Atoms, Paths, atom, copy_number, strip
from linnet.core.program.operators import OPERATORS
from linnet.errors import GraphError, UnsupportedOperator


class Between(nn.Module):
    """A 1x1 convolution to 4 channels, `f`, and a 1x1 convolution to 2."""

    def __init__(self, f, channels=4, made=4):
        super().__init__()
        self.a, self.b, self.f = nn.Conv2d(3, made, 1), nn.Conv2d(channels, 2, 1), f

    def forward(self, x):
        return self.b(self.f(self.a(x)))


def slots(graph, name):
    return {(s.tensor, s.axis): (s.role, s.index.tolist()) for s in graph.classes[name].slots}


def between(f, channels=4, made=4, **options):
    model = Between(f, channels, made).double()
    return model, ChannelGraph(model, torch.zeros(2, 3, 6, 6, dtype=torch.float64), **options)


ONE_EACH = [[0], [1], [2], [3]]


@pytest.mark.parametrize(
    "f",
    [
        torch.relu,
        F.gelu,
        lambda x: x.clamp(-1, 1) * 2 + 1,
        lambda x: F.dropout(x, 0.5),
        lambda x: x.cumsum(2),
        lambda x: x.roll(1, 3),
        lambda x: F.max_pool2d(x, 2),
        lambda x: F.avg_pool2d(x, 3),
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: x.flip(2),
        lambda x: F.pad(x, (1, 1, 1, 1)),
        lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"),
        lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
        lambda x: x.mean(3, keepdim=True),
        lambda x: x.amax((2, 3), keepdim=True),
        lambda x: x.softmax(2),
        lambda x: x.sort(3)[0],
        lambda x: x.transpose(1, 3).transpose(1, 3),
        lambda x: x.movedim(1, -1).movedim(-1, 1),
        lambda x: x[:, :, 1:-1:2],
        lambda x: x.flatten(2).unflatten(2, (6, 6)),
        lambda x: x.unsqueeze(1).squeeze(1),
        lambda x: torch.where(x > 0, x, 0.1 * x),
        lambda x: x.contiguous(memory_format=torch.channels_last),
        lambda x: x.masked_fill(x > 1, 0.0),
        lambda x: x.expand(-1, -1, -1, -1),
        lambda x: x + torch.zeros_like(x),
        lambda x: F.adaptive_avg_pool2d(x, 2),
        lambda x: x.index_select(2, torch.tensor([0, 2])),
        lambda x: F.grid_sample(
            x, torch.zeros(x.shape[0], 3, 3, 2, dtype=x.dtype, device=x.device), align_corners=False
        ),
        lambda x: torch.stack([x, x]).amax(0),
        lambda x: torch.maximum(x, x.neg()),
        lambda x: torch.lerp(x, x * 2, 0.3),
    ],
)
def test_what_passes_labels(f):
    model, graph = between(f)
    assert graph.classes["a"].frozen is None
    assert slots(graph, "a") == {
        ("a.weight", 0): ("produce", ONE_EACH),
        ("a.bias", 0): ("produce", ONE_EACH),
        ("b.weight", 1): ("consume", ONE_EACH),
    }
    assert resize(model, graph, {"a": [0, 1, 2, 3]}).linnet_edit.error <= 1e-10


@pytest.mark.parametrize(
    ("f", "channels", "consumed"),
    [
        (lambda x: torch.cat([x, x], 1), 8, [[0, 4], [1, 5], [2, 6], [3, 7]]),
        (lambda x: x.repeat(1, 2, 1, 1), 8, [[0, 4], [1, 5], [2, 6], [3, 7]]),
        (lambda x: x.tile(1, 2, 1, 1), 8, [[0, 4], [1, 5], [2, 6], [3, 7]]),
        (lambda x: x.flip(1), 4, [[3], [2], [1], [0]]),
        (lambda x: x.roll(1, 1), 4, [[1], [2], [3], [0]]),
        (lambda x: F.pixel_unshuffle(x, 2), 16, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]),
        (lambda x: x.flatten(1, 2).unsqueeze(3), 24, [list(range(6 * i, 6 * i + 6)) for i in range(4)]),
        (lambda x: F.unfold(x, (1, 2)).unsqueeze(3), 8, [[0, 1], [2, 3], [4, 5], [6, 7]]),
    ],
)
def test_what_moves_labels(f, channels, consumed):
    model, graph = between(f, channels)
    assert slots(graph, "a")["b.weight", 1] == ("consume", consumed)
    assert resize(model, graph, {"a": [2, 1, 0, 3]}, split="random").linnet_edit.error <= 1e-10


@pytest.mark.parametrize(
    ("f", "channels", "made", "produced"),
    [
        (lambda x: F.pixel_shuffle(x, 2), 2, 8, [[0, 1, 2, 3], [4, 5, 6, 7]]),
        (lambda x: F.glu(x, 1), 2, 4, [[0, 2], [1, 3]]),
        (lambda x: x[:, ::2] * x[:, 1::2], 2, 4, [[0, 1], [2, 3]]),
        (lambda x: x.chunk(2, 1)[0] + x.chunk(2, 1)[1], 2, 4, [[0, 2], [1, 3]]),
        (lambda x: x.view(x.shape[0], 2, -1, *x.shape[2:]).sum(1), 2, 4, [[0, 2], [1, 3]]),
        (lambda x: x.view(x.shape[0], -1, 2, *x.shape[2:]).sum(2), 2, 4, [[0, 1], [2, 3]]),
        (lambda x: nn.functional.channel_shuffle(x, 2), 4, 4, [[0, 2], [1, 3]]),
    ],
)
def test_what_ties_labels(f, channels, made, produced):
    model, graph = between(f, channels, made)
    assert slots(graph, "a")["a.weight", 0] == ("produce", produced)
    for numbers in ([3, 2], [0, 2], [1, 0]):
        assert resize(model, graph, {"a": numbers}, split="random").linnet_edit.error <= 1e-10


@pytest.mark.parametrize(
    ("f", "reason"),
    [
        (lambda x: x.softmax(1), "taken together"),
        (lambda x: x.cumsum(1), "taken together"),
        (lambda x: x * x.mean(1, keepdim=True), "taken together"),
        (lambda x: x.sort(1)[0], "taken together"),
        (lambda x: F.normalize(x, dim=1), "taken together"),
        (lambda x: F.local_response_norm(x, 2), "mixed|constant|taken|at a place|can't be doubled|is a constant"),
        (lambda x: x + torch.ones(4, 1, 1, dtype=x.dtype, device=x.device), "fixed size"),
        (lambda x: x.select(1, 0).unsqueeze(1).expand(-1, 4, -1, -1), "picked by its number"),
        (lambda x: x.view(x.shape[0], 2, 2, *x.shape[2:]).flatten(1, 2), "can't be doubled"),
        (lambda x: x[:, [0, 1, 3, 2]], "can't be doubled"),
    ],
)
def test_what_freezes_says_why_and_where(f, reason):
    model, graph = between(f)
    assert graph.classes["a"].frozen is not None
    assert re.search(reason, graph.classes["a"].frozen)
    assert "test_rules.py" in graph.classes["a"].frozen or "functional.py" in graph.classes["a"].frozen
    with pytest.raises(GraphError, match=r"`a`.*frozen"):
        resize(model, graph, {"a": 2})


@pytest.mark.parametrize(
    ("f", "op"),
    [
        (lambda x: torch.linalg.qr(x)[0], "linalg_qr"),
        (lambda x: x.scatter(1, torch.zeros(1, 1, 1, 1, dtype=torch.long, device=x.device), 1.0), "scatter"),
        (lambda x: x.clone().index_put((torch.tensor([0]),), torch.tensor(1.0, dtype=x.dtype)), "index_put"),
        (lambda x: torch.linalg.matrix_exp(x), "linalg_matrix_exp"),
    ],
)
def test_operators_without_a_rule_are_refused_by_name(f, op):
    assert f"({op} at test_rules.py:" in str(between(f)[1].classes["a"].frozen)
    with pytest.raises(UnsupportedOperator) as caught:
        between(f, unsupported="refuse")
    message = str(caught.value)
    assert f"rule('{op}')" in message
    assert "test_rules.py:" in message
    assert "frozen=[('a.weight', 0)" in message
    assert isinstance(caught.value, NotImplementedError)
    model = Between(f).double()
    frozen = [("a.weight", 0)]
    graph = ChannelGraph(model, torch.zeros(2, 3, 6, 6, dtype=torch.float64), frozen=frozen)
    assert graph.classes["a"].frozen == "it is frozen by the caller"


def test_writing_into_a_part_is_refused_and_freezing_the_module_passes():
    class Part(nn.Module):
        def forward(self, x):
            x = x.clone()
            x[:, :2] += 1
            return x

    model = nn.Sequential(nn.Conv2d(3, 4, 1), Part(), nn.Conv2d(4, 2, 1))
    with pytest.raises(UnsupportedOperator, match=r"`1`.*\badd\b.*frozen=\['1'\]"):
        ChannelGraph(model, torch.zeros(1, 3, 4, 4), unsupported="refuse")
    assert "writes into a part of a tensor" in str(ChannelGraph(model, torch.zeros(1, 3, 4, 4)).classes["0"].frozen)
    graph = ChannelGraph(model, torch.zeros(1, 3, 4, 4), frozen=["1"])
    assert graph.classes["0"].frozen == "`1` is frozen by the caller"


def test_a_third_party_teaches_its_operator():
    @torch.library.custom_op("linnet_test::scaled_silu", mutates_args=())
    def scaled_silu(x: torch.Tensor) -> torch.Tensor:
        return 2 * F.silu(x)

    @scaled_silu.register_fake
    def _(x):
        return torch.empty_like(x)

    with pytest.raises(UnsupportedOperator, match=r"rule\('linnet_test::scaled_silu'\)"):
        between(lambda x: torch.ops.linnet_test.scaled_silu(x), unsupported="refuse")
    try:

        @rule(torch.ops.linnet_test.scaled_silu)
        def passes(call):
            return call.flow(0)

        model, graph = between(lambda x: torch.ops.linnet_test.scaled_silu(x))
        assert resize(model, graph, {"a": [0, 1, 2, 1]}).linnet_edit.error <= 1e-10
    finally:
        OPERATORS.pop("linnet_test::scaled_silu", None)
    with pytest.raises(GraphError, match=r"`3`.*torch\.ops"):
        rule(3)(print)


def test_grouped_by_whole_groups():
    layers = nn.Conv2d(3, 6, 1), nn.ReLU(), nn.Conv2d(6, 9, 3, groups=3), nn.ReLU(), nn.Conv2d(9, 2, 1)
    model = nn.Sequential(*layers).double()
    graph = ChannelGraph(model, torch.zeros(2, 3, 6, 6, dtype=torch.float64), grouped="whole")
    assert slots(graph, "0") == {
        ("0.weight", 0): ("produce", [[0, 1], [2, 3], [4, 5]]),
        ("0.bias", 0): ("produce", [[0, 1], [2, 3], [4, 5]]),
        ("2.weight", 0): ("produce", [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
        ("2.bias", 0): ("produce", [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
        ("4.weight", 1): ("consume", [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
    }
    new = resize(model, graph, {"0": [2, 0, 3]}, split="random")
    assert (new[2].groups, new[2].in_channels, new[2].out_channels) == (5, 10, 15)
    assert new.linnet_edit.error <= 1e-10


def test_grouped_within_ties_positions_across_groups():
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 1, groups=2), nn.Conv2d(4, 2, 1))
    graph = ChannelGraph(model, torch.zeros(1, 3, 4, 4))
    assert slots(graph, "0")["0.weight", 0] == ("produce", [[0, 3], [1, 4], [2, 5]])
    assert slots(graph, "0")["1.weight", 1] == ("consume", [[0], [1], [2]])
    assert slots(graph, "1")["1.weight", 0] == ("produce", [[0, 2], [1, 3]])


def test_block_order_of_a_run_of_tied_channels():
    model, graph = between(lambda x: F.pixel_shuffle(x, 2), 1, 4)
    wide = resize(model, graph, {"a": 2})
    assert torch.equal(wide.a.weight, model.a.weight[[0, 1, 2, 3, 0, 1, 2, 3]])


def test_transposed_convolution_consumes_axis_0():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ConvTranspose2d(4, 5, 2), nn.Conv2d(5, 2, 1))
    graph = ChannelGraph(model, torch.zeros(1, 3, 4, 4))
    assert slots(graph, "0")["1.weight", 0] == ("consume", ONE_EACH)
    assert slots(graph, "1")["1.weight", 1][0] == "produce"


def test_depthwise_is_decided_on_the_given_network():
    """A grouped convolution narrowed to one channel per group looks depthwise and is not."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1, groups=2), nn.Conv2d(4, 2, 1)).double()
    graph = ChannelGraph(model, torch.zeros(1, 3, 4, 4, dtype=torch.float64))
    small = resize(model, graph, {"0": [1, 0]})
    assert (small[1].groups, small[1].in_channels, small[1].weight.shape[1]) == (2, 2, 1)
    again = ChannelGraph(small, torch.zeros(1, 3, 4, 4, dtype=torch.float64))
    assert again.classes["0"].size == 2


def test_one_channel_is_still_a_channel():
    """Narrowed to one channel, flatten keeps its positions and the layer scale its axis."""

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.gamma, self.fc = nn.Conv2d(3, 3, 1), nn.Parameter(torch.randn(3, 1, 1)), nn.Linear(3 * 4, 2)

        def forward(self, x):
            return self.fc(torch.flatten(self.a(x) * self.gamma, 1))

    model = Scaled().double()
    graph = ChannelGraph(model, torch.zeros(2, 3, 2, 2, dtype=torch.float64))
    small = resize(model, graph, {"a": [0, 1, 0]})
    assert small.gamma.shape == (1, 1, 1)
    one = ChannelGraph(small, torch.zeros(2, 3, 2, 2, dtype=torch.float64))
    assert resize(small, one, {"a": 3}).linnet_edit.error <= 1e-10


def test_bilinear_and_embedding_bag():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.EmbeddingBag(7, 5)
            self.join, self.out = nn.Bilinear(4, 5, 6), nn.Linear(6, 2)

        def forward(self, x, bags):
            return self.out(torch.tanh(self.join(torch.tanh(self.a(x)), self.b(bags))))

    model = Two().double()
    graph = ChannelGraph(model, (torch.zeros(2, 3, dtype=torch.float64), torch.tensor([[1, 2], [0, 6]])))
    assert [c.name for c in graph.classes.values() if c.frozen is None] == ["a", "b", "join"]
    wide = resize(model, graph, {"a": 2, "b": [0, 1, 2, 3, 1], "join": [1, 0, 1, 2, 1, 1]}, split="random")
    assert (wide.join.in1_features, wide.join.in2_features, wide.join.out_features) == (8, 7, 6)
    assert wide.b.embedding_dim == 7
    assert wide.linnet_edit.error <= 1e-10


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((1, 4, 2, 3), (1, 24), [((0,), (0,)), ((1, 2, 3), (1,))]),
        ((1, 8), (1, 2, 4), [((0,), (0,)), ((1,), (1, 2))]),
        ((6, 4), (3, 8), [((0, 1), (0, 1))]),
        ((2, 3), (2, 3, 1), [((0,), (0,)), ((1,), (1,))]),
        ((2, 3, 1), (2, 3), [((0,), (0,)), ((1, 2), (1,))]),
    ],
)
def test_reshapes_are_factored_into_the_smallest_groups(before, after, expected):
    assert groups(before, after) == [Group(*pair) for pair in expected]


def test_labels_pack_path_copy_and_atom():
    atoms, paths = Atoms(), Paths()
    labels = atoms.new(3)
    wrapped = paths.extend(labels, "pos", np.array([0, 5, 5]))
    assert atom(wrapped).tolist() == [0, 1, 2]
    assert len(set(wrapped.tolist())) == 3
    parents, numbers = paths.undo(wrapped, "pos")
    assert parents.tolist() == labels.tolist()
    assert numbers.tolist() == [0, 5, 5]
    assert paths.undo(labels, "pos") is None
    copied = wrapped | (7 << 28)
    assert copy_number(copied).tolist() == [7, 7, 7]
    assert strip(copied).tolist() == wrapped.tolist()


def test_ties_and_freezes_of_atoms():
    atoms = Atoms()
    a = atoms.new(2000)
    atoms.freeze(a[5:6], "because")
    atoms.tie(a[:1000], a[1000:])
    atoms.tie(a[5:7], a[6:8])
    assert atoms.find(a[[5, 6, 7, 1005, 1007]]).tolist() == [5] * 5
    assert atoms.frozen(a[[4, 7]]).tolist() == [False, True]
    atoms.freeze(a[7:8], "later")
    assert atoms.reason(5) == "because"
    assert atoms.reason(0) is None
