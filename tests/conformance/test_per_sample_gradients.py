"""Captured per-sample gradients, Gram matrices, Kronecker sums against torch.func, backpack, curvlinops; float64."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jacrev, vmap

from linnet.core import Capture

F64 = torch.float64


class Block(nn.Module):
    """A residual block with every kind of layer on its way."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, groups=2, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, padding_mode="circular")
        self.group_norm = nn.GroupNorm(2, channels)

    def forward(self, x):
        y = torch.relu_(self.norm(self.conv(x)))
        return torch.relu(x + self.group_norm(self.depthwise(y)))


class Small(nn.Module):
    """Convolutions, a transposed one, a token mixer and a classifier."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.block = Block(4)
        self.up = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2)
        self.mix = nn.Linear(6, 6)
        self.norm = nn.LayerNorm(6)
        self.rms = nn.RMSNorm(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.up(self.block(self.stem(x)))
        x = x.flatten(2).transpose(1, 2)
        x = x + self.rms(torch.tanh(self.norm(self.mix(x))))
        return self.head(x.mean(1))


@pytest.fixture
def small():
    torch.manual_seed(0)
    model = Small().to(F64).eval()
    for name, value in model.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0)
        elif value.is_floating_point():
            value.normal_()
    return model


def per_sample_by_func(model, x, y):
    params = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def loss(params, sample, label):
        out = functional_call(model, (params, buffers), (sample.unsqueeze(0),))
        return nn.functional.cross_entropy(out, label.unsqueeze(0), reduction="sum")

    return vmap(grad(loss), (None, 0, 0))(params, x, y)


def assert_relative(actual, expected, bound=1e-10):
    error = (actual - expected).abs().max() / expected.abs().max().clamp_min(1e-30)
    assert error <= bound, f"off by {float(error):.3g} relative"


def test_gradients_are_those_of_torch_func(small):
    x, y = torch.randn(5, 3, 8, 8, dtype=F64), torch.tensor([0, 2, 1, 1, 0])
    expected = per_sample_by_func(small, x, y)
    with Capture(small) as cap:
        nn.functional.cross_entropy(small(x), y, reduction="sum").backward()
    assert cap.uncovered == {}
    for name, gradients in expected.items():
        layer, _, param = name.rpartition(".")
        assert_relative(cap[layer].per_sample(param), gradients)
    rows = torch.cat([g.flatten(1) for g in expected.values()], dim=1)
    assert_relative(sum(cap[name].gram() for name in cap.names), rows @ rows.T)


def test_the_sum_of_the_layers_grams_is_the_ntk_of_torch_func(small):
    x = torch.randn(4, 3, 8, 8, dtype=F64)
    params = {name: p.detach() for name, p in small.named_parameters()}
    buffers = dict(small.named_buffers())
    jacobian = vmap(
        jacrev(lambda params, sample: functional_call(small, (params, buffers), (sample[None],))[0]), (None, 0)
    )(params, x)
    rows = torch.cat([j.flatten(2) for j in jacobian.values()], dim=2).flatten(0, 1)
    with Capture(small, keep="all") as cap:
        out = small(x)
        for c in range(3):
            out[:, c].sum().backward(retain_graph=True)
    assert_relative(sum(cap[name].gram() for name in cap.names), rows @ rows.T)


def test_gradients_are_those_of_backpack():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backpack = pytest.importorskip("backpack", reason="backpack-for-pytorch isn't installed")
        from backpack.extensions import BatchGrad
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, stride=2),
        nn.ReLU(),
        nn.BatchNorm2d(6),
        nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1),
        nn.Flatten(),
        nn.Linear(4 * 7 * 7, 5),
    )
    model = model.to(F64).eval()
    x, y = torch.randn(6, 3, 8, 8, dtype=F64), torch.randint(0, 5, (6,))
    with Capture(model) as cap:
        nn.functional.cross_entropy(model(x), y, reduction="sum").backward()
    theirs, loss = backpack.extend(copy.deepcopy(model)), backpack.extend(nn.CrossEntropyLoss(reduction="sum"))
    with warnings.catch_warnings(), backpack.backpack(BatchGrad()):
        warnings.simplefilter("ignore")
        loss(theirs(x), y).backward()
    for name, parameter in theirs.named_parameters():
        layer, _, param = name.rpartition(".")
        assert_relative(cap[layer].per_sample(param), parameter.grad_batch)


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
def test_kronecker_sums_are_those_of_curvlinops(sharing):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("curvlinops", reason="curvlinops-for-pytorch isn't installed")
        from curvlinops import FisherType, KFACLinearOperator, KFACType
    torch.manual_seed(2)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(48, 2, bias=False)
    )
    model = model.to(F64)
    x, y = torch.randn(5, 2, 4, 4, dtype=F64), torch.randn(5, 2, dtype=F64)
    with Capture(model) as cap:
        nn.functional.mse_loss(model(x), y, reduction="sum").backward()
    params = list(model.parameters())
    kinds = {"expand": KFACType.EXPAND, "reduce": KFACType.REDUCE}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = KFACLinearOperator(
            model,
            nn.MSELoss(reduction="sum"),
            params,
            [(x, y)],
            fisher_type=FisherType.EMPIRICAL,
            kfac_approx=kinds[sharing],
            check_deterministic=False,
        )
        vectors = [torch.randn_like(p) for p in params]
        products = theirs @ vectors
    for name, vector, product in zip(("0", "3"), vectors, products, strict=True):
        a, g = cap[name].factors(sharing=sharing)
        ours = (g @ vector.flatten(1) @ a).reshape(vector.shape)
        # theirs divides A by its number of rows (N S or N); the sums here are left as they are
        rows = len(x) * (16 if name == "0" and sharing == "expand" else 1)
        assert_relative(ours / rows, product.detach())
