import pytest
import torch

from linnet.data import Augment, Standardise, brightness_contrast, crop, flip, shift
from linnet.errors import InputError


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(5)


def ramp(count=64, channels=2, height=5, width=6, dtype=torch.float32):
    """Every pixel of every image has a value of its own, the channel in the thousands."""
    pixels = torch.arange(1, height * width + 1).reshape(height, width)
    return (torch.arange(channels)[:, None, None] * 1000 + pixels).expand(count, -1, -1, -1).to(dtype).clone()


def test_flip_mirrors_about_half_of_the_images(generator):
    images = ramp(400)
    out = flip(images, generator)
    mirrored = (out == images.flip(3)).flatten(1).all(1)
    kept = (out == images).flatten(1).all(1)
    assert (mirrored ^ kept).all()
    assert 160 <= int(mirrored.sum()) <= 240  # 200 +- 4 standard deviations
    assert torch.equal(flip(images, generator, probability=0.0), images)
    assert torch.equal(flip(images, generator, probability=1.0), images.flip(3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_crop_gives_every_window_and_nothing_else(generator, dtype):
    images = ramp(300, channels=1, height=4, width=5, dtype=dtype)
    out = crop(images, generator, size=(3, 3))
    windows = {tuple(images[0, 0, y : y + 3, x : x + 3].flatten().tolist()) for y in range(2) for x in range(3)}
    assert {tuple(image.flatten().tolist()) for image in out} == windows
    assert out.dtype == dtype


def test_crop_moves_all_channels_together(generator):
    out = crop(ramp(50), generator, size=(3, 4))
    assert torch.equal(out[:, 1] - out[:, 0], torch.full((50, 3, 4), 1000.0))


@pytest.mark.parametrize(("fill", "mode"), [("zero", "constant"), ("edge", "replicate"), ("reflect", "reflect")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_shift_moves_and_fills(generator, fill, mode, dtype):
    images = ramp(200, channels=1, dtype=dtype)
    out = shift(images, generator, most_px=2, fill=fill)
    padded = torch.nn.functional.pad(images[:1].float(), (2, 2, 2, 2), mode=mode)[0, 0]
    windows = {tuple(padded[y : y + 5, x : x + 6].flatten().tolist()) for y in range(5) for x in range(5)}
    assert {tuple(image.flatten().float().tolist()) for image in out} == windows
    assert out.dtype == dtype


def test_a_window_that_does_not_fit_is_refused(generator):
    with pytest.raises(InputError, match=r"`size`.*\(8, 3\)"):
        crop(ramp(1), generator, size=(8, 3), padding=1)
    with pytest.raises(InputError, match=r"`padding`.*5"):
        shift(ramp(1), generator, most_px=5, fill="reflect")


def test_brightness_moves_the_mean_and_contrast_the_spread(generator):
    images = torch.rand(500, 3, 4, 4, generator=generator)
    lighter = brightness_contrast(images, generator, brightness=0.3)
    moved = (lighter - images).mean(dim=(1, 2, 3))
    assert torch.allclose(lighter - images, moved[:, None, None, None].expand_as(images), atol=1e-6)
    assert -0.3 <= moved.min() < -0.28
    assert 0.28 < moved.max() <= 0.3
    harder = brightness_contrast(images, generator, contrast=0.5)
    assert torch.allclose(harder.mean(dim=(1, 2, 3)), images.mean(dim=(1, 2, 3)), atol=1e-6)
    ratio = harder.std(dim=(1, 2, 3)) / images.std(dim=(1, 2, 3))
    assert 0.5 <= ratio.min() < 0.52
    assert 1.48 < ratio.max() <= 1.5 + 1e-5


def test_augment_is_decided_by_the_generator_and_does_only_what_is_asked():
    images = torch.rand(8, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    augment = Augment(flip=True, shift_px=1, fill="edge", brightness=0.1, contrast=0.1)
    outs = [augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[0], outs[2])
    assert torch.equal(images, before)
    assert torch.equal(Augment()(images, torch.Generator().manual_seed(1)), images)


def test_standardise_undoes_the_statistics():
    images = torch.tensor([[0, 255]], dtype=torch.uint8).reshape(1, 2, 1, 1)
    out = Standardise(mean=(0.25, 0.5), deviation=(0.5, 0.0))(images)
    assert out.flatten().tolist() == [-0.5, 0.5]
    assert torch.equal(Standardise((0.25, 0.5), (0.5, 0.0))(images.float() / 255), out)
