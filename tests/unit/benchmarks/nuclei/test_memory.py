"""The large image of the memory benchmark, and what is read as its peak."""

import numpy as np
import tifffile

from benchmarks.nuclei.memory import write_large_image
from benchmarks.peak_memory import peak_bytes


def peak_mb():
    return peak_bytes() / 1e6


def test_the_large_image_has_its_size_and_repeats_the_field(tmp_path):
    path = write_large_image(tmp_path / "large.tif", 1150)
    image = tifffile.imread(path)
    assert image.shape == (1150, 1150)
    assert image.dtype == np.uint8
    assert np.array_equal(image[:500, :500], image[500:1000, 500:1000])
    assert np.array_equal(image[:150, :150], image[1000:, 1000:])
    assert image.max() == 255


def test_the_peak_counts_memory_that_was_given_back():
    before = peak_mb()
    block = np.ones(200_000_000, np.uint8)
    del block
    assert peak_mb() >= min(before + 50, 200)
    assert peak_mb() < before + 400
