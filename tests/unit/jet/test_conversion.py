import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from linnet import models
from linnet.errors import FreezeError, InputError
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Sign, convert, freeze
from linnet.jet.integer.nodes import WeightedAdd
from tests.unit.jet.c.needs_compiler import needs_compiler


@pytest.mark.parametrize("kind", ["jet", "binary"])
def test_a_vgg_is_converted_trained_and_frozen_and_the_original_stays(kind):
    net = models.create("vgg", input_shape=(1, 16, 16), stages=((4, 4), (8,)))
    before = copy.deepcopy(net.state_dict())
    new = convert(net, kind=kind)
    layer = JetConv2d if kind == "jet" else BinaryConv2d
    assert [type(m) for m in new.features[:3]] == [layer, nn.BatchNorm2d, Sign]
    assert isinstance(new.head, BinaryLinear)
    assert new.features[0].pad_value == 0
    assert new.features[3].pad_value == -1
    assert all(torch.equal(net.state_dict()[k], v) for k, v in before.items())
    assert isinstance(net.features[0], nn.Conv2d)
    x = torch.randint(0, 256, (8, 1, 16, 16))
    new.train()(x.float())
    program = freeze(new.eval(), x)
    assert torch.equal(program.predict(x), new(x.float()).argmax(1))
    assert "padding of -1" in str(new.linnet_conversion)


def test_functional_activations_of_tiny_and_resnet_become_signs():
    tiny = convert(models.create("tiny", input_shape=(1, 12, 12), width=4))
    assert sum(isinstance(m, Sign) for m in tiny.modules()) == 2
    x = torch.randint(0, 256, (4, 1, 12, 12))
    freeze(tiny.eval(), x)
    resnet = convert(models.create("resnet", input_shape=(1, 12, 12), depth=8, width=4))
    resnet(x.float()).sum().backward()
    assert resnet.conv1.latents.grad is not None
    assert isinstance(resnet.get_submodule("layer2.0.shortcut.0"), BinaryConv2d)  # 1 x 1


@needs_compiler
@pytest.mark.parametrize("taps", ["free", "first_one"])
def test_a_resnet_is_converted_trained_frozen_and_runs_in_c(taps, tmp_path):
    torch.manual_seed(0)
    net = convert(models.create("resnet", input_shape=(1, 16, 16), depth=8, width=4), taps=taps)
    x, labels = torch.randint(0, 256, (24, 1, 16, 16)), torch.randint(0, 10, (24,))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(4):
        optimizer.zero_grad()
        functional.cross_entropy(net(x.float()), labels).backward()
        optimizer.step()
    program = freeze(net.eval(), x)
    sums = [node.name for node in program.graph.nodes if isinstance(node.operation, WeightedAdd)]
    assert sums == ["add", "add#2", "add#3"]
    torch.testing.assert_close(program.logits(x).double(), net.double()(x.double()), rtol=1e-9, atol=1e-9)
    program.verify(x, backends=["c"], thorough=False)
    with pytest.raises(FreezeError, match=r"`add` \(weightedadd\) joins two branches"):
        program.to_verilog(tmp_path)


def test_what_stays_is_listed_with_the_reason():
    net = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, (1, 3)),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, bias=True),
    )
    report = convert(net).linnet_conversion
    assert set(report.left) == {"0", "1", "2"}
    assert "groups" in report.left["0"]
    assert "square" in report.left["1"]
    assert "dilation" in report.left["2"]
    assert any("bias" in note for note in report.notes)


def test_a_network_without_a_layer_to_replace_is_refused():
    with pytest.raises(InputError, match="`model` must have"):
        convert(nn.Sequential(nn.ReLU()))
    with pytest.raises(InputError, match="`kind`"):
        convert(nn.Conv2d(1, 1, 3), kind="jets")


def test_a_network_pruned_through_core_is_converted():
    from linnet import ChannelGraph, resize

    net = models.create("vgg", input_shape=(1, 16, 16), stages=((8, 8), (8,)))
    x = torch.randint(0, 256, (4, 1, 16, 16))
    graph = ChannelGraph(net, x.float())
    name = next(name for name, c in graph.classes.items() if not c.frozen)
    small = resize(net, graph, {name: [1] * 4 + [0] * 4})
    new = convert(small).eval()
    assert new.features[0].cout == 4
    freeze(new, x)
