"""ArrayLoader: batches of arrays in memory, each a pure function of its place in training."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from linnet.engine import derive_seed, shard
from linnet.errors import InputError

Batch = tuple[Tensor, ...]
"""Tensors with the samples along the first axis."""

Transform = Callable[[Batch, torch.Generator], Batch]
"""Changes a batch, at random from the generator given only."""


class ArrayLoader:
    """Shuffled batches of tensors that share their first axis.

    Batch i of epoch e is a pure function of (rng_seed, e, i): the order of epoch e is one permutation drawn from
    (rng_seed, e), batch i is its i-th piece, and `transform` gets a generator seeded by (rng_seed, e, i, rank).
    Nothing is carried from one batch to the next, so that training resumed at any batch sees what it would have seen.

    With `world` processes each batch is dealt out by `engine.shard`: process `rank` gets every `world`-th sample of it,
    from the `rank`-th on, so that together they get the samples of one process alone. `batch_size` is that of all
    processes together.

    Args:
        arrays: Tensors of equal length N >= 1, in CPU memory, of any dtype.
        batch_size: Samples in a batch, over all processes.
        rng_seed: Seeds order and transform.
        shuffle: False: the samples' own order in every epoch.
        drop_last: Leave out the last batch of an epoch when it isn't full.
        transform: Applied to each batch (to this process's share of it), for augmentation.

    Raises:
        InputError: no arrays, unequal or zero lengths, `batch_size` below 1, or no batch at all.
    """

    def __init__(
        self,
        arrays: Sequence[Tensor],
        *,
        batch_size: int,
        rng_seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        transform: Transform | None = None,
    ) -> None:
        lengths = sorted({len(array) for array in arrays})
        if len(lengths) != 1 or lengths[0] == 0:
            raise InputError(f"`arrays` must be one or more arrays of one length >= 1 (got the lengths {lengths}).")
        if batch_size < 1:
            raise InputError(f"`batch_size` must be a whole number >= 1 (got {batch_size}).")
        if rng_seed < 0:
            raise InputError(f"`rng_seed` must be a whole number >= 0 (got {rng_seed}).")
        if drop_last and batch_size > lengths[0]:
            raise InputError(
                f"`batch_size` must be at most the number of samples, {lengths[0]}, with `drop_last` (got "
                f"{batch_size}), or no batch is left."
            )
        self._arrays = tuple(arrays)
        self._samples = lengths[0]
        self._batch_size = batch_size
        self._rng_seed = rng_seed
        self._shuffle = shuffle
        self._drop_last = drop_last
        self._transform = transform

    @property
    def arrays(self) -> Batch:
        """The whole tensors, as given."""
        return self._arrays

    def __len__(self) -> int:
        """Batches in an epoch."""
        if self._drop_last:
            return self._samples // self._batch_size
        return -(-self._samples // self._batch_size)

    def epoch(self, index: int, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Batch]:
        """The batches of one epoch.

        Args:
            index: Which epoch, from 0.
            start: First batch to give.
            rank: Which of the processes this one is.
            world: Number of processes.

        Raises:
            InputError: `batch_size` is no multiple of `world`.
            TrainingError: the last batch has fewer samples than there are processes (see `drop_last`).
        """
        if self._batch_size % world:
            raise InputError(f"`batch_size` must be a multiple of the {world} processes (got {self._batch_size}).")
        return self._batches(index, start, rank, world)

    def _batches(self, index: int, start: int, rank: int, world: int) -> Iterator[Batch]:
        order = self._order(index)
        for number in range(start, len(self)):
            chosen = order[number * self._batch_size : (number + 1) * self._batch_size]
            own = shard(chosen, rank=rank, world=world)
            batch = tuple(array[own] for array in self._arrays)
            yield batch if self._transform is None else self._transform(batch, self._generator(index, number, rank))

    def _order(self, index: int) -> Tensor:
        if not self._shuffle:
            return torch.arange(self._samples)
        return torch.randperm(self._samples, generator=self._generator(index))

    def _generator(self, *place: int) -> torch.Generator:
        return torch.Generator().manual_seed(derive_seed(self._rng_seed, *place))
