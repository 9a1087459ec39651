"""Batches for all members: the same for each, or each member's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from linnet.engine import Loader, as_loader
from linnet.errors import InputError


class MemberBatches:
    """A loader for each member: its own order, augmentation or subset. Batches come stacked: (M, B, ...).

    Args:
        loaders: M loaders of equal length, whose batches are tuples of tensors of equal sizes.
        rng_seed: Of plain iterables; each member has its own.

    Raises:
        InputError: their lengths differ.
    """

    def __init__(self, loaders: Sequence[Any], *, rng_seed: int = 0) -> None:
        self._loaders: list[Loader] = [as_loader(one, rng_seed=rng_seed + k) for k, one in enumerate(loaders)]
        lengths = sorted({len(loader) for loader in self._loaders})
        if len(lengths) != 1:
            raise InputError(f"`source` must be loaders of one length, one for each member (got lengths {lengths}).")

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._loaders[0])

    def epoch(self, index: int, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, ...]]:
        """The batches of an epoch; see `linnet.engine.Loader`."""
        own = [loader.epoch(index, start, rank, world) for loader in self._loaders]
        for batches in zip(*own, strict=True):
            sizes = {tuple(part.shape for part in batch) for batch in batches}
            if len(sizes) != 1:
                raise InputError(
                    f"`source`: the members' batches must have equal sizes (got inputs of "
                    f"{' and '.join(sorted(str(tuple(shapes[0])) for shapes in sizes))}). Drop the short last batch of "
                    "each loader."
                )
            yield tuple(torch.stack(parts) for parts in zip(*batches, strict=True))

    def of(self, members: Sequence[int]) -> MemberBatches:
        """The loaders of some of the members."""
        return MemberBatches([self._loaders[k] for k in members])
