"""Maps: how many extra copies each channel of a class gets."""

from __future__ import annotations

import numpy as np

from linnet.core.channels.union_find import Ints


def random_copies(channels: int, extra: int, generator: np.random.Generator) -> Ints:
    """Extra copies of each channel, drawn without replacement in rounds, so that they differ by at most one.

    Args:
        channels: n, channels of the class.
        extra: Copies to give out.
        generator: Decides which channels get one more than the others.

    Returns:
        int64 (n,), which sums to `extra`.

    Example:
        >>> random_copies(3, 7, np.random.default_rng(0)).tolist()
        [2, 2, 3]
    """
    rounds, rest = divmod(extra, channels)
    copies = np.full(channels, rounds, dtype=np.int64)
    copies[generator.permutation(channels)[:rest]] += 1
    return copies


def rarest_first(taken: Ints, extra: int, generator: np.random.Generator) -> Ints:
    """Extra copies for the channels that other members copied least.

    Channels are ordered by (times copied so far, a random number); the first `extra` get a copy each, in rounds when
    there are more copies than channels. While all members together copy no more than n channels, the copied sets are
    disjoint.

    Args:
        taken: int64 (n,), how often each channel was copied by the members before; counts on.
        extra: Copies to give out.
        generator: Breaks ties.

    Returns:
        int64 (n,), which sums to `extra`.

    Example:
        >>> taken = np.zeros(4, dtype=np.int64)
        >>> first = rarest_first(taken, 2, np.random.default_rng(0))
        >>> int((first * rarest_first(taken, 2, np.random.default_rng(1))).sum())
        0
    """
    rounds, rest = divmod(extra, len(taken))
    copies = np.full(len(taken), rounds, dtype=np.int64)
    copies[np.lexsort((generator.permutation(len(taken)), taken))[:rest]] += 1
    taken += copies
    return copies
