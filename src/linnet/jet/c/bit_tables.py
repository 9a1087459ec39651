"""Kernels and thresholds as the tables that the C runtime reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from linnet.jet.integer.nodes import Conv, Threshold


@dataclass(frozen=True)
class Layout:
    """How bits are stored: words of 64 bits and 8 outputs side by side, or 32 bits and single outputs.

    Attributes:
        word_bits: 64 or 32.
        lanes: Outputs that stand beside one another in a table.
    """

    word_bits: int
    lanes: int

    def words(self, bits: int) -> int:
        """Words that hold so many bits."""
        return -(-bits // self.word_bits)

    def packed(self, bits: np.ndarray) -> np.ndarray:
        """Rows of bits (..., n) as words (..., words), bit k of a word first; tails are 0."""
        words = self.words(bits.shape[-1])
        padded = np.zeros((*bits.shape[:-1], words * self.word_bits), np.uint8)
        padded[..., : bits.shape[-1]] = bits
        return np.packbits(padded, axis=-1, bitorder="little").view(f"<u{self.word_bits // 8}")

    def outputs(self, count: int) -> int:
        """Outputs with those that fill the last lanes."""
        return -(-count // self.lanes) * self.lanes

    def side_by_side(self, rows: np.ndarray) -> np.ndarray:
        """(outputs, n, ...) as (outputs / lanes, n, lanes, ...), filled up with 0."""
        filled = np.zeros((self.outputs(len(rows)), *rows.shape[1:]), rows.dtype)
        filled[: len(rows)] = rows
        return filled.reshape(-1, self.lanes, *rows.shape[1:]).swapaxes(1, 2)


@dataclass(frozen=True)
class Plane:
    """One power of two of the kernels' sizes at one group of places."""

    group: int
    shift: int
    masked: bool


@dataclass(frozen=True, eq=False)
class BitTables:
    """The tables of a convolution of bits.

    Attributes:
        groups: For each group its places (i, j).
        starts: First word of each group in the patch.
        patch_words: Words of the whole patch.
        planes: In the order of the tables.
        plane_words: Words of each plane.
        sign: Words (blocks, words, lanes): 1 for a positive weight.
        mask: Likewise, of masked planes alone: 1 where the weight has this power of two.
        base: For each output the sum of the weights' sizes: sum = base - 2 * (weighted count of bits that differ).
    """

    groups: tuple[tuple[tuple[int, int], ...], ...]
    starts: tuple[int, ...]
    patch_words: int
    planes: tuple[Plane, ...]
    plane_words: tuple[int, ...]
    sign: np.ndarray
    mask: np.ndarray
    base: np.ndarray


def bit_tables(conv: Conv, layout: Layout) -> BitTables:
    """The tables of a convolution that reads signs.

    Each size of a weight is a sum of powers of two. Places of the kernel whose weights use the same powers are packed
    together; a power that all of them have needs no mask. A binary kernel is one group with one plane; a 3 x 3 jet has
    three groups (corners 1, edges 2 or 0, centre 4 or 0) with one plane each.
    """
    kernels = conv.kernels.astype(np.int64)
    size, channels = conv.size, kernels.shape[1]
    by_key: dict[tuple[tuple[int, bool], ...], list[tuple[int, int]]] = {}
    for i in range(size):
        for j in range(size):
            key = _powers(np.abs(kernels[:, :, i, j]))
            if key:
                by_key.setdefault(key, []).append((i, j))
    starts, planes, words, signs, masks, at = [], [], [], [], [], 0
    base = np.zeros(len(kernels), np.int64)
    for group, (key, places) in enumerate(by_key.items()):
        weights = np.stack([kernels[:, :, i, j] for i, j in places], 1).reshape(len(kernels), -1)
        starts.append(at)
        for shift, masked in key:
            has = (np.abs(weights) >> shift) & 1
            planes.append(Plane(group, shift, masked))
            signs.append(layout.packed((weights > 0) & (has == 1)))
            words.append(signs[-1].shape[1])
            if masked:
                masks.append(layout.packed(has))
            base += has.sum(1) << shift
        at += layout.words(len(places) * channels)
    sign = layout.side_by_side(np.concatenate(signs, 1))
    mask = layout.side_by_side(np.concatenate(masks, 1)) if masks else np.zeros((1, 1, 1), sign.dtype)
    groups = tuple(tuple(places) for places in by_key.values())
    return BitTables(groups, tuple(starts), at, tuple(planes), tuple(words), sign, mask, base)


def _powers(sizes: np.ndarray) -> tuple[tuple[int, bool], ...]:
    """The powers of two in the sizes of the weights, each with whether some lack it."""
    found = []
    for shift in range(int(sizes.max()).bit_length()):
        has = (sizes >> shift) & 1
        if has.any():
            found.append((shift, not has.all()))
    return tuple(found)


def limits(base: np.ndarray, threshold: Threshold | None, layout: Layout) -> np.ndarray:
    """The count up to which an output is +1 before its flip: floor((base - T) / 2); the base where sums are wanted.

    Outputs that only fill a lane get -1, which no count reaches, so that their bits are 0.
    """
    found = np.full(layout.outputs(len(base)) if layout.lanes > 1 else len(base), -1, np.int64)
    found[: len(base)] = base if threshold is None else (base - threshold.thresholds) // 2
    return found


def above(threshold: Threshold | None, channels: int, layout: Layout) -> np.ndarray:
    """The number above which an output is +1 before its flip: T - 1; the largest there is for one that fills a lane."""
    found = np.full(layout.outputs(channels), 2**31 - 1, np.int64)
    if threshold is not None:
        found[:channels] = threshold.thresholds - 1
    return found


def flips(threshold: Threshold | None, channels: int) -> np.ndarray:
    """8 outputs a byte."""
    bits = np.zeros(channels, bool) if threshold is None else threshold.flips
    return np.packbits(bits, bitorder="little")


def int_kernels(conv: Conv, layout: Layout) -> np.ndarray:
    """Weights as (blocks, pairs, lanes, 2), in the order of a patch: row, column, channel."""
    rows = conv.kernels.transpose(0, 2, 3, 1).reshape(len(conv.kernels), -1)
    if rows.shape[1] % 2:
        rows = np.concatenate((rows, np.zeros((len(rows), 1), np.int8)), 1)
    return layout.side_by_side(rows.reshape(len(rows), -1, 2))


def linear_rows(weights: np.ndarray, map_shape: Sequence[int], layout: Layout) -> np.ndarray:
    """+-1 weights as packed bits (outputs, words), from torch's order of features to height, width, channel."""
    ordered = weights.reshape(len(weights), *map_shape).transpose(0, 2, 3, 1).reshape(len(weights), -1)
    return layout.packed(ordered > 0)
