"""corrupt: layouts, types, seeds, independence of batch and order, constants, and every bad input."""

import hashlib

import numpy as np
import pytest
import torch

from linnet.data import Corrupted, corrupt, corruption_names
from linnet.data.corruptions.application import TABLE
from linnet.data.corruptions.suites import EXTRA, SUITES, TEST
from linnet.errors import InputError

NAMES = corruption_names()
RANDOM = (
    "gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "glass_blur", "motion_blur", "snow", "frost_like",
    "fog", "spatter", "elastic_transform",
)  # fmt: skip


def natural(images, height=32, width=32, channels=3):
    """Smooth random pictures with full range, uint8 (N, H, W, C)."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    waves = generator.uniform(0.05, 0.6, (images, 1, 1, channels, 4))
    phases = generator.uniform(0, 6, (images, 1, 1, channels))
    value = np.sin(waves[..., 0] * y[None, ..., None] + phases) + np.cos(waves[..., 1] * x[None, ..., None] - phases)
    return np.rint(255 * (value + 2) / 4).astype(np.uint8)


IMAGES = natural(4)


def test_the_suites_are_fifteen_and_four():
    assert (len(TEST), len(EXTRA)) == (15, 4)
    assert set(NAMES) == set(TABLE) == set(TEST) | set(EXTRA)
    assert all(len(constants) == 5 for _, constants in TABLE.values())
    assert corruption_names("cifar15") == TEST
    assert "saturate" not in corruption_names(channels=1)
    assert len(corruption_names(channels=1)) == 18


@pytest.mark.parametrize("name", NAMES)
def test_every_corruption_changes_every_image_and_leaves_the_input(name):
    before = IMAGES.copy()
    for severity in range(1, 6):
        found = corrupt(IMAGES, name, severity)
        assert found.dtype == np.uint8
        assert found.shape == IMAGES.shape
        assert all((a != b).any() for a, b in zip(found, IMAGES, strict=True))
    assert np.array_equal(IMAGES, before)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("severity", [1, 4])
def test_bytes_floats_tensors_and_arrays_agree(name, severity):
    expected = corrupt(IMAGES, name, severity, rng_seed=3)
    tensor = corrupt(torch.from_numpy(IMAGES), name, severity, rng_seed=3)
    assert tensor.dtype == torch.uint8
    assert np.array_equal(tensor.numpy(), expected)
    floats = torch.from_numpy(IMAGES).permute(0, 3, 1, 2).double() / 255
    found = corrupt(floats, name, severity, rng_seed=3)
    assert found.dtype == torch.float64
    assert found.shape == floats.shape
    assert np.array_equal(np.rint(found.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8), expected)
    assert np.array_equal(corrupt(floats.numpy(), name, severity, rng_seed=3), found.numpy())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_type_of_floats_stays(dtype):
    floats = (torch.from_numpy(IMAGES).permute(0, 3, 1, 2).double() / 255).to(dtype)
    found = corrupt(floats, "contrast", 3)
    assert found.dtype == dtype
    assert found.is_contiguous()
    exact = floats.double()
    mean = exact.mean(dim=(2, 3), keepdim=True)
    assert torch.allclose(found.double(), mean + 0.4 * (exact - mean), atol=0.01)


@pytest.mark.parametrize("name", NAMES)
def test_neither_batch_nor_order_matters(name):
    whole = corrupt(IMAGES, name, 4)
    for k in range(len(IMAGES)):
        assert np.array_equal(corrupt(IMAGES[k : k + 1], name, 4)[0], whole[k])
    assert np.array_equal(corrupt(IMAGES[::-1], name, 4), whole[::-1])


def test_a_batch_that_is_worked_on_in_pieces_is_the_same():
    many = natural(50, 40, 36)  # 21 images of 32 x 32 fill one piece
    for name in ("fog", "gaussian_noise", "jpeg_compression", "elastic_transform"):
        whole = corrupt(many, name, 2)
        assert all(np.array_equal(corrupt(many[k : k + 1], name, 2)[0], whole[k]) for k in (0, 17, 49))


@pytest.mark.parametrize("name", RANDOM)
def test_the_seed_decides_the_draws(name):
    assert np.array_equal(corrupt(IMAGES, name, 3), corrupt(IMAGES, name, 3))
    assert not np.array_equal(corrupt(IMAGES, name, 3), corrupt(IMAGES, name, 3, rng_seed=1))


def test_the_global_generators_are_untouched():
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    for name in RANDOM:
        corrupt(IMAGES[:1], name, 5)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002


@pytest.mark.parametrize("shape", [(8, 8, 1), (8, 13, 3), (33, 17, 1), (70, 64, 3)])
def test_any_size_and_gray_images(shape):
    images = natural(2, *shape)
    # A blur of a pixel or two in 32 stays within the pixel in 8.
    unseen = {"defocus_blur", "gaussian_blur"} if min(shape[:2]) == 8 else set()
    for name in corruption_names(channels=shape[2]):
        found = corrupt(images, name, 5)
        assert found.shape == images.shape
        assert (found != images).any() == (name not in unseen), name


def test_no_image_gives_no_image():
    for name in NAMES:
        assert corrupt(IMAGES[:0], name, 1).shape == (0, 32, 32, 3)


def test_the_pictures_stay_what_they_are():
    """A fixed picture under all 19 in all severities: records of studies rest on these bytes."""
    digest = hashlib.sha256()
    for name in (
        "impulse_noise",
        "contrast",
        "brightness",
        "pixelate",
        "saturate",
    ):  # exact arithmetic on every machine
        for severity in range(1, 6):
            digest.update(corrupt(IMAGES[:1], name, severity).tobytes())
    assert digest.hexdigest()[:16] == "96a89d0b4d0d1532"


FLOATS = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("images", "name", "severity", "said"),
    [
        (IMAGES, "gausian_noise", 1, r"`name`.*shot_noise.*Did you mean 'gaussian_noise'"),
        (IMAGES, None, 1, "`name`"),
        (IMAGES, "fog", 0, r"`severity`.*1 to 5.*0"),
        (IMAGES, "fog", 6, r"`severity`.*6"),
        (IMAGES, "fog", 1.0, r"`severity`.*1\.0"),
        (IMAGES, "fog", True, r"`severity`.*True"),
        (FLOATS + 0.5, "fog", 1, r"`images` must be in \[0, 1\]"),
        (FLOATS - 0.5, "fog", 1, "standardised"),
        (FLOATS * float("nan"), "fog", 1, r"`images` must be in \[0, 1\].*nan"),
        (np.zeros((2, 8, 8, 4), np.uint8), "fog", 1, "1 or 3 channels.*4.*alpha"),
        (torch.zeros(2, 4, 8, 8), "fog", 1, "1 or 3 channels.*4"),
        (torch.zeros(2, 3, 16, 16, dtype=torch.uint8), "fog", 1, "channels.*permute"),
        (torch.zeros(2, 8, 8, 3), "fog", 1, "channels.*permute"),
        (np.zeros((8, 8, 3), np.uint8), "fog", 1, r"images\[None\]"),
        (np.zeros((2, 8, 8, 3), np.int64), "fog", 1, "int64"),
        (np.zeros((2, 8, 7, 3), np.uint8), "fog", 1, "at least 8 pixels"),
        ([[0]], "fog", 1, "`images`.*list"),
        (FLOATS.to_sparse(), "fog", 1, "`images`.*dense.*sparse"),
        (torch.zeros(2, 3, 8, 8, device="meta"), "fog", 1, "`images`.*dense.*meta"),
        (np.zeros((2, 8, 8, 1), np.uint8), "saturate", 1, "gray"),
    ],
)
def test_bad_input_is_refused(images, name, severity, said):
    with pytest.raises(InputError, match=said):
        corrupt(images, name, severity)


@pytest.mark.parametrize("rng_seed", [None, 1.5, "1", True])
def test_a_seed_that_is_no_whole_number_is_refused(rng_seed):
    with pytest.raises(InputError, match=r"`rng_seed` must be a whole number \(got "):
        corrupt(IMAGES, "brightness", 1, rng_seed)
    with pytest.raises(InputError, match="`rng_seed`"):
        Corrupted([], "fog", 1, rng_seed)


def test_any_kind_of_whole_number_is_a_seed():
    expected = corrupt(IMAGES, "gaussian_noise", 2, 7)
    for seed in (np.int64(7), torch.tensor(7)):
        assert np.array_equal(corrupt(IMAGES, "gaussian_noise", 2, seed), expected)


def test_an_eight_bit_float_image_comes_back_as_one():
    small = torch.full((1, 3, 8, 8), 0.5).to(torch.float8_e4m3fn)
    found = corrupt(small, "brightness", 1)
    assert found.dtype == torch.float8_e4m3fn
    assert torch.equal(found.float(), corrupt(small.float(), "brightness", 1).to(torch.float8_e4m3fn).float())


def test_unknown_suites_and_channels_are_refused():
    with pytest.raises(InputError, match=r"`suite`.*cifar15"):
        corruption_names("cifar10c")
    with pytest.raises(InputError, match="`channels`"):
        corruption_names(channels=4)
    assert set(SUITES) == {"cifar15", "extra4", "all19"}
