import numpy as np
import pytest

from linnet.errors import InputError
from linnet.nuclei.detector.resample import axis_weights, resize_window, scaled_size


def resized(image, scale):
    (rows, y0, y1), (columns, x0, x1) = (axis_weights(n, scale, 0, scaled_size(n, scale)) for n in image.shape[:2])
    assert (y0, y1, x0, x1) == (0, image.shape[0], 0, image.shape[1])
    return resize_window(image, rows, columns)


def test_sizes():
    assert [scaled_size(n, s) for n, s in [(10, 0.5), (11, 0.5), (3, 2), (1, 0.01), (7, 1 / 3)]] == [5, 6, 6, 1, 2]


def test_halving_averages_pairs():
    assert resized(np.array([[1.0, 3.0, 10.0, 20.0]]).repeat(2, 0), 0.5).tolist() == [[2.0, 15.0]]


def test_doubling_interpolates_at_the_quarters_and_repeats_the_edge():
    assert resized(np.array([[0.0, 8.0]]), 2)[0].tolist() == [0.0, 2.0, 6.0, 8.0]


def test_an_uneven_share_of_a_pixel_counts_as_much():
    # 3 pixels to 2: output 0 covers pixel 0 and half of pixel 1.
    weights, low, high = axis_weights(3, 2 / 3, 0, 2)
    assert (low, high) == (0, 3)
    np.testing.assert_allclose(weights.toarray(), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], atol=1e-7)


@pytest.mark.parametrize("scale", [0.11, 0.25, 1 / 3, 0.5, 0.73, 1.0, 1.3, 2.0, 3.7])
@pytest.mark.parametrize("size", [1, 2, 17, 40])
def test_rows_sum_to_one_and_a_part_is_the_part_of_the_whole(scale, size):
    n = scaled_size(size, scale)
    weights, low, high = axis_weights(size, scale, 0, n)
    dense = np.zeros((n, size))
    dense[:, low:high] = weights.toarray()
    np.testing.assert_allclose(dense.sum(1), 1, atol=1e-6)
    for start, stop in [(0, 1), (n // 2, n), (n // 3, n // 3 + 1)]:
        part, low, high = axis_weights(size, scale, start, stop)
        assert 0 <= low < high <= size
        assert np.array_equal(part.toarray(), dense[start:stop, low:high].astype(np.float32))
        assert not dense[start:stop, :low].any()
        assert not dense[start:stop, high:].any()


@pytest.mark.parametrize("scale", [0.2, 0.5, 0.61, 1.7, 2.0])
def test_the_middle_of_mass_goes_to_where_the_rule_says(scale):
    """y_out = (y_in + 0.5) s - 0.5, for light away from the borders."""
    line = np.zeros((1, 200))
    line[0, 90:111] = np.hanning(23)[1:-1]
    weights, low, high = axis_weights(200, scale, 0, scaled_size(200, scale))
    out = weights.toarray() @ line[0, low:high]
    at = (out * np.arange(len(out))).sum() / out.sum()
    assert at == pytest.approx((100 + 0.5) * scale - 0.5, abs=0.01)


def test_colours_are_resized_apart():
    image = np.random.default_rng(0).random((12, 10, 3))
    out = resized(image, 0.5)
    assert out.shape == (6, 5, 3)
    for c in range(3):
        assert np.array_equal(out[..., c], resized(image[..., c], 0.5))


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_must_be_positive(scale):
    with pytest.raises(InputError, match="scale"):
        axis_weights(5, scale, 0, 2)
