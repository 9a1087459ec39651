"""Resizing against scikit-image's block means (shrinking) and PyTorch's and scipy's linear interpolation (growing)."""

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from skimage.measure import block_reduce

from linnet.nuclei.detector.resample import axis_weights, resize_window, scaled_size


def resized(image, scale):
    (rows, *_), (columns, *_) = (axis_weights(n, scale, 0, scaled_size(n, scale)) for n in image.shape[:2])
    return resize_window(image, rows, columns)


@pytest.mark.parametrize("factor", [2, 3, 4, 7])
def test_shrinking_by_integers_is_the_mean_of_blocks(factor):
    image = np.random.default_rng(factor).random((6 * factor, 9 * factor))
    expected = block_reduce(image, (factor, factor), np.mean)
    np.testing.assert_allclose(resized(image, 1 / factor), expected, atol=5e-7)  # float32 sums


@pytest.mark.parametrize("scale", [1.5, 2.0, 2.6, 4.0])
def test_growing_is_linear_interpolation(scale):
    image = np.random.default_rng(1).random((13, 17))
    ours = resized(image, scale)
    y, x = ((np.arange(n) + 0.5) / scale - 0.5 for n in ours.shape)
    theirs = map_coordinates(image, np.meshgrid(y, x, indexing="ij"), order=1, mode="nearest")
    np.testing.assert_allclose(ours, theirs, atol=5e-7)
    torchs = torch.nn.functional.interpolate(
        torch.from_numpy(image)[None, None], size=ours.shape, scale_factor=None, mode="bilinear"
    )
    if ours.shape == (13 * scale, 17 * scale):  # elsewhere PyTorch stretches to the rounded size
        np.testing.assert_allclose(ours, torchs[0, 0], atol=5e-7)


@pytest.mark.parametrize("scale", [0.3, 0.45, 2 / 3, 0.9])
def test_shrinking_by_any_factor_is_the_integral_over_each_pixel(scale):
    """By a dense definition: the running integral of the line, read off at the ends of every output pixel."""
    line = np.random.default_rng(2).random(60)
    n = scaled_size(60, scale)
    ends = np.arange(n + 1) / scale
    integral = np.interp(np.minimum(ends, 60), np.arange(61), np.concatenate([[0], np.cumsum(line)]))
    integral += np.maximum(ends - 60, 0) * line[-1]
    np.testing.assert_allclose(resized(line[None].repeat(2, 0), scale)[0], np.diff(integral) * scale, atol=5e-7)
