"""The brightness range against `numpy.percentile`, over all pixels and channels together."""

import numpy as np
import pytest

from linnet.nuclei.detector.brightness import HIGH, LOW, brightness_range


def images():
    rng = np.random.default_rng(0)
    for k, shape in enumerate([(1, 2), (7, 9), (16, 16, 3), (251, 197), (100, 100, 3)]):
        yield f"uint8 {shape}", rng.integers(0, 256, shape, dtype=np.uint8)
        yield f"uint16 {shape}", rng.integers(0, 65536, shape, dtype=np.uint16)
        yield f"narrow uint16 {shape}", rng.integers(30000, 30010, shape, dtype=np.uint16)
        yield f"int16 {shape}", rng.integers(-3000, 3000, shape).astype(np.int16)
        yield f"int64 {shape}", rng.integers(-(2**40), 2**40, shape)
        yield f"float64 {shape}", rng.normal(size=shape) * 10.0**k
        yield f"float16 {shape}", rng.random(shape).astype(np.float16)
        yield f"sliced {shape}", rng.integers(0, 256, (2 * shape[0], *shape[1:]), dtype=np.uint8)[::2]
    yield "bool", rng.random((40, 40)) < 0.5


@pytest.mark.parametrize(("name", "image"), [pytest.param(n, i, id=n) for n, i in images()])
def test_against_numpy(name, image):
    low, high = np.percentile(image.astype(np.float64), [LOW, HIGH])
    ours = brightness_range(image)
    np.testing.assert_allclose([ours.low, ours.high], [low, high], rtol=1e-12, atol=1e-12)


def test_percentiles_per_channel_are_told_apart():
    """The planted fault: on a stained picture per-channel percentiles differ by far more than the tolerance."""
    rng = np.random.default_rng(1)
    image = (rng.random((64, 64, 3)) * [60, 120, 250]).astype(np.uint8)
    ours = brightness_range(image)
    per_channel = np.percentile(image, [LOW, HIGH], axis=(0, 1))
    assert np.abs(per_channel[1] - ours.high).max() > 100
