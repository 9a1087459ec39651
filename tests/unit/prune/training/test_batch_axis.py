"""The axis of the samples isn't guessed: it is found right, or refused when the pruner is made."""

import copy

import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph
from linnet.errors import InputError
from linnet.prune import Budget, Pruner
from linnet.prune.masks.masks import Masks, sample_axis
from linnet.prune.masks.reads import maskable_reads

HALF = Budget(params=0.7)


def importance_by_hand(net, arguments, loss_of, layer, batch_axis=0):
    """mean over samples of |sum over positions of x dL/dx| at the input of a layer."""
    kept = []
    handle = layer.register_forward_pre_hook(lambda _, x: (x[0].retain_grad(), kept.append(x[0]))[1])
    loss_of(net(*arguments)).backward()
    handle.remove()
    x = kept[0]
    terms = (x * x.grad).movedim(batch_axis, 0)
    channels = -1 if isinstance(layer, nn.Linear) else 1
    terms = terms.movedim(channels, 1) if terms.ndim > 2 else terms
    return terms.reshape(terms.shape[0], terms.shape[1], -1).sum(2).abs().sum(0)


def measured(net, arguments, loss_of, batch_axis=0):
    graph = ChannelGraph(net, arguments)
    names = [name for name, known in graph.classes.items() if known.frozen is None]
    masks = Masks(net, graph, maskable_reads(net, graph)[0], names, batch_axis=batch_axis)
    masks.measuring = True
    loss_of(net(*arguments)).backward()
    total, samples = masks.measured()
    masks.remove()
    return total.float(), samples


class Prompted(nn.Module):
    """Its first argument is one row for all samples."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.prompt, self.a, self.o = nn.Linear(5, 16), nn.Linear(6, 16), nn.Linear(16, 2)

    def forward(self, prompt, x):
        return self.o(self.a(x).relu() * self.prompt(prompt))


def test_a_first_argument_of_one_row_is_for_all_samples():
    net, arguments = Prompted(), (torch.randn(1, 5), torch.randn(7, 6))
    loss = lambda out: out.square().mean()  # noqa: E731
    twin = copy.deepcopy(net)
    expected = importance_by_hand(twin, arguments, loss, twin.o)
    total, samples = measured(net, arguments, loss)
    assert samples == 7
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-7)


class Sequences(nn.Module):
    """(time, samples, features): mixes over time."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.o = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, x):
        y = self.b(self.a(x).relu().cumsum(0)).relu()
        return self.o(y.mean(0))


def test_sequences_first_are_refused_with_the_axis():
    with pytest.raises(InputError, match=r"batch_axis=1"):
        Pruner(Sequences(), torch.zeros(5, 3, 6), HALF, align=1)
    Pruner(Sequences(), torch.zeros(5, 3, 6), HALF, align=1, batch_axis=1)
    Pruner(Sequences(), torch.zeros(5, 3, 6), HALF, align=1, batch_axis=None)
    Pruner(Sequences(), torch.zeros(5, 3, 6), HALF, align=1, criterion="l1")


def test_sequences_first_are_measured_by_sample():
    net, x = Sequences(), (torch.randn(5, 3, 6),)
    loss = lambda out: out.square().mean()  # noqa: E731
    twin = copy.deepcopy(net)
    first = importance_by_hand(twin, x, loss, twin.b, batch_axis=1)
    total, samples = measured(net, x, loss, batch_axis=1)
    assert samples == 3
    torch.testing.assert_close(total[:16], first, rtol=1e-5, atol=1e-7)


def test_a_whole_batch_is_measured_as_one():
    net, x = Sequences(), (torch.randn(5, 3, 6),)
    loss = lambda out: out.square().mean()  # noqa: E731
    kept, twin = [], copy.deepcopy(net)
    twin.b.register_forward_pre_hook(lambda _, given: (given[0].retain_grad(), kept.append(given[0]))[1])
    loss(twin(*x)).backward()
    total, samples = measured(net, x, loss, batch_axis=None)
    assert samples == 1
    torch.testing.assert_close(total[:16], (kept[0] * kept[0].grad).sum((0, 1)).abs(), rtol=1e-5, atol=1e-7)


class Regions(nn.Module):
    """A head that sees each region of each image."""

    def __init__(self):
        super().__init__()
        self.a, self.h, self.o = nn.Conv2d(3, 16, 1), nn.Linear(16, 16), nn.Linear(16, 2)

    def forward(self, images, number):
        y = self.a(images).mean((2, 3))
        return self.o(self.h(y[number]).relu())


def test_rows_that_are_no_multiple_of_the_samples_are_refused():
    example = torch.zeros(2, 3, 8, 8), torch.tensor([0, 0, 1, 1, 1])
    with pytest.raises(InputError, match=r"2 and 5.*batch_axis=None"):
        Pruner(Regions(), example, HALF, align=1)
    net = Regions()
    pruner = Pruner(net, example, HALF, align=1, batch_axis=None, steps=4, warmup=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(4):
        optimizer.zero_grad()
        net(torch.randn(2, 3, 8, 8), example[1]).square().mean().backward()
        optimizer.step()
        pruner.step(optimizer)
    assert pruner.finish().a.out_channels <= 16


class Half(nn.Module):
    """Drops a sample, so that later layers see other rows."""

    def __init__(self):
        super().__init__()
        self.a, self.h = nn.Conv2d(3, 16, 1), nn.Linear(16, 2)

    def forward(self, x):
        y = self.a(x).mean((2, 3))
        return self.h(y[: len(y) // 2 + 1])


def test_a_layer_that_sees_other_rows_is_refused_by_name():
    with pytest.raises(InputError, match=r"`h` gets 2 rows for 3 samples.*batch_axis"):
        Pruner(Half(), torch.zeros(1, 3, 8, 8), Budget(params=0.9), align=1)


class Pictures(nn.Module):
    """Takes a dict and a list as arguments."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.m, self.o = nn.Conv2d(3, 16, 1), nn.Linear(4, 16), nn.Linear(16, 2)

    def forward(self, batch, others):
        return self.o(self.a(batch["image"]).mean((2, 3)).relu() * self.m(others[0]))


def test_dicts_and_lists_of_tensors_are_arguments():
    net = Pictures()
    example = ({"image": torch.zeros(1, 3, 4, 4)}, [torch.zeros(1, 4)])
    pruner = Pruner(net, example, HALF, align=1, steps=4, warmup=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(4):
        optimizer.zero_grad()
        net({"image": torch.randn(5, 3, 4, 4)}, [torch.randn(5, 4)]).square().mean().backward()
        optimizer.step()
        pruner.step(optimizer)
    assert pruner.finish().a.out_channels < 16


@pytest.mark.parametrize("axis", [-1, True, "first"])
def test_an_axis_that_is_none_is_refused(axis):
    with pytest.raises(InputError, match="`batch_axis`"):
        Pruner(Sequences(), torch.zeros(5, 3, 6), HALF, align=1, batch_axis=axis)


def test_places_of_samples():
    assert sample_axis((6, 4, 4), 6, last=True, batch_axis=0) == (0, 1)
    assert sample_axis((12, 4), 6, last=True, batch_axis=0) == (0, 2)
    assert sample_axis((7, 6, 4), 6, last=True, batch_axis=1) == (1, 1)
    assert sample_axis((42, 4), 6, last=True, batch_axis=1) == (0, 7)
    assert sample_axis((7, 4), 6, last=True, batch_axis=0) is None
