"""Weights that are computed, read as a whole or used at a fixed size: their classes are frozen with the reason."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from linnet.core import ChannelGraph
from tests.unit.core.channels.layered import Parts, attention, image, parameter, tokens

L, C = nn.Linear, nn.Conv2d
COMPUTED = "meets a tensor that is computed, not a parameter"
FROZEN = {
    # name: (makes the network, its input, frozen class -> words of its reason)
    "groups written down": (
        lambda: Parts(
            lambda m, x: m.b(F.conv2d(m.a(x), m.w, groups=4)), a=C(3, 4, 1), w=parameter(4, 1, 3, 3), b=C(4, 2, 1)
        ),
        image,
        {"a": "can't be doubled"},
    ),
    "a standardised kernel": (
        lambda: Parts(
            lambda m, x: m.b(F.conv2d(m.a(x), m.w - m.w.mean())), a=C(3, 4, 1), w=parameter(4, 4, 1, 1), b=C(4, 2, 1)
        ),
        image,
        {"a": COMPUTED},
    ),
    "a kernel from a layer": (
        lambda: Parts(
            lambda m, x: m.b(F.conv2d(m.a(x), m.g(x.mean((0, 2, 3))).view(4, 4, 1, 1))),
            a=C(3, 4, 1),
            g=L(3, 16),
            b=C(4, 2, 1),
        ),
        image,
        {"a": COMPUTED, "g": COMPUTED},
    ),
    "a depthwise kernel from a layer": (
        lambda: Parts(
            lambda m, x: m.b(F.conv2d(m.a(x), m.g(x.mean((0, 2, 3))).view(4, 1, 1, 1), groups=4)),
            a=C(3, 4, 1),
            g=L(3, 4),
            b=C(4, 2, 1),
        ),
        image,
        {"a": COMPUTED, "g": COMPUTED},
    ),
    "a norm's scale from a layer": (
        lambda: Parts(
            lambda m, x: m.b(F.batch_norm(m.a(x), None, None, m.g(x.mean((0, 2, 3))), training=True)),
            a=C(3, 4, 1),
            g=L(3, 4),
            b=C(4, 2, 1),
        ),
        image,
        {"a": COMPUTED, "g": COMPUTED},
    ),
    "a matrix from a layer": (
        lambda: Parts(lambda m, x: m.o(F.linear(m.a(x)[0], m.g(x[0]))), a=L(3, 6), g=L(3, 6), o=L(5, 2)),
        tokens,
        {"a": COMPUTED, "g": COMPUTED},
    ),
    "a bias from a layer": (
        lambda: Parts(lambda m, x: m.o(F.linear(x, m.w, m.g(x.mean((0, 1))))), w=parameter(4, 3), g=L(3, 4), o=L(4, 2)),
        tokens,
        {"w": COMPUTED, "g": COMPUTED},
    ),
    "a table from a layer": (
        lambda: Parts(
            lambda m, x: m.b(F.embedding(torch.tensor([[0, 1]], device=x.device), m.g(x[0]))), g=L(3, 4), b=L(4, 2)
        ),
        tokens,
        {"g": COMPUTED},
    ),
    "bilinear, from a layer": (
        lambda: Parts(
            lambda m, x: F.bilinear(m.a(x), m.a(x), m.g(x.mean((0, 1))).view(2, 4, 4)), a=L(3, 4), g=L(3, 32)
        ),
        tokens,
        {"a": "is multiplied", "g": "is multiplied"},
    ),
    "columns as channels, 3x3": (
        lambda: Parts(
            lambda m, x: m.b(m.c(m.a(x).transpose(1, 3)).transpose(1, 3)),
            a=C(3, 4, 1),
            c=C(6, 6, 3, padding=1),
            b=C(4, 2, 1),
        ),
        image,
        {"a": "positions along its labelled axis are mixed"},
    ),
    "columns as channels, batch norm": (
        lambda: Parts(
            lambda m, x: m.b(m.c(m.a(x).transpose(1, 3)).transpose(1, 3)),
            a=C(3, 4, 1),
            c=nn.BatchNorm2d(6),
            b=C(4, 2, 1),
        ),
        image,
        {"a": "are mixed"},
    ),
    "columns as channels, group norm": (
        lambda: Parts(
            lambda m, x: m.b(m.c(m.a(x).transpose(1, 3)).transpose(1, 3)),
            a=C(3, 4, 1),
            c=nn.GroupNorm(2, 6),
            b=C(4, 2, 1),
        ),
        image,
        {"a": "are mixed"},
    ),
    "addmm of two layers": (
        lambda: Parts(
            lambda m, x: m.b(torch.addmm(m.a(x[:, 0]), x[:, 0], m.w).tanh()), a=L(3, 4), w=parameter(3, 4), b=L(4, 2)
        ),
        tokens,
        {"a": "is added to a product", "w": "is added to"},
    ),
    "addmm with a constant": (
        lambda: Parts(lambda m, x: m.b(torch.addmm(x.new_ones(4), x[:, 0], m.w).tanh()), w=parameter(3, 4), b=L(4, 2)),
        tokens,
        {"w": "tensor of fixed size"},
    ),
    "a product of many matrices": (
        lambda: Parts(
            lambda m, x: m.b(torch.einsum("btc,hcd->bthd", m.a(x), m.w).flatten(2)),
            a=L(3, 4),
            w=parameter(2, 4, 3),
            b=L(6, 2),
        ),
        tokens,
        {"a": "a tensor that isn't a parameter"},
    ),
    "queries and keys": (
        lambda: Parts(attention, q=L(3, 4), k=L(3, 4), v=L(3, 4), b=L(4, 2)),
        tokens,
        {"q": "is contracted in attention", "k": "is contracted in attention"},
    ),
    "values that are tokens": (
        lambda: Parts(
            lambda m, x: m.b(
                F.scaled_dot_product_attention(*(f(x).transpose(1, 2) for f in (m.q, m.k, m.v))).transpose(1, 2)
            ),
            q=L(3, 4),
            k=L(3, 4),
            v=L(3, 4),
            b=L(4, 2),
        ),
        tokens,
        {"v": "its tokens are mixed"},
    ),
    "queries of one layer, keys of another": (
        lambda: Parts(
            lambda m, x: m.b(m.r(m.a(x), m.c(x), m.c(x))[0]),
            a=L(3, 4),
            c=L(3, 4),
            r=nn.MultiheadAttention(4, 2, batch_first=True),
            b=L(4, 2),
        ),
        tokens,
        {"r": "is contracted in attention"},
    ),
    "scales, normalised": (
        lambda: Parts(lambda m, x: m.b(m.a(x) * m.p.softmax(0)), a=L(3, 4), p=parameter(4), b=L(4, 2)),
        tokens,
        {"a": "tensor of fixed size"},
    ),
    "scales, repeated along channels": (
        lambda: Parts(lambda m, x: m.b(m.a(x) * m.p.repeat(2)), a=L(3, 4), p=parameter(2), b=L(4, 2)),
        tokens,
        {"a": "tensor of fixed size"},
    ),
    "a weight that is summed": (
        lambda: Parts(lambda m, x: m.b(m.a(x)) * m.a.weight.mean(), a=L(3, 4), b=L(4, 2)),
        tokens,
        {"a": "`a.weight` is read as a whole"},
    ),
    "a row of a weight": (
        lambda: Parts(lambda m, x: m.b(m.a(x) * m.w[0] + m.a(x) @ m.w), a=L(3, 4), w=parameter(4, 4), b=L(4, 2)),
        tokens,
        {"a": "`w` is read as a whole"},
    ),
    "a layer that also reads the input": (
        lambda: Parts(lambda m, x: m.o(m.a(m.a(x).tanh())), a=L(3, 3), o=L(3, 2)),
        tokens,
        {"a": "tensor of fixed size"},
    ),
    "scales of the input too": (
        lambda: Parts(lambda m, x: m.o(m.a(x * m.p) * m.p), a=L(3, 3), p=parameter(3), o=L(3, 2)),
        tokens,
        {"a": "`p` is read as a whole"},
    ),
    "made and summed on one axis": (
        lambda: Parts(lambda m, x: F.linear(m.a(x.mean((2, 3)))[:, None] * m.w, m.w), a=L(3, 4), w=parameter(2, 4)),
        image,
        {"a": "both made and summed over on one axis"},
    ),
}


@pytest.mark.parametrize("name", FROZEN)
def test_reasons_are_told(name):
    make, given, reasons = FROZEN[name]
    torch.manual_seed(0)
    graph = ChannelGraph(make().double().eval(), given())
    for known, words in reasons.items():
        assert words in (graph.classes[known].frozen or "free"), known
