"""JPEG compression without the entropy coding, which loses nothing."""

from __future__ import annotations

import math

import numpy as np

from linnet.arrays import Floats
from linnet.data.corruptions.draws import Draws

# ITU-T T.81, tables K.1 and K.2, rows of the 8 x 8 block.
_LUMA = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99],
])  # fmt: skip
_CHROMA = np.full((8, 8), 99)
_CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]

_DCT = np.array([
    [math.sqrt((1 if u == 0 else 2) / 8) * math.cos((2 * k + 1) * u * math.pi / 16) for k in range(8)] for u in range(8)
])  # fmt: skip


def jpeg_compression(x: Floats, _draws: Draws, quality: int) -> Floats:
    """What a JPEG of this quality, with chroma at half the resolution (4:2:0), decodes to.

    Chroma comes back by the triangle filter (3/4, 1/4) of common decoders. Gray images have no chroma.
    """
    bytes_ = np.rint(x * 255)
    if x.shape[3] == 1:
        return _coded(bytes_[..., 0], _table(_LUMA, quality))[..., None] / 255
    red, green, blue = bytes_[..., 0], bytes_[..., 1], bytes_[..., 2]
    luma = np.rint(0.299 * red + 0.587 * green + 0.114 * blue)
    chroma = (
        np.rint(-0.168735892 * red - 0.331264108 * green + 0.5 * blue) + 128,
        np.rint(0.5 * red - 0.418687589 * green - 0.081312411 * blue) + 128,
    )
    luma = _coded(luma, _table(_LUMA, quality))
    cb, cr = (_widened(_coded(_halved(plane), _table(_CHROMA, quality)), *luma.shape[1:]) - 128 for plane in chroma)
    rgb = np.stack([luma + 1.402 * cr, luma - 0.344136286 * cb - 0.714136286 * cr, luma + 1.772 * cb], axis=3)
    return np.clip(np.rint(rgb), 0, 255) / 255


def _table(base: np.ndarray, quality: int) -> Floats:
    """The quantisation table of a quality, 1 .. 100, as the Independent JPEG Group scales it."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((base * percent + 50) // 100, 1, 255).astype(np.float64)


def _coded(plane: Floats, table: Floats) -> Floats:
    """(N, H, W) levels 0..255 through transform, quantisation and back."""
    images, height, width = plane.shape
    padded = np.pad(plane, ((0, 0), (0, -height % 8), (0, -width % 8)), mode="edge")
    rows, columns = padded.shape[1] // 8, padded.shape[2] // 8
    # (8 rows, 8 columns, blocks): sums over rows and columns are then sums of long slices.
    blocks = padded.reshape(images, rows, 8, columns, 8).transpose(2, 4, 0, 1, 3).reshape(8, 8, -1) - 128
    steps = table[..., None]
    coefficients = np.rint(_both_axes(blocks, _DCT) / steps) * steps
    levels = np.clip(np.rint(_both_axes(coefficients, _DCT.T)) + 128, 0, 255)
    whole = levels.reshape(8, 8, images, rows, columns).transpose(2, 3, 0, 4, 1).reshape(padded.shape)
    return whole[:, :height, :width]


def _both_axes(blocks: Floats, matrix: Floats) -> Floats:
    """matrix @ block @ matrix^T of each block, summed in one fixed order for any number of blocks."""
    for _ in range(2):
        out = np.empty_like(blocks)
        for u in range(8):
            total = matrix[u, 0] * blocks[0]
            for k in range(1, 8):
                total += matrix[u, k] * blocks[k]
            out[u] = total
        blocks = out.transpose(1, 0, 2)
    return blocks


def _halved(plane: Floats) -> Floats:
    """Mean of 2 x 2 pixels; halves rounded down and up in turns along a row, as common encoders do."""
    padded = np.pad(plane, ((0, 0), (0, plane.shape[1] % 2), (0, plane.shape[2] % 2)), mode="edge")
    total = padded[:, ::2, ::2] + padded[:, 1::2, ::2] + padded[:, ::2, 1::2] + padded[:, 1::2, 1::2]
    return np.floor((total + 1 + np.arange(total.shape[2]) % 2) / 4)


def _widened(plane: Floats, height: int, width: int) -> Floats:
    """Twice as many pixels each way: 3/4 of the nearest and 1/4 of the next, the border pixel repeated."""
    for axis, side in ((1, height), (2, width)):
        pad = [(0, 0)] * 3
        pad[axis] = (1, 1)
        wide = np.pad(plane, pad, mode="edge")
        before, here, after = (np.take(wide, np.arange(k, k + plane.shape[axis]), axis=axis) for k in range(3))
        pair = np.stack([0.75 * here + 0.25 * before, 0.75 * here + 0.25 * after], axis=axis + 1)
        shape = list(plane.shape)
        shape[axis] *= 2
        plane = np.take(pair.reshape(shape), np.arange(side), axis=axis)
    return np.rint(plane)
