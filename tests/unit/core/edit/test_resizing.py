"""resize: what follows an edit, what an error leaves, and faults that the proof must see."""

import copy
import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from linnet.core import ChannelGraph, resize
from linnet.core.channels import propagation_state
from linnet.core.edit import proof
from linnet.core.edit.edit_plan import plan
from linnet.core.edit.index_tensors import edited
from linnet.core.edit.resizing import apply
from linnet.errors import GraphError, InputError, OptimizerStateError, ProofError
from tests.zoo import ZOO
from tests.zoo.check import difference, draw, masked

RESIZE = importlib.import_module("linnet.core.edit.resizing")


class MyConv(nn.Conv2d):
    """A subclass: its sizes follow too."""


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.bn, self.act = MyConv(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.dw, self.b = nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 2, 1)
        self.register_buffer("scale", torch.rand(4, 1, 1) + 0.5, persistent=False)

    def forward(self, x):
        return self.b(self.dw(self.act(self.bn(self.a(x)))) * self.scale)


def example(**kind):
    return torch.randn(2, 3, 7, 7, generator=torch.Generator().manual_seed(3), dtype=torch.float64).to(**kind)


def net(dtype=torch.float64):
    torch.manual_seed(0)
    return Net().to(dtype)


GRAPH = ChannelGraph(net(), example())


def test_weights_attributes_and_buffers_by_hand():
    model = net()
    new = resize(model, GRAPH, {"a": [0, 1, 2, 1]})
    picked = [1, 2, 2, 3]
    assert torch.equal(new.a.weight, model.a.weight[picked])
    assert torch.equal(new.bn.running_var, model.bn.running_var[picked])
    assert torch.equal(new.dw.weight, model.dw.weight[picked])
    assert torch.equal(new.scale, model.scale[picked])
    shares = torch.tensor([1, 0.5, 0.5, 1], dtype=torch.float64).reshape(1, 4, 1, 1)
    assert torch.equal(new.b.weight, model.b.weight[:, picked] * shares)
    assert type(new) is Net
    assert type(new.a) is MyConv
    assert (new.a.out_channels, new.bn.num_features, new.dw.groups, new.dw.in_channels, new.b.in_channels) == (4,) * 5
    narrow = resize(model, GRAPH, {"a": torch.tensor([0, 1, 0, 1])})
    assert (narrow.a.out_channels, narrow.dw.groups, narrow.b.in_channels) == (2, 2, 2)
    assert narrow.linnet_edit.base["a.weight"] == (4, 3, 3, 3)
    assert narrow.linnet_edit.attributes["dw"] == {"in_channels": 2, "out_channels": 2, "groups": 2}
    assert narrow.linnet_edit.buffers == {"scale": {0: [1, 3]}}
    assert "linnet_edit" not in narrow.state_dict()
    assert copy.deepcopy(narrow).linnet_edit.base == narrow.linnet_edit.base


def test_the_given_model_its_mode_hooks_and_random_states_are_untouched():
    model = net().train()
    calls = []
    model.a.register_forward_hook(lambda *_: calls.append(1))
    model.b.weight.requires_grad_(requires_grad=False)
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    new = resize(model, GRAPH, {"a": 2})
    assert calls == []
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
    assert model.training
    assert new.training
    assert not new.b.weight.requires_grad
    assert new.a.weight.requires_grad
    new(example())
    assert calls == [1]


def test_resize_twice_is_resize_by_products():
    model = net()
    once = resize(model, GRAPH, {"a": [0, 1, 1, 1]})
    again = ChannelGraph(once, example())
    twice = resize(once, again, {"a": [1, 0, 1]})
    direct = resize(model, GRAPH, {"a": [0, 1, 0, 1]})
    assert all(torch.equal(p, q) for p, q in zip(twice.parameters(), direct.parameters(), strict=True))
    assert twice.linnet_edit.base["a.weight"] == (4, 3, 3, 3)
    assert twice.linnet_edit.buffers == {"scale": {0: [1, 3]}}


def test_narrow_then_widen_keeps_sizes():
    model = net()
    small = resize(model, GRAPH, {"a": [0, 1, 0, 1]})
    back = resize(small, ChannelGraph(small, example()), {"a": 2})
    assert [p.shape for p in back.parameters()] == [p.shape for p in model.parameters()]


