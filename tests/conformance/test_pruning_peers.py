"""Pruned networks beside other hands' code: torch-pruning's slices, fvcore's count, onnxruntime's outputs."""

import copy
import importlib.util

import numpy as np
import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph
from linnet.models import create
from linnet.prune import Budget, export, extract, plan
from tests.zoo import ZOO
from tests.zoo.check import difference, masked

needs_peer = pytest.mark.skipif(
    importlib.util.find_spec("torch_pruning") is None, reason="torch-pruning isn't installed (make peers)"
)


def _planned(entry, share=0.7):
    torch.manual_seed(0)
    model, x = entry.model(dtype=torch.float64).eval(), entry.example(4, dtype=torch.float64)
    return model, x, plan(model, x, Budget(params=share), align=1, criterion="random", rng_seed=2)


def _by_peer(model, x, made):
    """The peer's documented call, once for each class, with the channels that the plan removes."""
    import torch_pruning as tp

    theirs = copy.deepcopy(model)
    graph = ChannelGraph(model, x)
    for name, numbers in made.multiplicity().items():
        slot = next(s for s in graph.classes[name].slots if s.role == "produce" and s.tensor.endswith("weight"))
        layer = theirs.get_submodule(slot.tensor.rpartition(".")[0])
        cut = tp.prune_linear_out_channels if isinstance(layer, nn.Linear) else tp.prune_conv_out_channels
        gone = slot.index[np.flatnonzero(np.array(numbers) == 0)].ravel().tolist()
        built = tp.DependencyGraph().build_dependency(theirs, example_inputs=x[:1])
        built.get_pruning_group(layer, cut, idxs=gone).prune()
    return theirs


@needs_peer
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["vgg", "resnet", "bottleneck", "preactivation", "densenet", "conv1d", "unet transposed"]
)
def test_torch_pruning_makes_the_same_network(name):
    model, x, made = _planned(ZOO[name])
    ours, theirs = extract(model, made), _by_peer(model, x, made)
    assert {n: p.shape for n, p in ours.named_parameters()} == {n: p.shape for n, p in theirs.named_parameters()}
    assert difference(ours, theirs, x, training=False) <= 1e-12


@needs_peer
@pytest.mark.filterwarnings("ignore")
def test_torch_pruning_stops_at_pixel_shuffle_and_ours_is_the_masked_network():
    model, x, made = _planned(ZOO["pixel shuffle"])
    assert made.multiplicity()
    with pytest.raises(RuntimeError, match="channels"):
        _by_peer(model, x, made)(x)
    ours, big = extract(model, made), masked(model, ChannelGraph(model, x), made.multiplicity())
    assert difference(big, ours, x, training=False) <= 1e-12


class Shuffled(nn.Module):
    """A grouped convolution, its channels shuffled across the groups, and another grouped one."""

    def __init__(self):
        super().__init__()
        self.first, self.grouped = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.after, self.last = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1)

    def forward(self, x):
        y = torch.relu(self.grouped(torch.relu(self.first(x))))
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        return self.last(torch.relu(self.after(y)))


@needs_peer
@pytest.mark.filterwarnings("ignore")
def test_torch_pruning_is_silently_wrong_after_a_channel_shuffle_and_ours_is_the_masked_network():
    torch.manual_seed(0)
    model, x = Shuffled().double().eval(), torch.randn(4, 3, 6, 6, dtype=torch.float64)
    graph = ChannelGraph(model, x)
    name = next(c.name for c in graph.classes.values() if any(s.tensor == "grouped.weight" for s in c.slots
                                                              if s.role == "produce"))  # fmt: skip
    numbers = [1] * graph.classes[name].size
    numbers[0] = 0
    from linnet import resize

    big = masked(model, graph, {name: np.array(numbers)})
    ours = resize(model, graph, {name: numbers})
    assert difference(big, ours, x, training=False) <= 1e-12
    theirs = _cut(model, graph, name, numbers, x)
    assert difference(big, theirs, x, training=False) > 1e-3


def _cut(model, graph, name, numbers, x):
    import torch_pruning as tp

    theirs = copy.deepcopy(model)
    slot = next(s for s in graph.classes[name].slots if s.tensor == "grouped.weight" and s.role == "produce")
    built = tp.DependencyGraph().build_dependency(theirs, example_inputs=x[:1])
    gone = slot.index[np.flatnonzero(np.array(numbers) == 0)].ravel().tolist()
    built.get_pruning_group(theirs.grouped, tp.prune_conv_out_channels, idxs=gone).prune()
    return theirs


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["vgg16", "resnet20"])
def test_fvcore_counts_what_the_plan_says(name):
    fvcore = pytest.importorskip("fvcore.nn", reason="fvcore isn't installed (make peers)")
    net, x = create(name).eval(), torch.zeros(1, 3, 32, 32)
    made = plan(net, x, Budget(macs=0.238), criterion="random")
    counted = fvcore.FlopCountAnalysis(extract(net, made), x).unsupported_ops_warnings(enabled=False)
    by_kind = counted.uncalled_modules_warnings(enabled=False).by_operator()
    assert by_kind["conv"] + by_kind["linear"] == made.after["macs"]
    assert made.after["macs"] <= 0.238 * made.before["macs"]


def test_onnxruntime_computes_the_pruned_network(tmp_path):
    pytest.importorskip("onnxscript", reason="the extra `onnx` isn't installed")
    runtime = pytest.importorskip("onnxruntime", reason="the extra `onnx` isn't installed")
    torch.manual_seed(0)
    net, x = create("resnet", depth=8), torch.randn(5, 3, 32, 32)
    net(torch.randn(16, 3, 32, 32))  # statistics that aren't 0 and 1
    small = extract(net, plan(net, x, Budget(macs=0.4))).eval()
    run = runtime.InferenceSession(str(export(small, tmp_path / "small.onnx")), providers=["CPUExecutionProvider"])
    (given,) = run.run(None, {run.get_inputs()[0].name: x.numpy()})
    wanted = small(x).detach()
    assert float((torch.from_numpy(given) - wanted).abs().max() / wanted.abs().max()) <= 1e-4
