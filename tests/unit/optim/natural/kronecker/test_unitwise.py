"""The unit-wise step against dense blocks, one for each unit, and its alpha at damping 0."""

import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.optim import NaturalGradient


def mlp(inputs=6, widths=(9, 7), outputs=3, activation=nn.Tanh, bias=True):
    torch.manual_seed(0)
    layers, size = [], inputs
    for width in widths:
        layers += [nn.Linear(size, width, bias=bias), activation()]
        size = width
    return nn.Sequential(*layers, nn.Linear(size, outputs, bias=bias)).double()


def cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2), nn.Tanh(), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 2, groups=2), nn.Flatten(),
        nn.Linear(4, 3),
    ).double()  # fmt: skip


def residual(f, y, loss):
    return f - y if loss == "mse" else f.softmax(1) - nn.functional.one_hot(y, f.shape[1])


def targets(f, loss):
    torch.manual_seed(5)
    return torch.randn_like(f) if loss == "mse" else torch.arange(len(f)) % f.shape[1]


def expected(model, x, y, loss, rho):
    """Dense: every entry of a matrix layer belongs to its row's unit, every other module is one block."""
    names = dict(model.named_parameters())
    f = model(x)
    jacobian = {}
    for name, p in names.items():
        rows = [torch.autograd.grad(v, p, retain_graph=True)[0].reshape(-1) for v in f.reshape(-1)]
        jacobian[name] = torch.stack(rows)
    q = torch.eye(f.numel(), dtype=f.dtype)
    if loss == "cross_entropy":
        q = torch.block_diag(*[torch.diag(p) - torch.outer(p, p) for p in f.detach().softmax(1)])
    r = residual(f, y, loss).detach().reshape(-1)
    unit, number = {}, 0
    for path, module in model.named_modules():
        own = [f"{path}.{name}" for name, _ in module.named_parameters(recurse=False)]
        if isinstance(module, nn.GroupNorm):
            unit |= {name: torch.full((names[name].numel(),), number) for name in own}
            number += 1
        elif own:
            rows = torch.arange(len(module.weight)) + number
            for name in own:
                unit[name] = rows.repeat_interleave(names[name].numel() // len(rows))
            number += len(rows)
    j, of = torch.cat(list(jacobian.values()), 1), torch.cat([unit[name] for name in names])
    fisher = j.T @ q @ j / len(x) * (of[:, None] == of)
    moved = torch.linalg.solve(fisher + rho * torch.eye(len(of), dtype=j.dtype), j.T @ r / len(x))
    pieces = moved.split([p.numel() for p in names.values()])
    return {name: piece.view(p.shape) for (name, p), piece in zip(names.items(), pieces, strict=True)}


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize(("make", "samples"), [(mlp, 5), (mlp, 20), (cnn, 4), (cnn, 12)])
def test_the_damped_step_is_a_dense_solve_for_each_unit(make, samples, loss):
    model = make()
    torch.manual_seed(samples)
    x = (
        torch.randn(samples, 6, dtype=torch.float64)
        if make is mlp
        else torch.randn(samples, 2, 6, 6, dtype=torch.float64)
    )
    y = targets(model(x).detach(), loss)
    wanted = expected(model, x, y, loss, 1e-3)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    opt = NaturalGradient(model, loss, "unit", damping=1e-3, lr=0.5, kl_clip=None)
    opt.step(x, y)
    assert set(opt.report().covered) == set(wanted)
    for name, p in model.named_parameters():
        found = (before[name] - p.detach()) / 0.5
        assert float((found - wanted[name]).norm() / wanted[name].norm()) < 1e-10, name


def test_one_output_and_no_dead_unit_is_isotropic_exactly():
    model = mlp(30, (25, 28), 1)
    x, y = torch.randn(12, 30, dtype=torch.float64), torch.randn(12, 1, dtype=torch.float64)
    opt = NaturalGradient(model, "mse", "unit", isotropy_every=1)
    opt.step(x, y)
    assert opt.alpha == pytest.approx(25 + 28 + 1, abs=1e-9)
    assert opt.report().isotropy_error < 1e-8


def test_with_three_outputs_alpha_is_the_share_of_the_widths():
    model = mlp(60, (90, 140, 110), 3)
    x, y = torch.randn(40, 60, dtype=torch.float64), torch.randn(40, 3, dtype=torch.float64)
    opt = NaturalGradient(model, "mse", "unit", isotropy_every=1)
    opt.step(x, y)
    assert opt.alpha == pytest.approx(114 + 1 / 3, abs=1e-9)
    assert 1e-3 < opt.report().isotropy_error < 0.5  # asymptotic only; measured 0.09


def test_dead_units_are_left_out_and_counted():
    model = mlp(30, (40,), 1, activation=nn.ReLU, bias=False)
    x, y = torch.randn(12, 30, dtype=torch.float64), torch.randn(12, 1, dtype=torch.float64)
    active = model[0](x) > 0
    before = model[0].weight.detach().clone()
    f = model(x).detach()
    opt = NaturalGradient(model, "mse", "unit", lr=1.0)
    opt.step(x, y)
    assert opt.alpha == pytest.approx(float(active.sum()) / 12 + 1, abs=1e-9)
    moved = before - model[0].weight.detach()
    again = mlp(30, (40,), 1, activation=nn.ReLU, bias=False)
    for unit in range(40):  # a_n . Delta_i = r_n / g_n,i at active samples
        chosen = active[:, unit]
        wanted = (f - y)[chosen, 0] / again[2].weight[0, unit]
        torch.testing.assert_close(x[chosen] @ moved[unit], wanted.detach(), rtol=1e-8, atol=1e-10)


def test_too_many_samples_without_damping_are_refused_by_layer():
    model = mlp(6, (9,), 1)
    x, y = torch.randn(8, 6, dtype=torch.float64), torch.randn(8, 1, dtype=torch.float64)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    with pytest.raises(InputError, match=r"`0`.*rank 7.*damping"):
        NaturalGradient(model, "mse", "unit").step(x, y)
    assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())


@pytest.mark.parametrize("fisher", ["sampled", "empirical"])
def test_other_fishers_go_down(fisher):
    model = mlp()
    x, y = torch.randn(20, 6, dtype=torch.float64), torch.arange(20) % 3
    opt = NaturalGradient(model, "cross_entropy", "unit", fisher=fisher, damping=1e-2, lr=0.01)
    losses = [opt.step(x, y) for _ in range(4)]
    assert losses[-1] < losses[0]