def test_also_edits_further_models_alike():
    model, average = net(), net()
    with torch.no_grad():
        average.a.weight.add_(1.0)
    new, other = resize(model, GRAPH, {"a": [0, 1, 2, 1]}, also=[average])
    assert torch.equal(other.a.weight, average.a.weight[[1, 2, 2, 3]])
    assert torch.equal(new.a.weight, model.a.weight[[1, 2, 2, 3]])
    assert other.linnet_edit.error <= 1e-10


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_types_and_memory_formats_are_kept(dtype):
    model = net(dtype).to(memory_format=torch.channels_last)
    graph = ChannelGraph(model, example(dtype=dtype))
    new = resize(model, graph, {"a": [1, 3, 0, 2]}, split="random")
    assert {p.dtype for p in new.parameters()} == {dtype}
    assert new.a.weight.is_contiguous(memory_format=torch.channels_last)
    assert new.linnet_edit.error <= 1e-4


@pytest.mark.gpu
def test_on_cuda():
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    model = net(torch.float32).cuda()
    new = resize(model, ChannelGraph(model, example(dtype=torch.float32)), {"a": [0, 1, 2, 1]})
    assert new.a.weight.is_cuda
    assert new.linnet_edit.error <= 1e-4


def test_tied_parameters_stay_tied():
    entry = ZOO["tied modules"]
    model = entry.model()
    new = resize(model, ChannelGraph(model, entry.example()), {"stem": 2})
    assert new.a.weight is new.b.weight
    assert new.a.weight.shape == (12, 12)


@pytest.mark.parametrize("name", ["glu slices", "shufflenet v1", "convnext", "vgg", "fused attention", "unflatten"])
def test_replay_and_recording_anew_agree(name):
    entry = ZOO[name]
    model = entry.model(dtype=torch.float64)
    graph = ChannelGraph(model, entry.example(dtype=torch.float64))
    multiplicity = draw(graph, entry, np.random.default_rng(1), (0, 1, 2))
    anew = plan(model, graph, multiplicity, again=True)
    replayed = plan(model, graph, multiplicity, again=False)
    assert anew.recorded
    assert not replayed.recorded
    assert anew.shapes == replayed.shapes
    for tensor, axes in anew.axes.items():
        for left, right in zip(axes, replayed.axes[tensor], strict=True):
            assert np.array_equal(left.index, right.index)


def test_most_convolution_nets_are_replayed():
    for name in ("vgg", "resnet", "mobilenet", "unet", "densenet"):
        entry = ZOO[name]
        assert ChannelGraph(entry.model(), entry.example()).walk.size_dependent == []


def test_per_consumer_shares_differ_and_the_function_doesnt():
    entry = ZOO["two heads"]
    model = entry.model(dtype=torch.float64)
    graph = ChannelGraph(model, entry.example(dtype=torch.float64))
    new = resize(model, graph, {"body": 2}, split="per_consumer")
    first, second = ((new.mask, model.mask), (new.points, model.points))
    ratios = [(made.weight[:, ::2] / old.weight).mean((0, 2, 3)) for made, old in (first, second)]
    assert not torch.allclose(*ratios)
    assert difference(model, new, entry.example(3, dtype=torch.float64), training=False) <= 1e-10


def test_shares_are_drawn_once_per_channel_from_the_stated_range():
    model = net()
    one, two, other = (resize(model, GRAPH, {"a": 3}, split="random", rng_seed=s) for s in (5, 5, 6))
    assert torch.equal(one.b.weight, two.b.weight)
    assert not torch.equal(one.b.weight, other.b.weight)
    shares = (one.b.weight / model.b.weight.repeat_interleave(3, 1)).detach()
    assert torch.allclose(shares[0].reshape(4, 3).sum(1), torch.ones(4, dtype=torch.float64), atol=1e-14)
    assert float(shares.min()) >= 0.25 / (0.25 + 2 * 1.25) - 1e-9


def interleaved(self, labels):
    """The planted fault: copies of each channel side by side, also in runs."""
    times = self.copies[self.atoms.find(labels)]
    number = np.concatenate([np.arange(k) for k in times])
    return np.repeat(labels, times) | (number.astype(np.int64) << propagation_state.COPY_SHIFT)


