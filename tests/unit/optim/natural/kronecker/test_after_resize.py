"""K-FAC follows `linnet.resize`: factors are those that the new network has, and training goes on."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from linnet.core import ChannelGraph, resize
from linnet.optim import NaturalGradient


def net():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Tanh(), nn.Conv2d(4, 5, 3), nn.Tanh(),
        nn.Conv2d(5, 5, 1, groups=5), nn.Flatten(), nn.Linear(5 * 16, 3),
    ).double()  # fmt: skip
    return model.eval()


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(6, 2, 6, 6, generator=generator, dtype=torch.float64)
    return x, torch.arange(6) % 3


def make(model, **options):
    chosen = {"damping": 1e-2, "lr": 0.03, "momentum": 0.5, "inverse_every": 50, "factor_every": 50} | options
    return NaturalGradient(model, "cross_entropy", "kfac", **chosen)


def step(model, opt, seed=0):
    opt.zero_grad()
    x, y = batch(seed)
    F.cross_entropy(model(x), y).backward()
    opt.step()


@pytest.mark.parametrize("split", ["even", "random"])
def test_factors_after_widening_are_those_of_the_wide_network(split):
    model = net()
    opt = make(model, lr=1e-12, momentum=0.0)  # so that factors are those of the weights now
    step(model, opt)
    graph = ChannelGraph(model, batch()[0])
    wide = resize(model, graph, {"0": [2, 1, 3, 1], "3": [1, 2, 1, 1, 2]}, optimizer=opt, split=split)
    blocks = opt._approximation.blocks
    assert opt.model is wide
    fresh = make(wide)
    step(wide, fresh)
    expected = fresh._approximation.blocks
    assert set(expected) - set(blocks) == {"5.weight"}  # grouped: starts again
    for key, block in blocks.items():
        torch.testing.assert_close(block.a, expected[key].a, rtol=1e-8, atol=1e-10)
        if hasattr(block, "b"):
            torch.testing.assert_close(block.b, expected[key].b, rtol=1e-8, atol=1e-10)


def test_training_goes_on_after_a_cut():
    model = net()
    opt = make(model, factor_every=2, inverse_every=2)
    for seed in range(3):
        step(model, opt, seed)
    graph = ChannelGraph(model, batch()[0])
    small = resize(model, graph, {"0": [1, 0, 1, 1], "3": [1, 1, 0, 0, 1]}, optimizer=opt)
    assert opt.param_groups[0]["params"][0] is small[0].weight
    assert opt.state[small[0].weight]["momentum_buffer"].shape == small[0].weight.shape
    losses = []
    for _ in range(12):
        losses.append(float(F.cross_entropy(small(batch()[0]), batch()[1]).detach()))
        step(small, opt)
    assert losses[-1] < losses[0]
    assert set(opt.report().covered) == {name for name, _ in small.named_parameters()}
    assert len(small._forward_pre_hooks) == 1


def test_a_step_with_a_batch_goes_on_as_well():
    model = net()
    opt = make(model)
    opt.step(*batch())
    small = resize(model, ChannelGraph(model, batch()[0]), {"0": [1, 0, 1, 1]}, optimizer=opt)
    before = small[0].weight.detach().clone()
    opt.step(*batch())
    assert not torch.equal(small[0].weight, before)
