import numpy as np
import pytest

from linnet.errors import ImageError
from linnet.nuclei.detector import brightness
from linnet.nuclei.detector.brightness import Range, brightness_range
from tests.unit.nuclei.lazy import Lazy


def test_low_becomes_0_and_high_becomes_1():
    out = Range(10, 30).apply(np.array([[10, 20, 30], [0, 5, 100]], dtype=np.uint8))
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, [[0, 0.5, 1], [-0.25, -0.25, 1.5]], atol=1e-7)


def test_a_constant_image_becomes_0():
    for value, dtype in [(7, np.uint8), (0.1, np.float64), (1e30, np.float32), (0, np.bool_)]:
        image = np.full((4, 5), value, dtype)
        assert brightness_range(image).constant
        assert not brightness_range(image).apply(image).any()


def test_a_few_bright_or_dark_pixels_are_no_constant_image():
    image = np.full((40, 40), 100, np.uint8)
    image[3, 4] = 180
    assert brightness_range(image) == Range(100, 180)
    image[3, 4] = 20
    assert brightness_range(image) == Range(20, 100)
    assert brightness_range(image.astype(float)) == Range(20, 100)


def test_colours_are_taken_together_and_alpha_is_left_out():
    """Per channel, every colour would be stretched to the full range and the stain would be lost."""
    image = np.zeros((50, 50, 3), np.uint8)
    image[..., 0] = np.arange(2500).reshape(50, 50) % 100
    image[..., 1], image[..., 2] = 100, 200
    r = brightness_range(image)
    assert (r.low, r.high) == tuple(np.percentile(image, [1, 99.8]))
    assert r.high == 200
    assert np.ptp(r.apply(image)[..., 1]) == 0
    assert r.apply(image)[0, 0, 1] == pytest.approx(0.5, abs=0.01)
    alpha = np.full((50, 50, 1), 255, np.uint8)
    assert brightness_range(np.concatenate([image, alpha], axis=-1)) == r
    assert brightness_range(np.concatenate([image, alpha], axis=-1) / 4) == Range(r.low / 4, r.high / 4)


@pytest.mark.parametrize("factor_of", [(1, np.uint16), (257, np.uint16), (1 / 255, np.float64), (1, np.int32)])
def test_the_type_does_not_matter(factor_of):
    factor, dtype = factor_of
    image = np.random.default_rng(0).integers(0, 256, (37, 41, 3), dtype=np.uint8)
    other = (image.astype(np.float64) * factor).astype(dtype)
    r, s = brightness_range(image), brightness_range(other)
    np.testing.assert_allclose([s.low, s.high], [r.low * factor, r.high * factor], rtol=1e-12)
    np.testing.assert_allclose(s.apply(other), r.apply(image), atol=2e-6)


def test_a_small_contrast_on_a_large_offset_survives():
    ramp = np.linspace(0, 1, 1000).reshape(20, 50)
    plain, lifted = ramp, ramp + 1e9
    a, b = brightness_range(plain), brightness_range(lifted)
    np.testing.assert_allclose(b.apply(lifted), a.apply(plain), atol=1e-5)
    counts = (np.arange(1000).reshape(20, 50) + 2**30).astype(np.int32)
    np.testing.assert_allclose(brightness_range(counts).apply(counts), a.apply(plain), atol=1e-5)


def test_the_order_of_bytes_does_not_matter():
    image = np.random.default_rng(1).integers(0, 60000, (30, 30), dtype=np.uint16)
    swapped = image.astype(image.dtype.newbyteorder())
    assert brightness_range(swapped) == brightness_range(image)
    assert brightness_range(swapped.astype(">f4")) == brightness_range(image)
    assert np.array_equal(Range(0, 9).apply(swapped), Range(0, 9).apply(image))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_an_image_read_in_bands_has_the_range_of_the_whole(monkeypatch, dtype, channels):
    image = (np.random.default_rng(2).random((57, 31, *channels)) * 200).astype(dtype)
    whole = brightness_range(image)
    monkeypatch.setattr(brightness, "_READ", 500 * image.itemsize)
    monkeypatch.setattr(brightness, "_COUNT", 70)
    lazy = Lazy(image)
    assert brightness_range(lazy) == brightness_range(image) == whole
    assert lazy.largest_read <= 500
    assert lazy.pixels_read == image.size


@pytest.mark.parametrize("channels", [(), (3,), (4,)])
def test_a_large_real_image_is_sampled_alike_in_memory_and_in_bands(monkeypatch, channels):
    image = np.random.default_rng(3).random((90, 70, *channels))
    exact = brightness_range(image)
    monkeypatch.setattr(brightness, "_EXACT", 1000)
    monkeypatch.setattr(brightness, "_SAMPLE", 3000)
    sampled = brightness_range(image)
    assert sampled != exact
    assert sampled.low == pytest.approx(exact.low, abs=0.01)
    assert sampled.high == pytest.approx(exact.high, abs=0.005)
    monkeypatch.setattr(brightness, "_READ", 700)
    assert brightness_range(Lazy(image)) == sampled


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_found_also_outside_the_sample(monkeypatch, bad):
    image = np.random.default_rng(3).random((90, 70))
    image[71, 13] = image[2, 2] = bad
    message = "image.*2 NaN"
    with pytest.raises(ImageError, match=message):
        brightness_range(image)
    monkeypatch.setattr(brightness, "_EXACT", 10)
    monkeypatch.setattr(brightness, "_SAMPLE", 1)
    monkeypatch.setattr(brightness, "_READ", 700)
    with pytest.raises(ImageError, match=message):
        brightness_range(Lazy(image))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((0, 5)), r"image.*\(0, 5\)"),
        (np.zeros((5, 5), complex), "complex128"),
        (np.zeros((5, 5), "U3"), "<U3"),
        (np.zeros((5, 5), object), "object"),
        (np.zeros((5, 5), "M8[s]"), r"datetime64\[s\]"),
    ],
)
def test_other_values_are_refused(image, message):
    with pytest.raises(ImageError, match=message):
        brightness_range(image)
