"""The classes that other hands find: torch.export as tracer, torch-pruning as grouper."""

import importlib.util

import pytest
from torch import nn

from linnet.core import ChannelGraph
from linnet.core.channels.classes import channel_classes
from linnet.core.channels.doubling import label
from linnet.core.channels.propagation_state import Frozen
from tests.zoo import ZOO
from tests.zoo.exported import record_export


def described(found):
    return {
        name: (known.size, known.frozen is None, [(s.tensor, s.axis, s.role, s.index.tolist()) for s in known.slots])
        for name, known in found.items()
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ZOO)
def test_torch_export_gives_the_same_classes(name):
    entry = ZOO[name]
    model = entry.model()
    example = entry.example(2 if name == "bare norms" else 1)  # batch statistics need two samples
    program = record_export(model, example)
    assert program.tracer == "export"
    walk = label(program, model, example, frozen=Frozen(), whole=False, again=record_export)
    assert described(channel_classes(walk)) == described(ChannelGraph(model, example).classes)


AGREEING = [
    "vgg",
    "resnet",
    "bottleneck",
    "preactivation",
    "densenet",
    "conv1d",
    "mobilenet",
    "unet transposed",
    "twice",
]


@pytest.mark.skipif(importlib.util.find_spec("torch_pruning") is None, reason="torch-pruning isn't installed")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", AGREEING)
def test_torch_pruning_ties_the_same_layers(name):
    import torch_pruning as tp

    entry = ZOO[name]
    model = entry.model()
    graph = ChannelGraph(model, entry.example())
    theirs = tp.DependencyGraph().build_dependency(model, example_inputs=entry.example())
    for known in graph.classes.values():
        made = next((s for s in known.slots if s.role == "produce"), None)
        if known.frozen is not None or made is None:
            continue
        layer = model.get_submodule(made.tensor.rpartition(".")[0])
        if not isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Linear)) or layer.__class__.__name__.endswith("Norm2d"):
            continue
        cut = tp.prune_conv_out_channels if layer.weight.ndim > 2 else tp.prune_linear_out_channels
        group = theirs.get_pruning_group(layer, cut, idxs=[0])
        touched = {dep.target.name.partition(" ")[0] for dep, _ in group}
        touched &= {n for n, m in model.named_modules() if next(m.parameters(recurse=False), None) is not None}
        assert touched == {s.tensor.rpartition(".")[0] for s in known.slots}
