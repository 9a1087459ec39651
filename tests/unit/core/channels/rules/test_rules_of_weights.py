"""Every way in which layers and raw parameters may meet channels: edits are exact."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.core import ChannelGraph, resize
from linnet.errors import UnsupportedOperator
from tests.unit.core.channels.layered import Parts, assert_edits_are_exact, attention, image, parameter, slots, tokens

L, C, T = nn.Linear, nn.Conv2d, nn.ConvTranspose2d


def kernel(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def scaled(layer, **more):
    """A convolution, a layer, a convolution."""
    return lambda: Parts(lambda m, x: m.b(m.layer(m.a(x))), a=C(3, 4, 1), layer=layer(), b=C(4, 2, 1), **more)


FREE = {
    # name: (makes the network, its input, free classes)
    "transposed, grouped": (
        lambda: Parts(lambda m, x: m.b(m.t(m.a(x))), a=C(3, 6, 1), t=T(6, 4, 2, groups=2), b=C(4, 2, 1)),
        image,
        ["a", "t"],
    ),
    "transposed, depthwise": (scaled(lambda: T(4, 4, 2, groups=4)), image, ["a"]),
    "transposed, two per channel": (
        lambda: Parts(lambda m, x: m.b(m.t(m.a(x))), a=C(3, 4, 1), t=T(4, 8, 2, groups=4), b=C(8, 2, 1)),
        image,
        ["a"],
    ),
    "depthwise, a raw kernel": (
        lambda: Parts(
            lambda m, x: m.b(F.conv2d(m.a(x), m.w, groups=len(m.w))),
            a=C(3, 4, 1),
            w=parameter(4, 1, 3, 3),
            b=C(4, 2, 1),
        ),
        image,
        ["a"],
    ),
    "depthwise, a buffer": (
        lambda: Parts(
            lambda m, x: m.b(F.conv2d(m.a(x), m.w, groups=len(m.w))), a=C(3, 4, 1), w=kernel(4, 1, 3, 3), b=C(4, 2, 1)
        ),
        image,
        ["a"],
    ),
    "grouped, a buffer": (
        lambda: Parts(
            lambda m, x: m.b(F.conv2d(m.a(x), m.w, groups=2)), a=C(3, 4, 1), w=kernel(4, 2, 1, 1), b=C(4, 2, 1)
        ),
        image,
        ["a", "w"],
    ),
    "dense, a buffer": (
        lambda: Parts(lambda m, x: m.b(F.conv2d(m.a(x), m.w)), a=C(3, 4, 1), w=kernel(4, 4, 1, 1), b=C(4, 2, 1)),
        image,
        ["a", "w"],
    ),
    "a kernel times a number": (
        lambda: Parts(lambda m, x: m.b(F.conv2d(m.a(x), m.w * 2)), a=C(3, 4, 1), w=parameter(4, 4, 1, 1), b=C(4, 2, 1)),
        image,
        ["a", "w"],
    ),
    "columns as channels, 1x1": (
        lambda: Parts(
            lambda m, x: m.b(m.c(m.a(x).transpose(1, 3)).transpose(1, 3)), a=C(3, 4, 1), c=C(6, 6, 1), b=C(4, 2, 1)
        ),
        image,
        ["a"],
    ),
    "tokens": (lambda: Parts(lambda m, x: m.b(m.a(x).tanh()), a=L(3, 4), b=L(4, 2)), tokens, ["a"]),
    "a matrix on the right": (
        lambda: Parts(lambda m, x: m.b((x @ m.w).tanh()), w=parameter(3, 4), b=L(4, 2)),
        tokens,
        ["w"],
    ),
    "a matrix on the left": (
        lambda: Parts(lambda m, x: m.b((m.w @ m.a(x)).tanh()), w=parameter(7, 5), a=L(3, 4), b=L(4, 2)),
        tokens,
        ["a"],
    ),
    "a vector": (lambda: Parts(lambda m, x: (m.a(x) @ m.v).tanh(), a=L(3, 4), v=parameter(4)), tokens, ["a"]),
    "a matrix for each token": (
        lambda: Parts(
            lambda m, x: m.b(torch.bmm(m.a(x).transpose(0, 1), m.w).transpose(0, 1).tanh()),
            a=L(3, 4),
            w=parameter(5, 4, 6),
            b=L(6, 2),
        ),
        tokens,
        ["a", "w"],
    ),
    "einsum": (
        lambda: Parts(
            lambda m, x: m.b(torch.einsum("btc,cd->btd", m.a(x), m.w).tanh()), a=L(3, 4), w=parameter(4, 6), b=L(6, 2)
        ),
        tokens,
        ["a", "w"],
    ),
    "addmm": (
        lambda: Parts(
            lambda m, x: m.b(torch.addmm(m.z, x[:, 0], m.w).tanh()), z=parameter(4), w=parameter(3, 4), b=L(4, 2)
        ),
        tokens,
        ["w"],
    ),
    "bilinear": (
        lambda: Parts(lambda m, x: m.b(m.j(m.a(x), m.a(x)).tanh()), a=L(3, 4), j=nn.Bilinear(4, 4, 5), b=L(5, 2)),
        tokens,
        ["a", "j"],
    ),
    "rms norm": (lambda: Parts(lambda m, x: m.b(m.n(m.a(x))), a=L(3, 4), n=nn.RMSNorm(4), b=L(4, 2)), tokens, ["a"]),
    "layer norm without shift": (
        lambda: Parts(lambda m, x: m.b(m.n(m.a(x))), a=L(3, 4), n=nn.LayerNorm(4, bias=False), b=L(4, 2)),
        tokens,
        ["a"],
    ),
    "instance norm with statistics": (
        scaled(lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True)),
        image,
        ["a"],
    ),
    "batch norm without statistics": (scaled(lambda: nn.BatchNorm2d(4, track_running_stats=False)), image, ["a"]),
    "batch norm of tokens": (
        lambda: Parts(
            lambda m, x: m.b(m.n(m.a(x).transpose(1, 2)).transpose(1, 2)), a=L(3, 4), n=nn.BatchNorm1d(4), b=L(4, 2)
        ),
        tokens,
        ["a"],
    ),
    "one slope": (scaled(nn.PReLU), image, ["a"]),
    "a slope each": (scaled(lambda: nn.PReLU(4)), image, ["a"]),
    "a class token and places": (
        lambda: Parts(
            lambda m, x: m.b(torch.cat([m.cls.expand(len(x), -1, -1), m.a(x)], 1) + m.pos),
            a=L(3, 4),
            cls=parameter(1, 1, 4),
            pos=parameter(1, 6, 4),
            b=L(4, 2),
        ),
        tokens,
        ["a"],
    ),
    "places, cut": (
        lambda: Parts(lambda m, x: m.b(m.a(x) + m.pos[:, : x.shape[1]]), a=L(3, 4), pos=parameter(1, 9, 4), b=L(4, 2)),
        tokens,
        ["a"],
    ),
    "channels of a parameter": (
        lambda: Parts(
            lambda m, x: m.b(torch.cat([m.a(x), m.p.expand(len(x), 5, -1)], -1)),
            a=L(3, 4),
            p=parameter(1, 1, 3),
            b=L(7, 2),
        ),
        tokens,
        ["a", "p"],
    ),
    "scales, squeezed": (
        lambda: Parts(lambda m, x: m.b(m.a(x) * m.p.squeeze(0)), a=L(3, 4), p=parameter(1, 4), b=L(4, 2)),
        tokens,
        ["a"],
    ),
    "scales, reversed": (
        lambda: Parts(lambda m, x: m.b(m.a(x) * m.p.flip(0)), a=L(3, 4), p=parameter(4), b=L(4, 2)),
        tokens,
        ["a"],
    ),
    "scale and shift in one": (
        lambda: Parts(lambda m, x: m.b(m.a(x) * m.p[0] + m.p[1]), a=L(3, 4), p=parameter(2, 4), b=L(4, 2)),
        tokens,
        ["a"],
    ),
    "scales, their exponential": (
        lambda: Parts(lambda m, x: m.b(m.a(x) * m.p.exp()), a=L(3, 4), p=parameter(4), b=L(4, 2)),
        tokens,
        ["a"],
    ),
    "scales, repeated along tokens": (
        lambda: Parts(lambda m, x: m.b(m.a(x) * m.p.repeat(5, 1)), a=L(3, 4), p=parameter(1, 4), b=L(4, 2)),
        tokens,
        ["a"],
    ),
    "scales by a table": (
        lambda: Parts(
            lambda m, x: m.b(m.a(x) * m.p[torch.tensor([[0, 1, 0, 1, 0]])]), a=L(3, 4), p=parameter(2, 4), b=L(4, 2)
        ),
        tokens,
        ["a"],
    ),
    "a number made of a parameter": (
        lambda: Parts(lambda m, x: m.b(m.a(x) * m.p.mean()), a=L(3, 4), p=parameter(6), b=L(4, 2)),
        tokens,
        ["a"],
    ),
    "scales from another path": (
        lambda: Parts(
            lambda m, x: m.b(F.instance_norm(m.a(x)) * m.g(x.mean((2, 3)))[..., None, None]),
            a=C(3, 4, 1),
            g=L(3, 4),
            b=C(4, 2, 1),
        ),
        image,
        ["a"],
    ),
    "values of attention": (lambda: Parts(attention, q=L(3, 4), k=L(3, 4), v=L(3, 4), b=L(4, 2)), tokens, ["v"]),
}


@pytest.mark.parametrize("name", FREE)
def test_edits_are_exact(name):
    make, given, free = FREE[name]
    torch.manual_seed(0)
    model, x = make().double().eval(), given()
    graph = ChannelGraph(model, x)
    assert [c.name for c in graph.classes.values() if c.frozen is None] == free
    for known in free:
        assert_edits_are_exact(model, graph, known, x)


def test_whole_groups_of_a_transposed_convolution():
    model = Parts(lambda m, x: m.b(m.t(m.a(x))), a=C(3, 6, 1), t=T(6, 4, 2, groups=2), b=C(4, 2, 1)).double()
    graph = ChannelGraph(model, image(), grouped="whole")
    assert slots(graph, "a")["t.weight", 0] == ("produce", [[0, 1, 2], [3, 4, 5]])
    assert_edits_are_exact(model, graph, "a", image())


def test_a_table_with_a_largest_norm_is_frozen():
    model = Parts(lambda m, x: m.b(m.e(x)), e=nn.Embedding(7, 4, max_norm=1.0), b=L(4, 2))
    graph = ChannelGraph(model, torch.tensor([[1, 6]]))
    assert "its rows are shortened to `max_norm`" in graph.classes["e"].frozen
    plain = nn.Sequential(nn.Embedding(7, 4), L(4, 2))
    assert resize(plain, ChannelGraph(plain, torch.tensor([[1, 6]])), {"0": 2})[0].embedding_dim == 8


@pytest.mark.parametrize("layer", [lambda: nn.LSTM(4, 5, batch_first=True), lambda: nn.GRU(4, 5, batch_first=True)])
def test_recurrent_layers_are_refused_until_they_are_frozen(layer):
    model = Parts(lambda m, x: m.b(m.r(m.a(x))[0]), a=L(3, 4), r=layer(), b=L(5, 2)).double()
    with pytest.raises(UnsupportedOperator, match=r"`r`.*frozen=\['r'\]"):
        ChannelGraph(model, tokens(), unsupported="refuse")
    given = ChannelGraph(model, tokens()).classes
    assert "`r`" in str(given["r"].frozen)
    assert given["a"].frozen is not None
    graph = ChannelGraph(model, tokens(), frozen=["r"])
    assert graph.classes["a"].frozen == "`r` is frozen by the caller"
