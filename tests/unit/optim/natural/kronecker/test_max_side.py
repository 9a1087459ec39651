"""Sides beyond `max_side` are diagonal blocks: the step is that of dense factors with the products between blocks 0."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from linnet.errors import InputError
from linnet.optim import KroneckerOptions, NaturalGradient
from linnet.optim.natural.kronecker import kronecker_block

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


@pytest.mark.parametrize("most", [7, 9])
def test_groups_have_blocks_of_their_own(most):
    torch.manual_seed(0)
    x, y = batch()[0].repeat(1, 2, 1, 1), batch()[1]
    whole = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2, bias=False), nn.Flatten(), nn.Linear(24, 3)).double()
    cut = copy.deepcopy(whole)
    opts = [
        NaturalGradient(m, "cross_entropy", "kfac", damping=RHO, lr=1.0, kl_clip=None, max_side=side)
        for m, side in ((whole, None), (cut, most))
    ]
    grad = torch.autograd.grad(F.cross_entropy(cut(x), y), cut[0].weight)[0].view(2, 3, 18)
    start = cut[0].weight.detach().clone()
    for opt in opts:
        opt.step(x, y)
    block = opts[0]._approximation.blocks["0.weight"]
    for group in range(2):
        a, b = blocked(block.a[group], most, bias=False), block.b[group]
        pi = (a.diagonal().mean() / b.diagonal().mean()).sqrt()
        left = torch.linalg.inv(b + RHO**0.5 / pi * torch.eye(3, dtype=b.dtype))
        right = torch.linalg.inv(a + pi * RHO**0.5 * torch.eye(18, dtype=a.dtype))
        found = (start - cut[0].weight).detach().view(2, 3, 18)[group]
        torch.testing.assert_close(found, left @ grad[group] @ right, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("most", [4, 5, 11])
def test_exact_blocks_beyond_it_keep_what_belongs_to_a_channel_together(most):
    torch.manual_seed(0)
    x, y = torch.randn(7, 3).double(), torch.arange(7) % 3
    whole = nn.Sequential(nn.Linear(3, 6), nn.LayerNorm(6), nn.Linear(6, 3)).double()
    cut = copy.deepcopy(whole)
    opts = [
        NaturalGradient(m, "cross_entropy", "kfac", damping=RHO, lr=1.0, kl_clip=None, max_side=side)
        for m, side in ((whole, None), (cut, most))
    ]
    norm = [cut[1].weight, cut[1].bias]
    grad = torch.stack(torch.autograd.grad(F.cross_entropy(cut(x), y), norm), 1).flatten()
    start = torch.stack([p.detach().clone() for p in norm], 1).flatten()
    for opt in opts:
        opt.step(x, y)
    turns = torch.arange(12).view(2, 6).T.flatten()  # scale and shift of channel 0, of channel 1, ...
    dense = blocked(opts[0]._approximation.blocks["1.weight"].a[0][turns][:, turns], most, bias=False)
    moved = torch.linalg.solve(dense + RHO * torch.eye(12, dtype=dense.dtype), grad)
    found = start - torch.stack([p.detach() for p in norm], 1).flatten()
    torch.testing.assert_close(found, moved, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("fewest", [512, 8])
def test_a_stopped_run_goes_on_with_the_same_bits(fewest, monkeypatch):
    monkeypatch.setattr(kronecker_block, "FEWEST", fewest)
    monkeypatch.setattr(kronecker_block, "VECTORS", 1)
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
    assert KroneckerOptions().max_side == 128
    with pytest.raises(InputError, match="`max_side`"):
        NaturalGradient(model, "cross_entropy", "kfac", max_side=0)


def test_a_part_of_the_positions_is_read_where_there_are_many(monkeypatch):
    monkeypatch.setattr(kronecker_block, "FEWEST", 8)
    monkeypatch.setattr(kronecker_block, "VECTORS", 0)
    x, y = batch()
    factors = {}
    for sampled in (True, False):
        model = net()
        opt = NaturalGradient(model, "cross_entropy", "kfac", damping=RHO, lr=0.0, ema=0.99, sample_positions=sampled)
        for _ in range(300 if sampled else 1):
            opt._approximation._renew = True  # refreshed at every step, of one batch and the same weights
            opt.step(x, y)
        block = opt._approximation.blocks["0.weight"]
        factors[sampled] = block.a[0], block.b[0]
    for drawn, full in zip(factors[True], factors[False], strict=True):
        assert not torch.equal(drawn, full)
        assert (drawn - full).norm() < 0.15 * full.norm()
