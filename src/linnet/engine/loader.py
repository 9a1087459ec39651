"""Loader: batches in an order that lets a run go on in the middle of an epoch."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader, DistributedSampler

from linnet.engine.compute.device import map_batch
from linnet.engine.compute.random_state import derive_seed, seed_all
from linnet.errors import InputError, TrainingError


@runtime_checkable
class Loader(Protocol):
    """Batches whose content depends on (random seed, epoch, index) and nothing else. That makes a resume exact.

    A batch is a tuple, list or dict of tensors with the samples along the first axis.
    """

    def __len__(self) -> int:
        """Batches in an epoch, the same for any number of processes."""
        ...

    def epoch(self, index: int, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Any]:
        """The batches of an epoch.

        Args:
            index: Of the epoch, from 0.
            start: First batch wanted; the earlier ones were done before.
            rank: Of this process.
            world: Number of processes; each gets its equal part of every batch (see `shard`).
        """
        ...


def shard(batch: Any, *, rank: int, world: int) -> Any:
    """One process's part of a batch: rows rank, rank + world, ... of every tensor.

    All parts have the same size, so that the mean over the processes of mean losses is the mean over the rows. The last
    len(batch) mod world rows are left out: let `world` divide the batch size.

    Args:
        batch: A tensor, or tuples, lists and dicts of them, with rows along the first axis.
        rank: Which part, 0..world-1.
        world: Number of parts.

    Returns:
        The same structure, with n // world rows.

    Raises:
        TrainingError: a tensor has fewer than `world` rows.
    """
    if world == 1:
        return batch
    if not isinstance(batch, torch.Tensor):
        return map_batch(lambda item: shard(item, rank=rank, world=world), batch)
    rows = len(batch) // world * world if batch.ndim else 0
    if not rows:
        raise TrainingError(
            f"A batch must have at least one row for each of the {world} processes (got shape "
            f"{tuple(batch.shape)}). Make batches larger, drop the last short one, or start fewer processes."
        )
    return batch[rank:rows:world]


def as_loader(source: Any, *, rng_seed: int) -> Loader:
    """The loader itself, or a plain sized iterable (a torch DataLoader, a list of batches) made into one.

    Args:
        source: A `Loader`, or an iterable with `len()` that can be iterated afresh for each epoch.
        rng_seed: Seed of a plain iterable's random numbers; a `Loader` has its own.

    Raises:
        InputError: it is neither.
    """
    if isinstance(source, Loader):
        return source
    if not isinstance(source, Iterable) or isinstance(source, Iterator) or not hasattr(source, "__len__"):
        raise InputError(
            "`loader` must be a linnet.engine.Loader, a torch DataLoader, or an iterable with len() that can be "
            f"iterated once for each epoch (got a {type(source).__name__}; a generator can be iterated only once)."
        )
    return IterableLoader(source, rng_seed)


@dataclass(frozen=True)
class IterableLoader:
    """A plain iterable as a `Loader`.

    The global random generators (torch, NumPy, `random`) are seeded before the epoch and before each batch, so that
    batches depend on (rng_seed, epoch, index) only; a DataLoader's own `generator` is seeded with each epoch too.
    Batches before `start` are drawn and dropped. Each process reads all and keeps its part, unless the DataLoader has a
    DistributedSampler, which gives it its part alone.

    Attributes:
        source: An iterable with `len()`.
        rng_seed: Random seed.
    """

    source: Any
    rng_seed: int

    def __len__(self) -> int:
        return len(self.source)

    def epoch(self, index: int, start: int = 0, rank: int = 0, world: int = 1) -> Iterator[Any]:
        """The batches of an epoch; see `Loader.epoch`."""
        divided = self._seed_data_loader(index)
        for batch in islice(self._seeded(index), start, None):
            yield batch if divided else shard(batch, rank=rank, world=world)

    def _seeded(self, index: int) -> Iterator[Any]:
        """Iterates the source, with the global generators at a known state whenever it is asked for a batch."""
        seed_all(self.rng_seed, "epoch", index)
        batches = iter(self.source)
        for number in range(len(self.source)):
            seed_all(self.rng_seed, "batch", index, number)
            try:
                batch = next(batches)
            except StopIteration:
                return
            yield batch

    def _seed_data_loader(self, index: int) -> bool:
        """Seeds what a DataLoader keeps to itself; True when its sampler already divides among the processes."""
        if not isinstance(self.source, DataLoader):
            return False
        if self.source.generator is not None:
            self.source.generator.manual_seed(derive_seed(self.rng_seed, "generator", index))
        if isinstance(self.source.sampler, DistributedSampler):
            self.source.sampler.set_epoch(index)
            return True
        return False
