"""JPEG against a block at a time with SciPy's transform, its tables and the triangle filter by hand."""

import numpy as np
import pytest
from scipy.fft import dctn, idctn

from linnet.data.corruptions.draws import Draws
from linnet.data.corruptions.jpeg import _CHROMA, _LUMA, _coded, _halved, _table, _widened, jpeg_compression

NONE = Draws(np.zeros((0, 8, 8, 3), np.uint8), "", 1, 0)


def test_the_tables_scale_with_quality():
    assert np.array_equal(_table(_LUMA, 50), _LUMA)
    assert _table(_LUMA, 80)[0, :3].tolist() == [6, 4, 4]  # 40 % of 16, 11, 10, rounded half up
    assert _table(_CHROMA, 25)[0, 0] == 34
    assert _table(_LUMA, 100).max() == 1


def test_a_plane_is_coded_as_a_block_at_a_time():
    plane = np.random.default_rng(0).integers(0, 256, (2, 24, 16)).astype(float)
    table = _table(_LUMA, 58)
    found = _coded(plane, table)
    for n in range(2):
        for y in range(0, 24, 8):
            for x in range(0, 16, 8):
                steps = np.rint(dctn(plane[n, y : y + 8, x : x + 8] - 128, norm="ortho") / table)
                expected = np.clip(np.rint(idctn(steps * table, norm="ortho")) + 128, 0, 255)
                assert np.abs(found[n, y : y + 8, x : x + 8] - expected).max() <= 1  # a half may round either way
                assert (found[n, y : y + 8, x : x + 8] == expected).mean() > 0.99


def test_chroma_is_halved_and_comes_back_by_the_triangle():
    plane = np.arange(16.0).reshape(1, 2, 8)
    assert _halved(plane)[0, 0].tolist() == [4, 7, 8, 11]  # 4.5, 6.5, 8.5, 10.5 rounded down and up in turns
    wide = _widened(np.array([[[0.0, 100.0]]]), 2, 4)
    assert wide[0, 0].tolist() == [0, 25, 75, 100]
    assert np.array_equal(wide[0, 0], wide[0, 1])
    assert _widened(np.array([[[0.0, 100.0]]]), 1, 3).shape == (1, 1, 3)


def test_gray_pictures_have_no_chroma_and_colour_loses_more():
    generator = np.random.default_rng(1)
    gray = np.rint(generator.random((1, 16, 16, 1)) * 255) / 255
    assert jpeg_compression(gray, NONE, 100) == pytest.approx(gray, abs=2.1 / 255)
    colour = np.rint(generator.random((1, 16, 16, 3)) * 255) / 255
    assert np.abs(jpeg_compression(colour, NONE, 100) - colour).mean() > 5 / 255


@pytest.mark.parametrize("quality", [80, 58, 40])
def test_flat_pictures_stay_flat_though_their_level_is_quantised(quality):
    found = jpeg_compression(np.full((1, 17, 20, 3), 77 / 255), NONE, quality)
    assert np.ptp(found) == 0
    assert found.max() == pytest.approx(77 / 255, abs=2 / 255)


@pytest.mark.parametrize("shape", [(9, 15), (16, 16), (17, 33)])
def test_any_size(shape):
    x = np.tile(np.linspace(0, 1, shape[1])[None, None, :, None], (1, shape[0], 1, 3))
    assert jpeg_compression(x, NONE, 80).shape == x.shape
    assert jpeg_compression(x, NONE, 80) == pytest.approx(x, abs=0.1)
