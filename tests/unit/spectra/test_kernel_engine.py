"""The kernel against torch.func's Jacobian in float64, for every kind of layer; blocks under a small budget."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from linnet.errors import CaptureError, InputError
from linnet.models import ResNet, ntk_mlp
from linnet.spectra import ntk
from tests.unit.optim.natural.dense import jacobian


class Tripled(nn.Module):
    def forward(self, weight):
        return 3 * weight


class OwnForward(nn.Module):
    """A weight of its own, and a child whose forward is never called."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))
        self.child = nn.Linear(4, 4)

    def forward(self, x):
        return torch.nn.functional.linear(x.relu(), self.weight * 0.3, self.child.bias) @ self.child.weight.T


class Mixed(nn.Module):
    """Convolutions, eval norms, tied weights, a weight used twice, a root scale, a residual, a frozen parameter."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
        self.deep = nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4, bias=False)
        self.up = nn.ConvTranspose2d(4, 3, 2, stride=2)
        self.bn, self.gn = nn.BatchNorm2d(4), nn.GroupNorm(1, 3)
        self.tokens = nn.Linear(3, 4)
        self.twin = nn.Linear(3, 4)
        self.twin.weight = self.tokens.weight
        self.square = nn.Linear(4, 4, bias=False)
        self.scale = nn.Parameter(torch.tensor(1.3))
        self.own, self.ln = OwnForward(), nn.LayerNorm(4)
        self.head = parametrize.register_parametrization(nn.Linear(4, 3), "weight", Tripled())
        self.bn.running_mean.normal_()
        self.tokens.bias.requires_grad_(requires_grad=False)

    def forward(self, x):
        x = torch.relu_(self.bn(self.conv(x)))
        x = self.gn(self.up(x + self.deep(x)))
        x = x.flatten(2).transpose(1, 2)
        x = self.ln(torch.tanh(self.tokens(x)) * self.scale + self.twin(x))
        return self.head(self.own(self.square(torch.tanh(self.square(x)))).mean(1))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def mixed() -> tuple[nn.Module, torch.Tensor]:
    return Mixed().double().eval(), torch.randn(5, 2, 4, 4, dtype=torch.float64)


def test_each_layer_equals_the_jacobian_product_and_the_sum_is_their_sum():
    model, x = mixed()
    rows, each = jacobian(model, x), ntk(model, x, layers="each")
    assert list(each) == ["scale", "conv", "bn", "deep", "up", "gn", "tokens", "twin", "ln", "square", "own", "head"]
    for name, kernel in each.items():
        prefix = () if name == "scale" else (f"{name}.",)
        own = [v for key, v in rows.items() if key == name or key.startswith(prefix)]
        product = sum(j @ j.T for j in own)
        assert float((kernel - product).abs().max()) <= 1e-10 * float(product.abs().max()), name
    whole = torch.cat(list(rows.values()), dim=1)
    torch.testing.assert_close(ntk(model, x), whole @ whole.T, rtol=1e-10, atol=1e-12)
    assert float(torch.linalg.eigvalsh(ntk(model, x))[0]) > -1e-10


@pytest.mark.parametrize("memory", [1, 20_000, 2**30])
def test_blocks_of_any_size_give_the_same_kernel(memory):
    model, x = mixed()
    whole = ntk(model, x)
    torch.testing.assert_close(ntk(model, x, memory=memory), whole, rtol=1e-10, atol=1e-12)
    crossed = ntk(model, x[:2], x[2:], memory=memory)
    torch.testing.assert_close(crossed, whole[:6, 6:], rtol=1e-10, atol=1e-12)


def test_a_residual_network_of_the_model_zoo():
    model = ResNet(classes=3, width=4).double().eval()
    x = torch.randn(3, 3, 8, 8, dtype=torch.float64)
    whole = torch.cat(list(jacobian(model, x).values()), dim=1)
    torch.testing.assert_close(ntk(model, x), whole @ whole.T, rtol=1e-10, atol=1e-10)


def test_embedded_tokens():
    model = nn.Sequential(nn.Embedding(7, 4, padding_idx=0), nn.Flatten(), nn.Linear(12, 2)).double()
    x = torch.randint(0, 7, (6, 3))
    names = [name for name, _ in model.named_parameters()]
    found = torch.autograd.functional.jacobian(
        lambda *p: torch.func.functional_call(model, dict(zip(names, p, strict=True)), (x,)),
        tuple(p.detach() for p in model.parameters()),
    )
    rows = torch.cat([j.reshape(12, -1) for j in found], dim=1)
    torch.testing.assert_close(ntk(model, x), rows @ rows.T, rtol=1e-10, atol=1e-12)


def test_the_kernel_of_a_linear_layer_is_known_by_hand():
    assert ntk(nn.Linear(3, 1), torch.eye(3)).tolist() == [[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]]


def relu_kernels(x: torch.Tensor, depth: int, weight_variance: float, bias_variance: float) -> torch.Tensor:
    """The infinite-width NTK of a ReLU network by the closed forms, J J^T."""
    q = weight_variance * x @ x.T / x.shape[1] + bias_variance
    moments, derivatives, forward = [], [], [q]
    for _ in range(depth - 1):
        size = torch.outer(q.diagonal(), q.diagonal()).sqrt()
        c = (q / size).clamp(-1, 1)
        moments.append(size / (2 * torch.pi) * ((1 - c * c).sqrt() + c * torch.pi / 2 + c * c.asin()))
        derivatives.append((torch.pi / 2 + c.asin()) / (2 * torch.pi))
        q = weight_variance * moments[-1] + bias_variance
        forward.append(q)
    total, back = forward[-1].clone(), torch.ones_like(q)
    for level in range(depth - 2, -1, -1):
        back = weight_variance * back * derivatives[level]
        total = total + back * forward[level]
    return total


def test_wide_networks_come_near_the_infinite_kernel():
    x = torch.randn(6, 20, dtype=torch.float64)
    limit = relu_kernels(x, 3, 2.0, 0.1)
    gaps = []
    for width in (64, 1024):
        found = torch.stack(
            [
                ntk(ntk_mlp(depth=3, width=width, inputs=20, weight_variance=2.0, bias_variance=0.1).double(), x)
                for _ in range(8)
            ]
        )
        gaps.append(float((found - limit).square().mean().sqrt() / limit.square().mean().sqrt()))
    assert gaps[1] < 0.15
    assert 2 < gaps[0] / gaps[1] < 8  # 1 / sqrt(width) gives 4


def test_what_cant_be_used_is_named():
    model, x = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5), nn.BatchNorm1d(2)), torch.randn(4, 3)
    with pytest.raises(InputError, match=r"`1`.*Dropout.*model\.eval\(\)"):
        ntk(model, x)
    model[1].eval()
    with pytest.raises(InputError, match=r"`2`.*BatchNorm1d.*model\.eval\(\)"):
        ntk(model, x)
    with pytest.raises(InputError, match="`layers`"):
        ntk(model.eval(), x, layers="all")  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(InputError, match="`model`"):
        ntk(nn.ReLU(), x)
    with pytest.raises(InputError, match="`memory`"):
        ntk(model, x, memory=0)

    class Listing(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return x * float(x.sum()) * self.weight

    with pytest.raises(CaptureError, match=r"Listing.*weight"):
        ntk(Listing(), x)
