import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from linnet.data.augmentation.photometric import Photometric, gaussian_blur

NOTHING = {"gain": 0, "shift": 0, "gamma": 0, "stain": 0, "gray": 0, "invert": 0, "blur": 0, "noise": 0}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def colours(count=200, side=8):
    return torch.rand(count, 3, side, side, generator=generator(7)) * 0.9 + 0.05


def only(**options):
    return Photometric(**{**NOTHING, **options})


def test_with_all_ranges_0_nothing_changes():
    images = colours(5)
    torch.testing.assert_close(only()(images, generator()), images, rtol=0, atol=1e-6)


def test_the_result_depends_on_the_generator_alone():
    images = colours(6)
    kept, state = images.clone(), torch.get_rng_state()
    first, again, other = (Photometric()(images, generator(s)) for s in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, kept)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.isfinite(first).all()


def test_gain_and_shift_are_drawn_for_each_image_within_their_range():
    flat = torch.stack([torch.full((3, 4, 4), 0.25), torch.full((3, 4, 4), 0.75)]).repeat(300, 1, 1, 1)
    out = only(gain=0.35)(flat, generator())[1::2, 0, 0, 0] / 0.75
    assert out.min() >= np.exp(-0.35) - 1e-5
    assert out.max() <= np.exp(0.35) + 1e-5
    assert out.log().std() == pytest.approx(0.35 / 3**0.5, rel=0.15)
    moved = only(shift=0.08)(flat, generator())[::2, 0, 0, 0] - 0.25
    assert moved.abs().max() <= 0.08 + 1e-6
    assert moved.std() == pytest.approx(0.08 / 3**0.5, rel=0.15)


def test_gamma_keeps_0_and_1():
    images = torch.tensor([0.0, 0.3, 1.0]).expand(50, 3, 1, 3).clone()
    out = only(gamma=0.5)(images, generator())
    assert torch.equal(out[..., 0], torch.zeros(50, 3, 1))
    assert torch.equal(out[..., 2], torch.ones(50, 3, 1))
    assert len(out[:, 0, 0, 1].unique()) == 50


def test_inversion_comes_at_its_rate_and_exchanges_bright_and_dark():
    images = colours(600)
    out = only(invert=0.3)(images, generator())
    turned = torch.isclose(out, 1 - images, atol=1e-5).flatten(1).all(1)
    kept = torch.isclose(out, images, atol=1e-5).flatten(1).all(1)
    assert (turned ^ kept).all()
    assert turned.float().mean() == pytest.approx(0.3, abs=0.075)


def test_stain_leaves_gray_images_gray():
    gray = colours(20)[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(only(stain=0.5, gray=0.5)(gray, generator()), gray, rtol=0, atol=1e-6)
    out = Photometric()(gray.clone(), generator())
    torch.testing.assert_close(out[:, 0], out[:, 2], rtol=0, atol=1e-6)


def test_colour_is_mixed_linearly_or_lost():
    images = colours(400, side=3)
    out = only(gray=0.25)(images, generator())
    lost = torch.isclose(out, images.mean(1, keepdim=True).expand_as(images), atol=1e-5).flatten(1).all(1)
    assert lost.float().mean() == pytest.approx(0.25, abs=0.09)
    mixed = only(stain=0.02)(images[:1], generator())[0].reshape(3, -1)
    matrix = torch.linalg.lstsq(images[0].reshape(3, -1).T, mixed.T).solution.T
    torch.testing.assert_close(matrix @ images[0].reshape(3, -1), mixed, rtol=0, atol=1e-5)
    assert 0 < (matrix - torch.eye(3)).abs().max() < 0.1


def test_noise_is_white_gray_and_bounded():
    flat = torch.full((300, 3, 16, 16), 0.5)
    out = only(noise=1.0, noise_sd=0.08)(flat, generator()) - 0.5
    assert torch.equal(out[:, 0], out[:, 1])
    sd = out[:, 0].flatten(1).std(1)
    assert sd.max() < 0.08 * 1.2
    assert sd.mean() == pytest.approx(0.08 / 3, rel=0.15)  # E[u^2] = 1/3


@pytest.mark.parametrize("sigma", [0.3, 0.8, 1.5])
def test_blur_against_scipy(sigma):
    images = torch.rand(2, 3, 20, 17, dtype=torch.float64, generator=generator())
    out = gaussian_blur(images, torch.full((2,), sigma))
    radius = max(1, int(np.ceil(3 * sigma)))
    for image, blurred in zip(images, out, strict=True):
        for channel, ours in zip(image, blurred, strict=True):
            theirs = gaussian_filter(channel.numpy(), sigma, mode="nearest", radius=radius)
            np.testing.assert_allclose(ours, theirs, atol=1e-7)  # sigma is float32


def test_each_image_has_its_own_blur():
    images = torch.rand(2, 3, 12, 12, generator=generator())
    both = gaussian_blur(images, torch.tensor([0.5, 1.4]))
    assert not torch.allclose(both[0], images[0], atol=1e-3)
    torch.testing.assert_close(both[1:], gaussian_blur(images[1:], torch.tensor([1.4])), rtol=0, atol=1e-5)
    flat = torch.full((1, 1, 5, 5), 0.7)
    torch.testing.assert_close(gaussian_blur(flat, torch.tensor([1.5])), flat, rtol=0, atol=1e-6)
