"""Weights that are standardised row by row: the channels that they make may go, those that they read stay."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet import cost
from linnet.core import ChannelGraph
from linnet.core.channels.width_cost import WidthCost
from tests.unit.core.channels.test_dead_ends import X, assert_right, halved


class ByMoments(nn.Conv2d):
    """(w - mean) / sd of each row, with the moments of all that it sums over."""

    def forward(self, x):
        variance, mean = torch.var_mean(self.weight, (1, 2, 3), keepdim=True)
        weight = (self.weight - mean) / (variance + 1e-5).sqrt()
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class ByBatchNorm(nn.Conv2d):
    """The same by batch norm over the rows, times a gain of each, as networks without normalisation layers do."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.gain, self.scale = (
            nn.Parameter(torch.rand(self.out_channels, 1, 1, 1) + 0.5),
            self.weight[0].numel() ** -0.5,
        )

    def forward(self, x):
        rows, gain = self.weight.reshape(1, self.out_channels, -1), (self.gain * self.scale).view(-1)
        weight = F.batch_norm(rows, None, None, weight=gain, training=True, momentum=0.0, eps=1e-6)
        return F.conv2d(
            x, weight.reshape_as(self.weight), self.bias, self.stride, self.padding, self.dilation, self.groups
        )


def chain(kind, groups=1):
    torch.manual_seed(0)
    first, second = kind(3, 16, 3, padding=1), kind(16, 16, 3, padding=1, groups=groups)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Conv2d(16, 4, 1))


@pytest.mark.parametrize("kind", [ByMoments, ByBatchNorm])
def test_what_a_standardised_convolution_makes_may_go(kind):
    graph, small = assert_right(chain(kind))
    assert graph.classes["2"].frozen is None
    assert small[2].weight.shape == (8, 16, 3, 3)
    assert (small[2].out_channels, small[0].out_channels) == (8, 16)


@pytest.mark.parametrize("kind", [ByMoments, ByBatchNorm])
def test_what_it_reads_stays_since_its_moments_would_change(kind):
    assert "a tensor that is computed" in ChannelGraph(chain(kind), X).classes["0"].frozen


@pytest.mark.parametrize("kind", [ByMoments, ByBatchNorm])
def test_a_depthwise_one_reads_its_own_channel_alone(kind):
    _, small = assert_right(chain(kind, groups=16))
    assert (small[2].groups, small[2].weight.shape) == (8, (8, 1, 3, 3))


@pytest.mark.parametrize("kind", [ByMoments, ByBatchNorm])
def test_cost_counts_the_computed_weight(kind):
    model = chain(kind)
    graph, small = assert_right(model)
    edit = halved(graph)
    assert graph.cost(edit) == cost(small, X)
    law = WidthCost(graph)
    widths = [sum(edit[name]) if name in edit else graph.classes[name].size for name in law.names]
    assert law.totals(torch.tensor([widths]).numpy())[0, 0] == cost(small, X).macs


@pytest.mark.parametrize(
    "weight",
    [
        lambda m: m.a.weight - m.a.weight.mean(0, keepdim=True),
        lambda m: m.a.weight - m.a.weight.mean(),
        lambda m: m.a.weight * m.a.weight.flatten(1).T[:1].softmax(1).view(-1, 1, 1, 1),
    ],
    ids=["moments of a column", "the mean of all", "a softmax of rows"],
)
def test_rows_that_depend_on_each_other_stay(weight):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.o = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 4, 1)

        def forward(self, x):
            return self.o(F.conv2d(x, weight(self)))

    torch.manual_seed(0)
    assert not halved(ChannelGraph(Net(), X))


def test_global_response_normalisation_keeps_its_channels():
    """It divides by a mean over channels, which masked channels would enter: no narrowing of it is exact."""

    class Grn(nn.Module):
        def __init__(self, size):
            super().__init__()
            self.w, self.b = nn.Parameter(torch.rand(size)), nn.Parameter(torch.rand(size))

        def forward(self, x):
            y = x.permute(0, 2, 3, 1)
            norm = y.norm(p=2, dim=(1, 2), keepdim=True)
            scaled = y * (norm / (norm.mean(-1, keepdim=True) + 1e-6))
            return (self.w * scaled + self.b + y).permute(0, 3, 1, 2)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 1), Grn(16), nn.Conv2d(16, 16, 1), nn.ReLU(), nn.Conv2d(16, 4, 1))
    graph, _ = assert_right(model)
    assert "taken together (mean)" in graph.classes["0"].frozen
    assert graph.classes["2"].frozen is None
