"""Sums over drawn positions: over all places of the grid their mean is the sum over all positions, exactly."""

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from linnet.core.capture.layers.matrix import MatrixRule, _factors
from linnet.core.capture.positions import Use, positions_of, thinned

LAYERS = {
    "conv": (nn.Conv2d(4, 6, 3, padding=1, groups=2, bias=False), (4, 7, 6), (6, 7, 6)),
    "strided": (nn.Conv2d(3, 5, 3, stride=2, dilation=2, padding=2), (3, 11, 12), (5, 6, 6)),
    "reflect": (nn.Conv1d(2, 3, 5, padding=2, padding_mode="reflect"), (2, 9), (3, 9)),
    "tokens": (nn.Linear(4, 3), (7, 4), (7, 3)),
}


def drawn_use(key):
    layer, inputs, outputs = LAYERS[key]
    draw = torch.Generator().manual_seed(0)
    a, g = torch.randn(5, *inputs, generator=draw).double(), torch.randn(2, 5, *outputs, generator=draw).double()
    return layer.double(), Use(a, g)


@pytest.mark.parametrize("key", LAYERS)
@pytest.mark.parametrize("parts", [(1, 1), (3, 2)])
def test_the_mean_over_all_places_is_the_sum_over_all_positions(key, parts):
    layer, use = drawn_use(key)
    whole = positions_of(layer, use)
    sizes = (whole.count,) if key == "tokens" else tuple(use.g.shape[3:])
    steps = (2, 3)[: len(sizes)]
    options = {"homogeneous": layer.bias is not None, "sharing": "expand", "parts": parts}
    sums = []
    for firsts in itertools.product(*map(range, steps)):
        grid = tuple(slice(f, size, step) for f, size, step in zip(firsts, sizes, steps, strict=True))
        count = sum(1 for _ in itertools.product(*(range(p.start, p.stop, p.step) for p in grid)))
        sums.append(_factors(replace(whole, grid=grid, count=count), **options))
    for side, full in enumerate(_factors(whole, **options)):
        mean = torch.stack([one[side] for one in sums]).mean(0)
        torch.testing.assert_close(mean, full, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("key", LAYERS)
@pytest.mark.parametrize("most", [1, 9, 15])
def test_about_so_many_vectors_are_left_at_places_that_follow_the_seed(key, most):
    layer, use = drawn_use(key)
    whole = positions_of(layer, use)
    part = thinned(whole, most, 3)
    assert part.grid == thinned(whole, most, 3).grid
    places = {tuple(p.start for p in thinned(whole, most, seed).grid) for seed in range(40)}
    assert len(places) > 1
    assert all(0 <= places.start < places.step for places in part.grid)
    at_least = min(most, whole.samples)  # each sample has one position at least
    assert at_least <= part.samples * part.count <= max(4 * most, 2 * whole.samples)
    assert part.inputs().shape[-1] == part.outputs().shape[-1] == part.count
    torch.testing.assert_close(part.input_columns(), part.inputs().permute(1, 2, 0, 3).flatten(2), rtol=0, atol=0)


def test_few_positions_are_all_read():
    layer, use = drawn_use("conv")
    whole = positions_of(layer, use)
    assert thinned(whole, whole.samples * whole.count // 2 + 1, 0) is whole
    options = {"homogeneous": False, "sharing": "expand", "parts": (1, 1)}
    some = MatrixRule().factor_blocks(layer, [use], **options, most=10**6)
    for got, full in zip(some, MatrixRule().factors(layer, [use], homogeneous=False, sharing="expand"), strict=True):
        torch.testing.assert_close(got, full, rtol=0, atol=0)
