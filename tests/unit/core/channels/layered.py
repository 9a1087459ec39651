"""Networks of two layers with one thing between them, and edits that try it."""

import torch
from torch import nn
from torch.nn import functional as F

from linnet.core import ChannelGraph, resize
from tests.zoo.check import difference, masked


class Between(nn.Module):
    """A 1x1 convolution to `made` channels, `f`, and a 1x1 convolution from `channels` to 2."""

    def __init__(self, f, channels=4, made=4):
        super().__init__()
        self.a, self.b, self.f = nn.Conv2d(3, made, 1), nn.Conv2d(channels, 2, 1), f

    def forward(self, x):
        return self.b(self.f(self.a(x)))


class Parts(nn.Module):
    """`f(self, x)` with layers, parameters and buffers as attributes."""

    def __init__(self, f, **parts):
        super().__init__()
        self.f = f
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, x):
        return self.f(self, x)


def image():
    return torch.randn(2, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def tokens():
    return torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def parameter(*shape):
    return nn.Parameter(torch.randn(*shape, dtype=torch.float64) / 2)


def slots(graph, name):
    """(tensor, axis) -> (role, positions of each channel)."""
    return {(s.tensor, s.axis): (s.role, s.index.tolist()) for s in graph.classes[name].slots}


def assert_edits_are_exact(model, graph, name, x):
    """Widens a class evenly and unevenly and removes its first channel, measured without the library's proof."""
    size = graph.classes[name].size
    for numbers in ([2] * size, [3] + [1] * (size - 1), [0] + [1] * (size - 1)):
        if any(numbers) and (graph.classes[name].uniform is None or len(set(numbers)) == 1):
            new = resize(model, graph, {name: numbers}, split="random")
            assert difference(masked(model, graph, {name: numbers}), new, x, training=False) <= 1e-10, numbers


def built(f, channels=4, made=4):
    """A `Between` in float64 and its graph."""
    model = Between(f, channels, made).double()
    return model, ChannelGraph(model, image())


def heads(x):
    """Channels shared out to two heads."""
    return x.unflatten(2, (2, x.shape[2] // 2)).transpose(1, 2)


def attention(m, x):
    """Two heads with layers `q`, `k`, `v` and `b`."""
    mixed = F.scaled_dot_product_attention(heads(m.q(x)), heads(m.k(x)), heads(m.v(x)))
    return m.b(mixed.transpose(1, 2).flatten(2))
