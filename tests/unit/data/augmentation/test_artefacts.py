"""Faults of pictures, one at a time."""

import dataclasses

import numpy as np
import pytest
import torch

from linnet.data.augmentation.artefacts import Artefacts

NEVER = Artefacts(tint=0, colour_map=0, light=0, subtracted=0, dust=0, hot=0, jpeg=0, own_range=0)


def only(name, **options):
    return dataclasses.replace(NEVER, **{name: 1.0}, **options)


@pytest.fixture
def gray():
    return torch.from_numpy(np.random.default_rng(0).random((1, 60, 50), np.float32)).expand(3, -1, -1)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_without_faults_nothing_changes(gray):
    assert NEVER.before(gray, rng()) is gray
    assert NEVER.after(gray, rng()) is gray


def test_the_same_generator_gives_the_same_faults(gray):
    every = Artefacts(tint=0.5, colour_map=0.5, light=1, dust=1, hot=1, jpeg=1, own_range=1)
    a, b = (every.after(every.before(gray, g), g) for g in (rng(3), rng(3)))
    assert torch.equal(a, b)
    assert not torch.equal(a, gray)


def test_a_tint_is_a_multiple_whose_strongest_channel_is_1(gray):
    out = only("tint").before(gray, rng(2))
    factors = [float((out[c] / gray[c]).mean()) for c in range(3)]
    for c in range(3):
        torch.testing.assert_close(out[c], factors[c] * gray[c])
    assert max(factors) == pytest.approx(1)


def test_a_colour_map_keeps_the_order_of_brightness_and_leaves_colour_alone(gray):
    out = only("colour_map").before(gray, rng(1))
    order = gray[0].reshape(-1).argsort()
    assert (out.reshape(3, -1)[:, order].diff(dim=1) >= -1e-6).all()
    assert not torch.equal(out[0], out[1])
    colour = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(only("colour_map", tint=1.0).before(colour, rng()), colour)


def test_light_is_a_plane_of_mean_1(gray):
    ones = torch.ones(3, 41, 41)
    out = only("light", light_range=0.4).before(ones, rng())
    assert float(out.mean()) == pytest.approx(1, abs=1e-5)
    assert float((out[:, 1:] - out[:, :-1]).std()) < 1e-5
    assert 0.01 < float(out.max()) - 1 < 0.6


def test_a_subtracted_background_leaves_zeros_and_keeps_order(gray):
    dark = 0.5 * gray
    out = only("subtracted").before(dark, rng(1))
    zeros = float((out == 0).float().mean())
    assert 0.09 < zeros < 0.61
    assert float(np.percentile(out.numpy(), 99.8)) == pytest.approx(1, abs=1e-3)
    above = out[0] > 0
    assert float(dark[0][above].min()) >= float(dark[0][~above].max())
    bright = 1 - dark
    assert torch.equal(only("subtracted").before(bright, rng(1)), bright)
    colour = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0)) * 0.5
    assert torch.equal(only("subtracted").before(colour, rng()), colour)


def test_dust_is_bright_and_hot_pixels_are_few():
    dark = torch.zeros(3, 200, 200)
    dusty = only("dust").before(dark, rng(1))
    assert float(dusty.max()) > 1.2
    assert 0 < float((dusty > 0.75).float().mean()) < 0.15
    hot = only("hot", hot_pixels=9).after(dark, rng())
    assert 1 <= int((hot[0] > 0).sum()) <= 9
    assert set(hot.unique().tolist()) == {0.0, 1.5}
    assert float(dark.max()) == 0


def test_jpeg_is_close_to_the_picture():
    smooth = torch.linspace(0, 1, 64).expand(3, 48, 64)
    out = only("jpeg").after(smooth, rng())
    assert out.shape == smooth.shape
    assert 0 < float((out - smooth).abs().mean()) < 0.02


def test_a_tile_is_stretched_to_its_own_percentiles(gray):
    out = only("own_range").before(gray * 0.1 + 0.4, rng())
    assert np.percentile(out.numpy(), [1, 99.8]) == pytest.approx([0, 1], abs=1e-5)
    flat = torch.full((3, 9, 9), 0.4)
    assert torch.equal(only("own_range").before(flat, rng()), flat)
