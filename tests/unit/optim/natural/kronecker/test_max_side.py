"""Sides beyond `max_side` are diagonal blocks: the step is that of dense factors with the products between blocks 0."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from linnet.errors import InputError
from linnet.optim import KroneckerOptions, NaturalGradient

RHO = 0.05


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, padding=1),
        nn.Tanh(),
        nn.Conv2d(5, 7, 2, groups=1, bias=False),
        nn.Flatten(),
        nn.Linear(63, 3),
    ).double()


def batch(seed=0):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(6, 2, 4, 4, generator=draw).double(), torch.randint(0, 3, (6,), generator=draw)


def blocked(matrix, most, *, bias):
    """A factor without the products between its blocks."""
    side = matrix.shape[-1]
    parts = -(-(side - bias) // most)
    number = torch.arange(side) // -(-side // parts)
    return matrix * (number[:, None] == number)


@pytest.mark.parametrize("most", [4, 17, 63])
def test_the_step_is_that_of_block_diagonal_factors(most):
    x, y = batch()
    whole, cut = net(), net()
    opts = [
        NaturalGradient(m, "cross_entropy", "kfac", damping=RHO, lr=1.0, kl_clip=None, max_side=side)
        for m, side in ((whole, None), (cut, most))
    ]
    before = copy.deepcopy(cut.state_dict())
    loss = F.cross_entropy(cut(x), y)
    grads = dict(zip(before, torch.autograd.grad(loss, list(cut.parameters())), strict=True))
    for opt in opts:
        opt.step(x, y)
    for layer, bias in (("0", True), ("2", False), ("4", True)):
        block = opts[0]._approximation.blocks[f"{layer}.weight"]
        a, b = blocked(block.a[0], most, bias=bias), blocked(block.b[0], most, bias=False)
        pi = (a.diagonal().mean() / b.diagonal().mean()).sqrt()
        left = torch.linalg.inv(b + RHO**0.5 / pi * torch.eye(len(b), dtype=b.dtype))
        right = torch.linalg.inv(a + pi * RHO**0.5 * torch.eye(len(a), dtype=a.dtype))
        v = grads[f"{layer}.weight"].flatten(1)
        v = torch.cat([v, grads[f"{layer}.bias"][:, None]], 1) if bias else v
        moved = left @ v @ right
        found = (before[f"{layer}.weight"] - cut.state_dict()[f"{layer}.weight"]).flatten(1)
        torch.testing.assert_close(found, moved[:, : found.shape[1]], rtol=1e-9, atol=1e-12)


def test_a_stopped_run_goes_on_with_the_same_bits():
    options = {"damping": RHO, "lr": 0.1, "factor_every": 2, "inverse_every": 3, "max_side": 8}
    model = net()
    opt = NaturalGradient(model, "cross_entropy", "kfac", **options)
    for seed in range(4):
        opt.step(*batch(seed))
    twin, state = copy.deepcopy(model), copy.deepcopy(opt.state_dict())
    other = NaturalGradient(twin, "cross_entropy", "kfac", **options)
    other.load_state_dict(state)
    for seed in range(4, 9):
        opt.step(*batch(seed))
        other.step(*batch(seed))
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))


def test_a_side_at_the_limit_is_whole_with_its_bias():
    model = nn.Linear(16, 3).double()
    opt = NaturalGradient(model, "cross_entropy", "kfac", damping=RHO, lr=0.1, max_side=16)
    opt.step(torch.randn(5, 16).double(), torch.arange(5) % 3)
    assert opt._approximation.blocks["weight"].a.shape == (1, 17, 17)
    assert KroneckerOptions().max_side == 1024
    with pytest.raises(InputError, match="`max_side`"):
        NaturalGradient(model, "cross_entropy", "kfac", max_side=0)
