"""ChannelGraph: its table, its plain data, its errors."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph, cost, resize
from linnet.core.channels import table
from linnet.errors import GraphError
from tests.zoo import ZOO
from tests.zoo.check import draw


def net():
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3))


X = torch.zeros(2, 3, 8, 8)
GRAPH = ChannelGraph(net(), X)

TABLE = """\
class  channels  unit  tensors    MACs  params  state
input         3     1        1   62.8%   40.6%  frozen: it is the model's input
0             8     1        7  100.0%   99.2%  free
3             4     1        2   37.2%   54.9%  frozen: it is the model's output
3 classes; grouped: within; recorded: meta"""


def test_the_table_is_aligned_and_stable():
    assert str(GRAPH) == TABLE
    assert str(ChannelGraph(net(), torch.randn(5, 3, 8, 8))) == TABLE
    assert repr(GRAPH) == "ChannelGraph(3 classes, 1 free)"


def test_shares_by_hand():
    shares = GRAPH.cost().by_class
    first, second = 6 * 6 * 8 * 27, 4 * 4 * 4 * 72
    assert shares["input"].macs == first
    assert shares["0"].macs == first + second
    assert shares["3"].params == 4 * 72 + 4


@pytest.mark.parametrize("name", ZOO)
def test_cost_at_other_widths_is_the_cost_of_the_resized_network(name):
    entry = ZOO[name]
    model = entry.model()
    graph = ChannelGraph(model, entry.example())
    assert graph.cost() == cost(model, entry.example())
    multiplicity = draw(graph, entry, np.random.default_rng(3), (0, 1, 2, 3))
    assert graph.cost(multiplicity) == cost(resize(model, graph, multiplicity), entry.example())


@pytest.mark.parametrize("name", ["vgg", "shufflenet v2", "fused attention", "tokens", "fold", "pyramid"])
def test_plain_data_and_back(name):
    entry = ZOO[name]
    model = entry.model(dtype=torch.float64)
    graph = ChannelGraph(model, entry.example(dtype=torch.float64))
    again = ChannelGraph.from_dict(json.loads(json.dumps(graph.to_dict())))
    assert str(again) == str(graph)
    assert again.to_dict() == graph.to_dict()
    multiplicity = draw(graph, entry, np.random.default_rng(0), (1, 2))
    left, right = (resize(model, g, multiplicity) for g in (graph, again))
    assert all(torch.equal(p, q) for p, q in zip(left.parameters(), right.parameters(), strict=True))


def test_newer_plain_data_is_refused():
    with pytest.raises(GraphError, match=r"format.*2"):
        ChannelGraph.from_dict({"format": 2})


def test_frozen_modules_and_axes():
    assert ChannelGraph(net(), X, frozen=["1"]).classes["0"].frozen == "`1` is frozen by the caller"
    assert ChannelGraph(net(), X, frozen=[("3.weight", 1)]).classes["0"].frozen == "it is frozen by the caller"
    assert ChannelGraph(net(), X, frozen="0").classes["0"].frozen == "`0` is frozen by the caller"


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: ChannelGraph(net(), X, frozen=["conv"]), "frozen.*'conv'"),
        (lambda: ChannelGraph(net(), X, frozen=[("0.weigth", 0)]), r"[Dd]id you mean.*0\.weight"),
        (lambda: ChannelGraph(net(), X, frozen=[("0.weight", 9)]), r"0\.weight.*9"),
        (lambda: ChannelGraph(net(), X, grouped="all"), "grouped"),
        (lambda: ChannelGraph(net(), torch.zeros(1, 4, 8, 8)), r"example.*\(1, 4, 8, 8\)"),
        (lambda: ChannelGraph(net(), "image"), "`example`"),
        (lambda: GRAPH.at("0.wight", 0), r"`0\.wight`.*`0\.weight`"),
        (lambda: GRAPH.at("0.weight", 7), r"`0\.weight`.*7"),
        (lambda: GRAPH.copies({"o": 2}), "`o`"),
        (lambda: GRAPH.copies({"3": 2}), "`3`.*frozen"),
        (lambda: GRAPH.copies({"0": [1, 1]}), r"`0`.*\(2,\)"),
        (lambda: GRAPH.copies({"0": 0}), r"`0`.*`0\.weight`"),
        (lambda: GRAPH.copies({"0": [-1] + [1] * 7}), "`0`.*-1"),
        (lambda: GRAPH.copies({"0": [0.5] * 8}), r"`0`.*0\.5"),
        (lambda: GRAPH.copies({"0": torch.ones(8)}), r"`0`.*float32.*`mask\.long\(\)`"),
        (lambda: GRAPH.copies({"0": 10**9}), r"`0`.*8e\+09"),
        (lambda: GRAPH.copies({"0": 2**62}), r"`0`.*e\+19"),
        (lambda: GRAPH.copies([1, 0]), "`multiplicity`.*list"),
        (lambda: GRAPH.copies(None), "`multiplicity`.*None"),
        (lambda: GRAPH.copies({"0.weight": 2}), r"`0\.weight`.*`0`"),
        (lambda: GRAPH.copies({"": 2}), "`input`, `0`, `3`"),
        (lambda: GRAPH.at("0.wight", 0), r"`0\.wight`.*`0\.weight`.*`3\.weight`"),
        (lambda: ChannelGraph(net(), X, frozen=["zzz"]), "`0`, `1`, `2`, `3`"),
        (lambda: GRAPH.check({"a": X}), "`model`.*dict"),
        (lambda: GRAPH.check(nn.Conv2d(3, 8, 3)), r"`0\.weight`.*Conv2d"),
        (lambda: GRAPH.check(nn.Sequential(nn.Conv2d(3, 9, 3), *list(net())[1:])), r"`0\.weight`.*\(9, 3"),
    ],
)
def test_what_bad_input_gets(ask, words):
    with pytest.raises(GraphError, match=words):
        ask()


def test_unknown_class_gets_the_nearest_names():
    entry = ZOO["resnet"]
    graph = ChannelGraph(entry.model(), entry.example())
    with pytest.raises(GraphError, match=r"`layer1\.0\.conv`.*`layer1\.0\.conv1`"):
        graph.copies({"layer1.0.conv": 2})


def test_a_module_of_a_class_with_another_name_gets_that_class():
    entry = ZOO["resnet"]
    graph = ChannelGraph(entry.model(), entry.example())
    known = next(c for c in graph.classes.values() if len({s.tensor for s in c.slots if s.role == "produce"}) > 2)
    path = next(p for s in known.slots if s.role == "produce" and (p := s.tensor.rpartition(".")[0]) != known.name)
    with pytest.raises(GraphError, match=rf"`{path}`.*`{known.name}`"):
        graph.copies({path: 2})


def test_the_table_keeps_the_place_in_the_code_of_a_long_reason():
    reason = "frozen: " + "a long reason " * 8 + "(reshape at my_network.py:123: x = x.reshape(2, -1))"
    assert table.short(reason) == (
        "frozen: a long reason a long reason a long reason a long reason a long ... my_network.py:123..."
    )
    assert len(table.short(reason)) <= table.STATE_WIDTH
    early = "frozen: reshape at my_network.py:123: " + "x" * 90
    assert table.short(early) == early[: table.STATE_WIDTH - 3] + "..."
    assert table.short("free") == "free"


def test_the_table_names_weights_that_the_example_does_not_reach_and_resize_leaves_them():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.enc, self.out, self.dec = nn.Linear(3, 8), nn.Linear(8, 2), nn.Linear(8, 3)

        def forward(self, x, *, decode=False):
            return self.dec(self.enc(x)) if decode else self.out(self.enc(x))

    model = Half()
    graph = ChannelGraph(model, torch.zeros(1, 3))
    assert str(graph).splitlines()[-2] == "not reached by the example: dec.weight, dec.bias"
    with pytest.warns(UserWarning, match=r"dec\.weight, dec\.bias"):
        assert torch.equal(resize(model, graph, {"enc": 2}).dec.weight, model.dec.weight)
    assert "not reached" not in str(GRAPH)


def test_one_graph_serves_models_of_the_same_structure():
    other = nn.DataParallel(net())
    assert resize(other, GRAPH, {"0": 2}).linnet_edit.error <= 1e-4


def test_at_of_an_axis_without_channels():
    assert GRAPH.at("0.weight", 2) == [None] * 3
    assert GRAPH.at("0.weight", 0)[5] == ("0", 5)


def test_a_branching_model_is_valid_for_the_path_it_took():
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            y = self.a(x)
            return self.b(y if x.sum().item() > 1e9 else y.relu())

    model = Branch()
    graph = ChannelGraph(model, torch.zeros(2, 3))
    assert str(graph).endswith("recorded: real")
    assert resize(model, graph, {"a": [0, 1, 2, 1]}).linnet_edit.error <= 1e-4
