import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from linnet.data import ArrayLoader
from linnet.errors import InputError


def noisy(batch, generator):
    return (batch[0] + torch.rand(batch[0].shape, generator=generator), *batch[1:])


def numbers(loader, *args, **kwargs):
    return [batch[0].tolist() for batch in loader.epoch(*args, **kwargs)]


def test_an_epoch_gives_each_sample_once_and_keeps_rows_together():
    loader = ArrayLoader([torch.arange(10), torch.arange(10) * 3], batch_size=4)
    batches = list(loader.epoch(0))
    assert [len(batch[0]) for batch in batches] == [4, 4, 2]
    assert len(loader) == 3
    joined = torch.cat([batch[0] for batch in batches])
    assert sorted(joined.tolist()) == list(range(10))
    assert torch.equal(torch.cat([batch[1] for batch in batches]), joined * 3)


def test_without_shuffle_the_order_is_the_samples_own():
    loader = ArrayLoader([torch.arange(5)], batch_size=2, shuffle=False)
    assert numbers(loader, 0) == numbers(loader, 1) == [[0, 1], [2, 3], [4]]


def test_drop_last_leaves_the_short_batch_out():
    loader = ArrayLoader([torch.arange(5)], batch_size=2, shuffle=False, drop_last=True)
    assert len(loader) == 2
    assert numbers(loader, 0) == [[0, 1], [2, 3]]
    assert len(ArrayLoader([torch.arange(4)], batch_size=2, drop_last=True)) == 2


def test_seed_and_epoch_decide_the_order():
    loaders = [ArrayLoader([torch.arange(50)], batch_size=50, rng_seed=seed) for seed in (0, 0, 1)]
    orders = [str(numbers(loader, epoch)) for loader in loaders for epoch in (0, 1)]
    assert orders[:2] == orders[2:4]
    assert len(set(orders)) == 4


@settings(deadline=None)
@given(
    samples=st.integers(1, 30), batch_size=st.integers(1, 12), seed=st.integers(0, 5), epoch=st.integers(0, 3),
    data=st.data(),
)  # fmt: skip
def test_any_start_gives_the_tail_of_the_epoch(samples, batch_size, seed, epoch, data):
    loader = ArrayLoader([torch.arange(samples).float()], batch_size=batch_size, rng_seed=seed, transform=noisy)
    start = data.draw(st.integers(0, len(loader)))
    whole = numbers(loader, epoch)
    assert len(whole) == len(loader)
    assert numbers(loader, epoch, start=start) == whole[start:]


@settings(deadline=None)
@given(
    samples=st.integers(1, 30), share=st.integers(1, 5), world=st.integers(1, 4), drop_last=st.booleans(),
)  # fmt: skip
def test_processes_share_each_batch_evenly(samples, share, world, drop_last):
    size = share * world
    assume(samples >= size or not drop_last)
    assume(samples % size >= world or samples % size == 0 or drop_last)
    loader = ArrayLoader([torch.arange(samples)], batch_size=size, drop_last=drop_last)
    alone = numbers(loader, 2)
    shares = [numbers(loader, 2, rank=rank, world=world) for rank in range(world)]
    for number, batch in enumerate(alone):
        pieces = [shares[rank][number] for rank in range(world)]
        dealt = [sample for row in zip(*pieces, strict=True) for sample in row]
        assert dealt == batch[: len(batch) // world * world]


def test_transform_draws_anew_for_each_batch_epoch_and_process():
    loader = ArrayLoader([torch.zeros(8)], batch_size=4, transform=noisy)
    drawn = [
        tuple(batch) for epoch in (0, 1) for rank in (0, 1) for batch in numbers(loader, epoch, rank=rank, world=2)
    ]
    assert len(set(drawn)) == 8


def test_global_random_state_is_left_alone():
    before = torch.get_rng_state()
    numbers(ArrayLoader([torch.zeros(8)], batch_size=4, transform=noisy), 0)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("arrays", "options", "said"),
    [
        ([], {"batch_size": 1}, r"`arrays`.*\[\]"),
        ([torch.zeros(2), torch.zeros(3)], {"batch_size": 1}, r"`arrays`.*\[2, 3\]"),
        ([torch.zeros(0)], {"batch_size": 1}, r"`arrays`.*\[0\]"),
        ([torch.zeros(2)], {"batch_size": 0}, "`batch_size`.*0"),
        ([torch.zeros(2)], {"batch_size": 1, "rng_seed": -1}, "`rng_seed`"),
        ([torch.zeros(2)], {"batch_size": 3, "drop_last": True}, "`drop_last`"),
    ],
)
def test_refuses_what_cannot_be_loaded(arrays, options, said):
    with pytest.raises(InputError, match=said):
        ArrayLoader(arrays, **options)


def test_refuses_a_batch_that_cannot_be_dealt_out():
    with pytest.raises(InputError, match=r"`batch_size`.*5"):
        ArrayLoader([torch.arange(9)], batch_size=5).epoch(0, rank=0, world=2)
