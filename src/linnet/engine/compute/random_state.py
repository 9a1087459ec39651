"""Random numbers of a training run: each step's are a pure function of (rng_seed, step, process).

So dropout after a resume is that of the uninterrupted run, whatever was drawn elsewhere (validation, listeners), and
no generator state has to be kept in checkpoints.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(rng_seed: int, *words: int | str) -> int:
    """A 63-bit seed that is well mixed from a seed and words for its purpose.

    Args:
        rng_seed: The run's random seed.
        *words: Like `"step", 7`; different words give unrelated seeds.

    Returns:
        An integer in [0, 2^63).
    """
    digest = hashlib.blake2b(repr((rng_seed, *words)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_torch(rng_seed: int, *words: int | str) -> None:
    """Seeds torch's global generators, of the CPU and of GPUs in use, by `derive_seed`."""
    _seed_torch(derive_seed(rng_seed, *words))


def seed_all(rng_seed: int, *words: int | str) -> None:
    """Seeds the global generators of torch, NumPy and Python's `random` by `derive_seed`."""
    seed = derive_seed(rng_seed, *words)
    _seed_torch(seed)
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)  # noqa: NPY002  other people's loaders draw from the global generator


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Puts the global generators of torch (with the GPUs'), NumPy and `random` back as they were before the block."""
    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002  see seed_all
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002


def _seed_torch(seed: int) -> None:
    """torch.manual_seed without its queue for GPUs not yet in use: a stack trace kept at each call, slow and a leak."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