def test_an_interleaved_copy_order_is_seen(monkeypatch):
    entry = ZOO["pixel shuffle"]
    model = entry.model(dtype=torch.float64)
    graph = ChannelGraph(model, entry.example(dtype=torch.float64))
    monkeypatch.setattr(propagation_state.PropagationState, "expand", interleaved)
    with pytest.raises((GraphError, ProofError)):
        resize(model, graph, {"0": 2})


def test_a_swapped_axis_is_seen(monkeypatch):
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    graph = ChannelGraph(model, torch.zeros(2, 3, dtype=torch.float64))

    def swapped(old, axes):
        square = old.ndim == 2 and old.shape[0] == old.shape[1]
        return edited(old, [replace(e, axis=1 - e.axis) for e in axes] if square else axes)

    monkeypatch.setattr(RESIZE, "edited", swapped)
    with pytest.raises(ProofError, match=r"`2`.*ChannelGraph\(\.\.\., frozen="):
        resize(model, graph, {"0": [0, 1, 2, 1], "2": [1, 2, 0, 1]})


def test_a_missing_tie_is_seen(monkeypatch):
    entry = ZOO["bottleneck"]
    model = entry.model(dtype=torch.float64)
    monkeypatch.setattr(propagation_state.PropagationState, "same", lambda *_: None)
    graph = ChannelGraph(model, entry.example(dtype=torch.float64))
    monkeypatch.undo()
    free = {c.name: [0] + [1] * (c.size - 1) for c in graph.classes.values() if c.frozen is None}
    with pytest.raises((GraphError, ProofError)):
        resize(model, graph, free)


def test_wrong_shares_are_seen_and_the_module_named(monkeypatch):
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    monkeypatch.setattr(RESIZE, "edited", lambda old, axes: edited(old, axes, powers=()))
    with pytest.raises(ProofError, match="`b`"):
        resize(model, GRAPH, {"a": 2}, optimizer=optimizer)
    assert optimizer.param_groups[0]["params"][0] is model.a.weight


def test_classes_that_fail_alone_are_named(monkeypatch):
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    graph = ChannelGraph(model, torch.zeros(2, 3, dtype=torch.float64))
    monkeypatch.setattr(RESIZE, "edited", lambda old, axes: edited(old, axes, powers=()))
    with pytest.raises(ProofError, match=r"classes.*`2`"):
        resize(model, graph, {"0": [0, 1, 1, 1], "2": 2})


def test_weights_that_are_not_finite_prove_nothing():
    model = net()
    model.a.weight.data.fill_(float("nan"))
    with pytest.raises(ProofError, match=r"`a\.weight`"):
        resize(model, GRAPH, {"a": 2})


class _Hidden(nn.Module):
    """A branch whose code depends on a number of channels, behind a scale."""

    def __init__(self, scale):
        super().__init__()
        self.stem, self.a, self.b, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 3)
        self.scale = nn.Parameter(torch.full((8,), scale))

    def forward(self, x):
        x = self.stem(x)
        h = torch.relu(self.a(x))
        return self.head(x + self.scale * self.b(h / h.shape[-1] ** 0.5))


@pytest.mark.parametrize("scale", [1.0, 1e-6, 0.0])
def test_a_branch_that_hardly_reaches_the_output_is_proved_too(scale):
    torch.manual_seed(0)
    model, x = _Hidden(scale), torch.randn(4, 6)
    with pytest.raises(ProofError, match="`b`"):
        resize(model, ChannelGraph(model, x), {"a": 4})


def test_a_head_that_starts_at_zero_is_proved_with_weights_drawn_anew():
    model = net()
    nn.init.zeros_(model.b.weight)
    wide = resize(model, GRAPH, {"a": 2})
    assert 0 <= wide.linnet_edit.error <= 1e-4
    assert not wide.b.weight.any()


def test_an_output_that_no_weight_can_change_proves_nothing():
    class Nothing(nn.Sequential):
        def forward(self, x):
            return super().forward(x) * 0

    model, x = Nothing(nn.Linear(3, 4), nn.Linear(4, 2)), torch.randn(2, 3)
    with pytest.raises(ProofError, match=r"`Nothing`.*probe=batch"):
        resize(model, ChannelGraph(model, x), {"0": 2})


def test_a_probe_can_be_given():
    assert resize(net(), GRAPH, {"a": 2}, probe=example()).linnet_edit.error <= 1e-10


