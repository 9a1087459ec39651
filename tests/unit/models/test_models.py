import pytest
import torch
from torch import nn

from linnet import cost, models
from linnet.errors import InputError
from linnet.models import MLP, VGG, BasicBlock, ConvNet, ResNet, Tiny


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", models.names())
def test_a_name_alone_makes_a_network(name):
    assert parameters(models.create(name)) > 0


@pytest.mark.parametrize("name", ["convnet", "mlp", "resnet", "tiny", "vgg"])
def test_networks_learn_with_all_their_parameters(name):
    torch.manual_seed(0)
    model = models.create(name, input_shape=(3, 8, 8))
    images, labels = torch.randn(8, 3, 8, 8), torch.arange(8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("name", ["convnet", "mlp", "resnet", "tiny", "vgg"])
@pytest.mark.parametrize("input_shape", [(1, 8, 8), (3, 9, 7)])
def test_any_input_shape_and_number_of_classes(name, input_shape):
    model = models.create(name, input_shape=input_shape, classes=4).eval()
    out = model(torch.randn(5, *input_shape, generator=torch.Generator().manual_seed(0)))
    assert out.shape == (5, 4)
    assert len({tuple(row) for row in out.tolist()}) == 5  # it looks at its input


def test_parameter_counts_by_hand():
    assert parameters(MLP(input_shape=(1, 2, 2), classes=3, hidden=(5,))) == 4 * 5 + 5 + 5 * 3 + 3
    assert parameters(MLP(input_shape=(1, 2, 2), classes=3, hidden=())) == 4 * 3 + 3
    assert parameters(Tiny(input_shape=(1, 8, 8), classes=10, width=4)) == 36 + 8 + 288 + 16 + 90
    assert parameters(ConvNet(input_shape=(1, 28, 28))) == 72 + 16 + 2304 + 64 + 36864 + 256 + 1290
    # He et al. 2016, table 6: 0.27 M for 20 layers, 0.46 M for 32 (shortcuts without weights there).
    shortcuts = (16 * 32 + 64) + (32 * 64 + 128)
    assert parameters(ResNet(depth=20)) - shortcuts == 269_722
    assert parameters(ResNet(depth=32)) - shortcuts == 464_154


def test_depth_counts_the_weighted_layers_on_the_main_path():
    for depth in (8, 14, 20):
        weighted = [
            name
            for name, module in ResNet(depth=depth, width=2).named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear) and "shortcut" not in name
        ]
        assert len(weighted) == depth


def test_block_adds_its_input():
    block = BasicBlock(3, 3).eval()
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(block(x), x.relu())


def test_stages_halve_the_size_and_double_the_width():
    model = ResNet(depth=8, width=4)
    seen = {}
    for name in ("layer1", "layer2", "layer3"):
        model.get_submodule(name).register_forward_hook(lambda _m, _i, out, n=name: seen.update({n: out.shape[1:]}))
    model(torch.randn(2, 3, 12, 10))
    assert seen == {"layer1": (4, 12, 10), "layer2": (8, 6, 5), "layer3": (16, 3, 3)}


def test_registry_names_and_options():
    assert {"mlp", "resnet", "tiny"} <= set(models.names())
    assert models.options("resnet") == ("input_shape", "classes", "depth", "width")
    assert isinstance(models.create("resnet", depth=8, width=2), ResNet)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("resent", {}, "'resent'.*[Dd]id you mean.*resnet"),
        ("tiny", {"depth": 3}, "`depth`"),
        ("resnet", {"depth": 18}, "`depth`.*18"),
        ("resnet", {"width": 0}, "`width`"),
        ("tiny", {"input_shape": (1, 1, 5)}, r"`input_shape`.*\(1, 1, 5\)"),
        ("mlp", {"hidden": (0,)}, r"`hidden`.*\(0,\)"),
    ],
)
def test_refuses_with_what_there_is(name, options, said):
    with pytest.raises(InputError, match=said):
        models.create(name, **options)


def test_the_convnet_halves_first_and_stops_at_one_pixel():
    shapes = [tuple(p.shape) for p in ConvNet(input_shape=(1, 8, 8), widths=(2, 3, 4, 5)).parameters() if p.ndim == 4]
    assert shapes == [(2, 1, 3, 3), (3, 2, 3, 3), (4, 3, 3, 3), (5, 4, 3, 3)]
    pools = sum(isinstance(m, nn.MaxPool2d) for m in ConvNet(input_shape=(1, 8, 8), widths=(2, 3, 4, 5)).modules())
    assert pools == 2  # 8 -> 4 -> 2 -> 1
    with pytest.raises(InputError, match=r"`widths`.*\(\)"):
        ConvNet(widths=())


def test_vgg16_has_the_known_cost():
    # 13 convolutions without bias, batch norms of 4,224 channels, one linear layer from 512 to 10.
    found = cost(models.create("vgg16"), torch.zeros(1, 3, 32, 32))
    assert (found.macs, found.params) == (313_201_664, 14_724_042)


def test_the_thin_vgg_counted_by_hand():
    macs = 9 * (1024 * (3 * 16 + 16 * 16) + 256 * (16 * 32 + 32 * 32) + 64 * (32 * 64 + 64 * 64)) + 640
    params = 9 * (3 * 16 + 16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 2 * 224 + 650
    found = cost(VGG(), torch.zeros(1, 3, 32, 32))
    assert (found.macs, found.params) == (macs, params) == (9_880_192, 72_954)


def test_resnets_by_depth():
    # Counted without shortcuts by He et al. 2016: 0.27 and 0.85 M parameters.
    shortcuts = (16 * 32 + 64) + (32 * 64 + 128)
    assert parameters(models.create("resnet20")) - shortcuts == 269_722
    assert parameters(models.create("resnet56")) - shortcuts == 853_018
    assert models.create("resnet56").layer3[8].conv2.weight.shape == (64, 64, 3, 3)


def test_vgg_pools_until_one_pixel_is_left():
    pools = [isinstance(m, nn.MaxPool2d) for m in VGG(input_shape=(1, 6, 9), stages=((2,), (3, 4), (5,))).modules()]
    assert sum(pools) == 2  # 6 -> 3 -> 1
    for stages in ((), ((4,), ()), ((4, 0),)):
        with pytest.raises(InputError, match="`stages`"):
            VGG(stages=stages)


def test_vgg_starts_from_the_usual_values():
    torch.manual_seed(0)
    model = models.create("vgg16")
    assert model.features[-4].weight.std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)
    assert model.head.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert model.head.bias.abs().max() == 0
