"""Corruptions against other makers: scikit-image's blur and HSV, Pillow's JPEG and box filter."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage.color import hsv2rgb, rgb2hsv
from skimage.data import astronaut, coffee
from skimage.filters import gaussian

from linnet.data import corrupt


def crops(count=24, side=32):
    """Natural crops, reduced so that 32 pixels show objects."""
    generator = np.random.default_rng(0)
    found = []
    for k in range(count):
        picture = (astronaut, coffee)[k % 2]()[::2, ::2]
        y, x = (int(generator.integers(limit - side)) for limit in picture.shape[:2])
        found.append(picture[y : y + side, x : x + side])
    return np.stack(found)


CROPS = crops()
FLOATS = np.moveaxis(CROPS / 255.0, 3, 1)


def psnr(a, b):
    error = ((a.astype(float) - b.astype(float)) ** 2).mean(axis=(1, 2, 3))
    return float(np.mean(10 * np.log10(255**2 / np.maximum(error, 1e-3))))


@pytest.mark.parametrize(("severity", "sigma"), [(1, 0.4), (3, 0.7), (5, 1)])
def test_gaussian_blur_is_scikit_images(severity, sigma):
    expected = np.stack([gaussian(one / 255.0, sigma=sigma, channel_axis=-1) for one in CROPS])
    assert np.moveaxis(corrupt(FLOATS, "gaussian_blur", severity), 1, 3) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("severity", "factor", "more"), [(1, 0.3, 0), (3, 1.5, 0), (5, 2.5, 0.2)])
def test_saturation_is_scikit_images_hsv(severity, factor, more):
    hsv = rgb2hsv(CROPS / 255.0)
    hsv[..., 1] = np.clip(hsv[..., 1] * factor + more, 0, 1)
    assert np.moveaxis(corrupt(FLOATS, "saturate", severity), 1, 3) == pytest.approx(hsv2rgb(hsv), abs=1e-9)


@pytest.mark.parametrize(("severity", "more"), [(1, 0.05), (5, 0.3)])
def test_brightness_is_scikit_images_hsv(severity, more):
    hsv = rgb2hsv(CROPS / 255.0)
    hsv[..., 2] = np.clip(hsv[..., 2] + more, 0, 1)
    assert np.moveaxis(corrupt(FLOATS, "brightness", severity), 1, 3) == pytest.approx(hsv2rgb(hsv), abs=1e-9)


@pytest.mark.parametrize(("severity", "quality"), [(1, 80), (2, 65), (3, 58), (4, 50), (5, 40)])
def test_jpeg_is_pillows_to_42_decibels(severity, quality):
    theirs = []
    for one in CROPS:
        buffer = io.BytesIO()
        Image.fromarray(one).save(buffer, "JPEG", quality=quality)
        theirs.append(np.asarray(Image.open(buffer)))
    assert psnr(corrupt(CROPS, "jpeg_compression", severity), np.stack(theirs)) >= 42


@pytest.mark.parametrize(("severity", "share"), [(1, 0.95), (2, 0.9), (3, 0.85), (4, 0.75), (5, 0.65)])
@pytest.mark.parametrize("side", [32, 40])  # where no centre lies on an edge, which Pillow may round either way
def test_pixelate_is_pillows_box_filter(severity, share, side):
    pictures = crops(6, side)
    few = int(side * share)
    expected = np.stack(
        [
            np.asarray(
                Image.fromarray(one).resize((few, few), Image.Resampling.BOX).resize((side, side), Image.Resampling.BOX)
            )
            for one in pictures
        ]
    )
    # Pillow rounds to bytes after each of four passes; ours once.
    found = corrupt(pictures, "pixelate", severity)
    assert np.abs(found.astype(int) - expected).max() <= 1
