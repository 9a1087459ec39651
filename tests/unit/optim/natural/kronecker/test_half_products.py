"""Inverses of large layers in bfloat16: kept where the direction stays the same, and saved as such."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from linnet.optim import NaturalGradient
from linnet.optim.natural.kronecker import block_products
from linnet.optim.natural.kronecker.damped_inverse import DenseInverse

OPTIONS = {"loss": "cross_entropy", "approx": "kfac", "fisher": "sampled", "lr": 0.05, "max_side": 48}


@pytest.fixture(autouse=True)
def _on_a_cpu_that_multiplies_bfloat16(monkeypatch):
    monkeypatch.setattr(block_products, "multiplies_bfloat16", lambda: True)


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(130, 150), nn.Tanh(), nn.Linear(150, 5))


def batch(seed):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(32, 130, generator=draw), torch.randint(0, 5, (32,), generator=draw)


def trained(model, opt, steps, start=0):
    for seed in range(start, start + steps):
        x, y = batch(seed)
        opt.zero_grad()
        F.cross_entropy(model(x), y).backward()
        opt.step()


def test_large_layers_have_inverses_in_bfloat16_and_the_direction_of_float32():
    nets = {}
    for half in (True, False):
        model = net()
        opt = NaturalGradient(model, **OPTIONS, half_products=half, inverse_every=1)
        trained(model, opt, 2)
        found = opt._approximation.blocks["0.weight"].a_inverse
        assert found.matrix.dtype is (torch.bfloat16 if half else torch.float32)
        assert ("bfloat16" in opt.report().route) is half
        assert opt._approximation.blocks["2.weight"].a_inverse.matrix.dtype is torch.float32  # 750 entries
        nets[half] = model, opt
    torch.manual_seed(0)
    gradient = {n: torch.randn_like(p) for n, p in nets[True][0].named_parameters()}
    narrow, wide = (nets[half][1]._approximation.blocks["0.weight"].times(gradient) for half in (True, False))
    for name, moved in narrow.items():
        assert moved.dtype is torch.float32
        assert (moved - wide[name]).norm() < 0.03 * wide[name].norm()


def test_a_direction_that_rounding_would_change_stays_in_float32():
    model = net()
    opt = NaturalGradient(model, **OPTIONS, damping=1e-9, ema=0.0, inverse_every=1)
    draw = torch.Generator().manual_seed(0)
    x = 1.0 + 1e-3 * torch.randn(32, 130, generator=draw)  # one direction with nearly all of A
    F.cross_entropy(model(x), torch.arange(32) % 5).backward()
    opt.step()
    block = opt._approximation.blocks["0.weight"]
    assert block.a_inverse.matrix.dtype is torch.float32
    assert "bfloat16" not in block.route


def test_a_stopped_run_goes_on_with_the_same_bits():
    model = net()
    opt = NaturalGradient(model, **OPTIONS, inverse_every=3, factor_every=2)
    trained(model, opt, 4)
    twin, state = copy.deepcopy(model), copy.deepcopy(opt.state_dict())
    other = NaturalGradient(twin, **OPTIONS, inverse_every=3, factor_every=2)
    other.load_state_dict(state)
    kept = other._approximation.blocks["0.weight"].b_inverse
    assert isinstance(kept, DenseInverse)
    assert kept.matrix.dtype is torch.bfloat16
    trained(model, opt, 5, start=4)
    trained(twin, other, 5, start=4)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))


@pytest.mark.parametrize("rows", [96, 97])
def test_products_of_blocks_in_bfloat16_are_those_of_float32_but_for_rounding(rows):
    torch.manual_seed(0)
    matrix = torch.randn(3, 33, 33)
    blocks = DenseInverse(matrix)
    v = torch.randn(1, rows, rows)
    for side in ("times", "times_left"):
        full, half = (getattr(one, side)(v) for one in (blocks, blocks.narrowed()))
        assert (half - full).norm() < 0.01 * full.norm()
        assert full.shape == half.shape == v.shape