@pytest.mark.parametrize(
    ("model", "graph", "options", "words"),
    [
        (
            net(),
            GRAPH,
            {"probe": torch.ones(2, 4, 7, 7)},
            r"`probe`.*\(2, 4, 7, 7\)",
        ),
        (net(), GRAPH, {"probe": "x"}, "`probe`.*str"),
        (net(), GRAPH, {"also": nn.Sequential(net())}, r"`also`.*also=\[network\]"),
        (net(), GRAPH, {"also": [AveragedModel(net())]}, r"also=\[average\.module\]"),
        (AveragedModel(net()), GRAPH, {}, r"`average\.module`"),
        (net(), GRAPH, {"also": [3]}, "`model`.*int"),
        (net(), GRAPH, {"optimizer": [torch.optim.SGD(net().parameters())]}, "`optimizer`.*list"),
        (GRAPH, net(), {}, "`graph`.*Net"),
        (net(), None, {}, "`graph`.*None"),
        (net().to("meta"), GRAPH, {}, r"`a\.weight`.*meta"),
    ],
)
def test_arguments_of_another_kind_are_refused_by_name(model, graph, options, words):
    with pytest.raises(InputError, match=words):
        resize(model, graph, {"a": 2}, **options)


def test_a_network_that_was_averaged_is_edited_from_inside():
    average = AveragedModel(net())
    assert len(resize(net(), GRAPH, {"a": 2}, also=[average.module])) == 2


def test_dropout_is_off_in_the_proof():
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.Dropout2d(0.5), nn.Conv2d(6, 2, 1)).double()
    graph = ChannelGraph(model, example())
    assert resize(model, graph, {"0": 2}).linnet_edit.error <= 1e-10


def norm_net():
    first = nn.Conv2d(3, 8, 1), nn.GroupNorm(2, 8), nn.Conv2d(8, 6, 1), nn.Flatten()
    model = nn.Sequential(*first, nn.LayerNorm(6 * 49), nn.Linear(6 * 49, 2)).double()
    return model, ChannelGraph(model, example())


def test_norms_need_one_equal_multiplicity():
    model, graph = norm_net()
    assert resize(model, graph, {"0": 2, "2": 3}).linnet_edit.error <= 1e-10
    for name, numbers in (("0", [1, 2] * 4), ("2", [1, 1, 1, 1, 1, 2])):
        with pytest.raises(GraphError, match=f"`{name}`"):
            resize(model, graph, {name: numbers})


def test_narrowing_through_a_norm_only_when_allowed():
    model, graph = norm_net()
    with pytest.raises(GraphError, match=r"approximate=True"):
        resize(model, graph, {"0": [0, 1, 1, 1, 0, 1, 1, 1]})
    small = resize(model, graph, {"0": [0, 1, 1, 1, 0, 1, 1, 1]}, approximate=True)
    assert small.linnet_edit.approximate
    assert 1e-3 < small.linnet_edit.error < 10  # how far from the masked network, not a proof
    with torch.no_grad():
        apart = (small(example()) - masked(model, graph, {"0": [0, 1, 1, 1, 0, 1, 1, 1]})(example())).abs().max()
    assert 1e-3 < float(apart) < 10
    with pytest.raises(GraphError, match="2 groups"):
        resize(model, graph, {"0": [0, 1, 1, 1, 1, 1, 1, 1]}, approximate=True)
    with pytest.raises(GraphError, match="`0`"):
        resize(model, graph, {"0": [0, 1, 2, 1, 0, 1, 1, 1]}, approximate=True)


def test_parts_of_a_split_need_equal_sums():
    entry = ZOO["shufflenet v2"]
    model = entry.model()
    graph = ChannelGraph(model, entry.example())
    with pytest.raises(GraphError, match="`stem`"):
        resize(model, graph, {"stem": 2})


def test_unknown_split_and_per_consumer_with_optimizer():
    model = net()
    with pytest.raises(GraphError, match=r"`split`.*'fair'"):
        resize(model, GRAPH, {"a": 2}, split="fair")
    with pytest.raises(OptimizerStateError, match="per_consumer"):
        resize(model, GRAPH, {"a": 2}, split="per_consumer", optimizer=torch.optim.SGD(model.parameters()))


def test_an_edit_is_applied_without_touching_its_source():
    model = net()
    made = apply(model, plan(model, GRAPH, {"a": 2}))
    assert np.isnan(made.linnet_edit.error)
    assert proof.prove(model, made, plan(model, GRAPH, {"a": 2}), GRAPH.example) <= 1e-10
