"""Draws: one random generator for each image, so that neither batch nor order of the images matters."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from hashlib import blake2b

import numpy as np

from linnet.arrays import Floats
from linnet.data.corruptions.layout import Bytes


class Draws:
    """Random numbers of a batch.

    Image i has a counter-based generator (Philox), keyed by a 64-bit hash of its bytes, its shape, the name of the
    corruption, the severity and the random seed. Equal images therefore get equal draws.

    Args:
        images: (N, H, W, C) bytes.
        name: Of the corruption.
        severity: 1 .. 5.
        rng_seed: Of the caller.
    """

    def __init__(self, images: Bytes, name: str, severity: int, rng_seed: int) -> None:
        self._images = images
        self._facts = f"{images.shape[1:]} {name} {severity} {rng_seed}".encode()

    @cached_property
    def generators(self) -> list[np.random.Generator]:
        """One for each image, made when first asked for."""
        return [np.random.Generator(np.random.Philox(key=self._key(image))) for image in self._images]

    def each(self, draw: Callable[[np.random.Generator], object]) -> Floats:
        """(N, ...): one draw of each generator."""
        return np.stack([np.asarray(draw(generator), dtype=np.float64) for generator in self.generators])

    def normal(self, *shape: int) -> Floats:
        """(N, *shape) of the standard normal distribution."""
        return self.each(lambda generator: generator.standard_normal(shape))

    def uniform(self, low: float, high: float, *shape: int) -> Floats:
        """(N, *shape), uniform in [low, high)."""
        return self.each(lambda generator: generator.uniform(low, high, shape))

    def _key(self, image: Bytes) -> int:
        return int.from_bytes(blake2b(np.ascontiguousarray(image).tobytes() + self._facts, digest_size=8).digest())
