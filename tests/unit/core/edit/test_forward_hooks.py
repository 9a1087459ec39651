"""A user's hooks belong to the network: they are recorded and proved, and trial runs leave nothing in them."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.core import ChannelGraph, resize
from linnet.core.edit.edit_plan import plan
from linnet.core.edit.resizing import apply, proved
from linnet.errors import GraphError, ProofError

X = torch.zeros(2, 3, 8, 8)
HALF = [1, 0] * 4


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1))


def sliced_is_masked(model, small, x=None):
    x = torch.randn(2, 3, 8, 8) if x is None else x
    masked = copy.deepcopy(model)
    with torch.no_grad():
        masked[2].weight[:, 1::2] = 0
        return torch.allclose(masked(x), small(x), atol=1e-6)


@pytest.mark.parametrize("layer", [1, 2])
def test_a_hook_that_mixes_channels_freezes_them_with_its_line(layer):
    model = net()
    if layer == 1:
        model[1].register_forward_hook(lambda m, i, o: F.normalize(o, dim=1))
    else:
        model[2].register_forward_pre_hook(lambda m, i: F.normalize(i[0], dim=1))
    reason = ChannelGraph(model, X).classes["0"].frozen
    assert reason is not None
    assert "F.normalize" in reason


def test_a_channelwise_hook_is_part_of_the_edited_network():
    model = net()
    model[1].register_forward_hook(lambda m, i, o: o * 2 + 1)
    small = resize(model, ChannelGraph(model, X), {"0": HALF})
    assert sliced_is_masked(model, small)


def test_a_hook_that_holds_a_parameter_follows_the_edit():
    class Scaled(nn.Sequential):
        def __init__(self):
            super().__init__(*net())
            self.scale = nn.Parameter(torch.rand(8, 1, 1))
            self[1].register_forward_hook(self.scaled)

        def forward(self, x):
            return self[2](self[1](self[0](x)))

        def scaled(self, module, inputs, output):
            return output * self.scale

    model = Scaled()
    graph = ChannelGraph(model, X)
    assert ("scale", 0) in {(slot.tensor, slot.axis) for slot in graph.classes["0"].slots}
    small = resize(model, graph, {"0": HALF})
    assert small.scale.shape == (4, 1, 1)
    x = torch.randn(2, 3, 8, 8)
    before = small(x)
    with torch.no_grad():
        model.scale.zero_()  # the small network's hook is bound to its own scale
    assert torch.equal(small(x), before)


def test_a_hook_that_only_looks_on_freezes_nothing_and_keeps_nothing():
    model, seen = net(), []
    model[1].register_forward_hook(lambda m, i, o: seen.append(o.mean(1).numpy()))
    graph = ChannelGraph(model, X)
    assert graph.classes["0"].frozen is None
    assert len(graph.program.observers) == 1
    small = resize(model, graph, {"0": HALF})
    assert seen == []
    small.requires_grad_(False)
    small(X)
    assert len(seen) == 1  # the user's hook is on the new network


def test_a_hook_that_came_after_the_graph_is_proved_too():
    model = net()
    graph = ChannelGraph(model, X)
    model[1].register_forward_hook(lambda m, i, o: o / o.shape[1])
    with pytest.raises(ProofError, match="differ"):
        resize(model, graph, {"0": HALF})


def test_the_graph_of_hooks_goes_through_plain_data():
    model = net()
    model[1].register_forward_hook(lambda m, i, o: None)
    graph = ChannelGraph.from_dict(ChannelGraph(model, X).to_dict())
    assert graph.program.observers == (("1", "_forward_hooks", 0),)
    edit = plan(model, graph, {"0": HALF})
    assert proved(model, apply(model, edit), edit, graph) <= 1e-10


def test_an_edit_of_what_a_hook_freezes_is_refused():
    model = net()
    model[1].register_forward_hook(lambda m, i, o: o.softmax(1))
    with pytest.raises(GraphError, match="softmax"):
        resize(model, ChannelGraph(model, X), {"0": HALF})
