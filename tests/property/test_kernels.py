"""The kernel of random networks of all layer types equals the product of reverse-mode Jacobians, in float64."""

import copy

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from linnet.core.capture import gram
from linnet.core.capture.layers.scaled import ScaledLinear
from linnet.spectra import ntk

F64 = torch.float64
KINDS = [
    "conv", "depthwise", "transposed", "batch norm", "group norm", "instance norm", "layer norm", "prelu",
    "weight norm", "tied", "twice", "own", "frozen", "residual", "positions", "scaled",
]  # fmt: skip


class Own(nn.Module):
    """A loose scale and a matrix, used in its own way."""

    def __init__(self, channels: int):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(channels, 1))
        self.mix = nn.Parameter(torch.randn(channels, channels) / 2)

    def forward(self, x):
        return torch.einsum("dc,ncs->nds", self.mix, torch.sin(x.flatten(2) * self.scale)).view_as(x)


class Net(nn.Module):
    """Embedded tokens or an image, blocks drawn at random, and a head; `kinds` tells what it is."""

    def __init__(self, kinds: list[str], spatial: int, tokens: bool):
        super().__init__()
        self.kinds, self.spatial = kinds, spatial
        conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[spatial]
        turned = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}[spatial]
        norm = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[spatial]
        instance = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}[spatial]
        self.embed = nn.Embedding(5, 4) if tokens else None
        self.stem = conv(4, 4, 2, stride=2)
        made = {
            "conv": lambda: conv(4, 4, 3, padding=2, dilation=2),
            "depthwise": lambda: conv(4, 8, 1, groups=4),
            "transposed": lambda: turned(4, 4, 2, stride=2, groups=2),
            "batch norm": lambda: norm(4),
            "group norm": lambda: nn.GroupNorm(2, 4),
            "instance norm": lambda: instance(4, affine=True),
            "layer norm": lambda: nn.LayerNorm(4),
            "prelu": lambda: nn.PReLU(4),
            "weight norm": lambda: parametrizations.weight_norm(nn.Linear(4, 4)),
            "tied": lambda: nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)]),
            "twice": lambda: nn.Linear(4, 4),
            "own": lambda: Own(4),
            "frozen": lambda: nn.Linear(4, 4).requires_grad_(requires_grad=False),
            "residual": lambda: conv(4, 4, 1),
            "positions": lambda: nn.Linear(4, 4),
            "scaled": lambda: ScaledLinear(4, 4, weight_scale=0.7, bias_scale=0.3),
        }
        self.blocks = nn.ModuleList(made[kind]() for kind in kinds)
        for kind, block in zip(kinds, self.blocks, strict=True):
            if kind == "tied":
                block[1].weight = block[0].weight
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        if self.embed is not None:
            x = self.embed(x).movedim(-1, 1)
        x = torch.tanh(self.stem(x))
        for kind, block in zip(self.kinds, self.blocks, strict=True):
            x = self.through(kind, block, x)
        return self.head(x.flatten(2).mean(2))

    def through(self, kind, block, x):
        if kind == "instance norm":  # torch 2.13 mixes the samples up where its gradient comes with channels last
            return torch.tanh(block(x)).flatten(1).view_as(x)
        if kind in ("conv", "transposed", "batch norm", "group norm", "prelu", "own"):
            return torch.tanh(block(x)) if kind != "prelu" else block(x)
        if kind == "depthwise":
            return block(x)[:, ::2] + block(x)[:, 1::2]
        if kind == "residual":
            return torch.relu(x + block(torch.relu_(x + 0)))
        last = x.movedim(1, -1)
        if kind == "tied":
            last = block[1](torch.tanh(block[0](last)))
        elif kind == "twice":
            last = block(torch.tanh(block(last)))
        else:
            last = torch.tanh(block(last))
        return last.movedim(-1, 1)


@st.composite
def networks(draw):
    spatial, tokens = draw(st.integers(1, 3)), draw(st.booleans())
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))
    torch.manual_seed(draw(st.integers(0, 2**16)))
    model = Net(kinds, spatial, tokens).double().eval()
    samples, side = draw(st.integers(1, 4)), 4
    shape = (samples, *[side] * spatial)
    x = torch.randint(0, 5, shape) if tokens else torch.randn(samples, 4, *[side] * spatial, dtype=F64)
    return model, x


def jacobian(model: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Parameter name -> rows (N C, entries), by one reverse pass for each output of each sample."""
    chosen = {name: p for name, p in model.named_parameters() if p.requires_grad}
    rows = []
    for n in range(len(x)):
        f = model(x[n : n + 1])[0]
        rows += [torch.autograd.grad(value, list(chosen.values()), retain_graph=True, allow_unused=True) for value in f]
    filled = [
        [torch.zeros_like(p) if g is None else g for g, p in zip(row, chosen.values(), strict=True)] for row in rows
    ]
    return {name: torch.stack([row[k].flatten() for row in filled]) for k, name in enumerate(chosen)}


def assert_equal(found: torch.Tensor, expected: torch.Tensor, scale: torch.Tensor) -> None:
    assert float((found - expected).abs().max()) <= 1e-10 * float(scale.abs().max())


def test_the_assertion_sees_a_planted_fault():
    ones = torch.ones(2, 2)
    with pytest.raises(AssertionError):
        assert_equal(ones + 1e-6, ones, ones)


def state(model: nn.Module):
    return {key: value.clone() for key, value in model.state_dict().items()}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks(), st.sampled_from([1, 3000, 2**26]))
def test_the_kernel_is_the_jacobian_product_and_the_model_stays(drawn, memory):
    model, x = drawn
    rows = jacobian(model, x)
    whole = torch.cat(list(rows.values()), dim=1)
    expected = whole @ whole.T
    before, twin, random = state(model), copy.deepcopy(model), torch.get_rng_state()
    found = ntk(model, x, memory=memory)
    assert_equal(found, expected, expected)
    each = ntk(model, x, layers="each", memory=memory)
    assert_equal(sum(each.values()), expected, expected)
    for name, kernel in each.items():
        own = [v for key, v in rows.items() if key == name or key.startswith(f"{name}.")]
        if name in ("embed", "stem", "head"):
            assert_equal(kernel, sum(j @ j.T for j in own), expected)
    assert float(torch.linalg.eigvalsh(found)[0]) >= -1e-10 * float(expected.abs().max())
    assert_equal(found, found.T, expected)
    joined = torch.cat([x, x.flip(0)])
    crossed = ntk(model, x, x.flip(0), memory=memory)
    assert_equal(crossed, ntk(model, joined)[: len(found), len(found) :], expected)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert torch.equal(random, torch.get_rng_state())
    assert [m.training for m in model.modules()] == [m.training for m in twin.modules()]
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks())
def test_both_contractions_agree(drawn):
    model, x = drawn
    kernels = []
    for way in ("positions", "gradients"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(gram.GramPlan, "way", property(lambda _, way=way: way))
            kernels.append(ntk(model, x))
    assert_equal(kernels[0], kernels[1], kernels[1])
