"""Every approximation with either loss on three kinds of network: the step is that of a dense P x P matrix."""

import pytest
import torch
from torch import nn

from linnet.models import ntk_mlp
from linnet.optim import NaturalGradient
from tests.conformance.dense_kfac import kfac_direction
from tests.unit.optim.natural.dense import (
    assert_directions_equal,
    curvature,
    direction,
    jacobian,
    parameters_of,
    residual,
)

RHO = 1e-2
NORMS = (nn.BatchNorm2d, nn.GroupNorm)


def perceptron():
    return nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 5, bias=False), nn.ReLU(), nn.Linear(5, 3))


def cnn():
    norm = nn.BatchNorm2d(4)
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2.0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1), norm, nn.Tanh(), nn.Conv2d(4, 4, 2, groups=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(16, 3),
    ).eval()  # fmt: skip


NETS = {
    "ntk_mlp": (lambda: ntk_mlp(depth=3, width=7, inputs=6, outputs=3, activation="tanh", bias_variance=0.1), (6,)),
    "perceptron": (perceptron, (6,)),
    "cnn": (cnn, (2, 6, 6)),
}


def unit_direction(model, x, y, loss):
    """One block for each row of a matrix layer with its bias, one for each other module."""
    rows = jacobian(model, x)
    names = {id(p): name for name, p in model.named_parameters()}
    block, count = {}, 0
    for module in model.modules():
        own = [(names[id(p)], p) for p in module.parameters(recurse=False)]
        units = 1 if isinstance(module, NORMS) or not own else len(own[0][1])
        for name, p in own:
            block[name] = count + torch.arange(units).repeat_interleave(p.numel() // units)
        count += units
    j, of = torch.cat(list(rows.values()), 1), torch.cat([block[name] for name in rows])
    f = model(x).detach()
    fisher = (j.T @ curvature(f, loss) @ j / len(x)) * (of[:, None] == of)
    gradient = j.T @ residual(f, y, loss).reshape(-1) / len(x)
    delta = torch.linalg.solve(fisher + RHO * torch.eye(len(of), dtype=j.dtype), gradient)
    parts = delta.split([v.shape[1] for v in rows.values()])
    own = parameters_of(model)
    return {name: part.view_as(own[name]) for name, part in zip(rows, parts, strict=True)}


def dense(model, x, y, loss, approx):
    if approx == "unit":
        return unit_direction(model, x, y, loss)
    if approx == "kfac":
        return kfac_direction(model, x, residual(model(x).detach(), y, loss), loss, RHO)
    return direction(model, x, y, loss=loss, approx=approx, damping=RHO)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("approx", ["exact", "block", "tridiagonal", "kfac", "unit"])
def test_the_step_is_that_of_a_dense_matrix(approx, net, loss):
    torch.manual_seed(1)
    make, shape = NETS[net]
    model, x = make().double(), torch.randn(8, *shape, dtype=torch.float64)
    y = torch.randn(8, 3, dtype=torch.float64) if loss == "mse" else torch.arange(8) % 3
    expected, before = dense(model, x, y, loss, approx), parameters_of(model)
    opt = NaturalGradient(model, loss, approx, damping=RHO, lr=1.0, kl_clip=None)
    opt.step(x, y)
    found = {name: before[name] - p for name, p in parameters_of(model).items()}
    assert_directions_equal(found, expected, relative=1e-10)
    assert set(opt.report().covered) == set(before)
    assert opt.report().uncovered == {}
