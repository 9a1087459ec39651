from collections import namedtuple

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from linnet.engine import Loader, as_loader, shard
from linnet.errors import InputError, TrainingError
from tests.unit.engine.small import images, shuffled

Pair = namedtuple("Pair", "x y")


def rows(batches):
    return [batch[0].tolist() for batch in batches]


@pytest.mark.parametrize("generator", [None, torch.Generator()])
def test_a_shuffled_data_loader_gives_the_same_batch_at_the_same_place(generator):
    def made():
        return DataLoader(TensorDataset(*images()), batch_size=8, shuffle=True, generator=generator)

    whole = rows(as_loader(made(), rng_seed=3).epoch(2))
    loader = as_loader(made(), rng_seed=3)
    other = rows(loader.epoch(0))
    torch.rand(5)
    assert rows(loader.epoch(2, start=3)) == whole[3:]
    assert rows(loader.epoch(2)) == whole
    assert whole != other
    assert whole != rows(as_loader(made(), rng_seed=4).epoch(2))
    assert sorted(row for batch in whole for row in batch) == sorted(images()[0].tolist())


def test_random_transforms_depend_on_the_place_only():
    class Noisy(list):
        def __iter__(self):
            for batch in super().__iter__():
                yield (batch, torch.rand(1), np.random.rand())  # noqa: NPY002  the global generator is what is tested

    loader = as_loader(Noisy([1, 2, 3]), rng_seed=0)
    whole = list(loader.epoch(1))
    batches = loader.epoch(1, start=1)
    first = next(batches)
    torch.rand(7)
    assert [first, *batches] == whole[1:]
    assert list(loader.epoch(2)) != whole


def test_a_batch_is_dealt_out_evenly():
    batch = {"x": torch.arange(7), "pair": Pair(torch.arange(14).reshape(7, 2), [torch.arange(7)]), "name": "a"}
    parts = [shard(batch, rank=rank, world=3) for rank in range(3)]
    assert [part["x"].tolist() for part in parts] == [[0, 3], [1, 4], [2, 5]]
    assert parts[1]["pair"].x.tolist() == [[2, 3], [8, 9]]
    assert parts[2]["pair"].y[0].tolist() == [2, 5]
    assert parts[0]["name"] == "a"
    assert shard(batch, rank=0, world=1) is batch
    for small in (torch.zeros(2), torch.tensor(1.0)):
        with pytest.raises(TrainingError, match="3 processes"):
            shard(small, rank=0, world=3)


def test_processes_share_out_a_plain_iterable():
    loader = as_loader(shuffled(), rng_seed=0)
    whole = rows(loader.epoch(0))
    parts = [rows(loader.epoch(0, rank=rank, world=2)) for rank in (0, 1)]
    assert len(loader) == len(parts[0]) == 5
    for joined, even, odd in zip(whole, *parts, strict=True):
        assert joined[::2] == even
        assert joined[1::2] == odd


def test_a_distributed_sampler_is_not_divided_twice():
    dataset = TensorDataset(*images())
    sampler = DistributedSampler(dataset, num_replicas=2, rank=1, shuffle=True)
    loader = as_loader(DataLoader(dataset, batch_size=4, sampler=sampler), rng_seed=0)
    first, second = (rows(loader.epoch(epoch, rank=1, world=2)) for epoch in (0, 1))
    assert [len(batch) for batch in first] == [4] * 5
    assert first != second
    assert rows(loader.epoch(0, rank=1, world=2)) == first


def test_a_loader_is_taken_as_it_is_and_others_are_refused():
    loader = as_loader([1], rng_seed=0)
    assert isinstance(loader, Loader)
    assert as_loader(loader, rng_seed=1) is loader
    for wrong in (3, iter([1]), (x for x in [1]), map(str, [1])):
        with pytest.raises(InputError, match="`loader`"):
            as_loader(wrong, rng_seed=0)
