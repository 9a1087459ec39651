"""How a whole picture is looked at: its padding, its polarity, and the blocks that decide it."""

import numpy as np
import pytest

import linnet.nuclei
from linnet.data import fluorescence_field
from linnet.nuclei import evaluate
from linnet.nuclei.detector.polarity import contrast, has_polarity
from linnet.nuclei.detector.prepared import prepare, without_padding
from linnet.nuclei.detector.sample import sample_blocks
from tests.unit.nuclei.lazy import Lazy


def test_padding_goes_and_ground_stays():
    rng = np.random.default_rng(0)
    inner = rng.integers(50, 200, (60, 70), dtype=np.uint8)
    canvas = np.zeros((100, 100), np.uint8)
    canvas[10:70, 5:75] = inner
    for lazy in (canvas, Lazy(canvas)):
        part, origin = without_padding(lazy)
        assert origin == (10, 5)
        assert np.array_equal(part[0:60, 0:70], inner)
        assert np.array_equal(part[7:9, 3:5], inner[7:9, 3:5])
    for picture in (
        inner,  # there is none
        np.where(np.arange(10_000).reshape(100, 100) % 7 == 0, canvas, 0),  # its value is ground
        np.pad(inner[:20, :20], 40),  # hardly a picture inside
        np.zeros((50, 50), np.uint8),
    ):
        assert without_padding(picture) == (picture, (0, 0))


def test_padding_on_the_far_sides_and_in_colour():
    rng = np.random.default_rng(0)
    inner = rng.integers(50, 200, (60, 70, 3), dtype=np.uint8)
    part, origin = without_padding(np.pad(inner, ((0, 9), (0, 4), (0, 0)), constant_values=255))
    assert origin == (0, 0)
    assert np.array_equal(part[0:60, 0:70], inner)


@pytest.mark.parametrize(("shape", "covered"), [((100, 131), True), ((3, 5), True), ((3000, 700, 4), False)])
def test_blocks_cover_a_small_picture_and_are_spread_over_a_large_one(shape, covered):
    image = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    lazy = Lazy(image)
    seen = np.concatenate([block.reshape(-1) for block in sample_blocks(lazy)])
    assert len(np.unique(seen)) == len(seen)
    if covered:
        assert np.array_equal(np.sort(seen), image.reshape(-1))
    else:
        assert len(seen) == 64 * 64 * 64 * 3
        assert lazy.pixels_read < 0.2 * image.size


def test_contrast_is_disc_less_ring_as_a_slow_loop_finds_it():
    rng = np.random.default_rng(0)
    picture = rng.random((3, 50, 60))
    points = rng.uniform(0, 49, (20, 2))
    for point, value in zip(points, contrast(picture, points), strict=True):
        centre, disc, ring = np.rint(point), [], []
        for dy in range(-12, 13):
            for dx in range(-12, 13):
                y, x = int(np.clip(centre[0] + dy, 0, 49)), int(np.clip(centre[1] + dx, 0, 59))
                away = np.hypot(dy, dx)
                if away <= 3.5:
                    disc.append(picture[:, y, x].mean())
                elif 9 <= away <= 12:
                    ring.append(picture[:, y, x].mean())
        assert value == pytest.approx(np.mean(disc) - np.mean(ring), abs=1e-12)
    flat = np.full((1, 40, 40), 0.3)
    assert has_polarity(flat, np.array([[20.0, 20.0]]), 1).all()
    flat[0, 16:25, 16:25] = 0.0
    assert has_polarity(flat, np.array([[20.0, 20.0]]), -1).all()
    assert not has_polarity(flat, np.array([[20.0, 20.0]]), 1).any()


def test_the_ground_decides_the_polarity_and_a_word_overrules_it():
    image, _ = fluorescence_field((200, 200), n=20, rng_seed=1)
    light = image.max() - image

    def sign(picture, modality="auto", polarity="auto"):
        return prepare(picture, modality, polarity, lambda _: 0.0).sign

    assert (sign(image), sign(light)) == (1, 0)
    assert (sign(image, polarity="dark"), sign(light, polarity="bright")) == (-1, 1)
    assert (sign(image, modality="brightfield"), sign(light, modality="fluorescence")) == (0, 1)


def test_dark_holes_beside_bright_nuclei_are_not_counted():
    detector = linnet.nuclei.load("default")
    image, points = fluorescence_field((300, 300), n=40, rng_seed=3)
    assert evaluate(points, detector(image, polarity="bright").points, 5.0).f1 > 0.97
    assert len(detector(image, polarity="dark")) < 4
    inverted = image.max() - image
    assert evaluate(points, detector(inverted, polarity="dark").points, 5.0).f1 > 0.9
    assert len(detector(inverted, polarity="bright", diameter_px=None)) < 4
