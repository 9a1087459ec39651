"""The sign of a sum of two batch norms, against a slow twin with 80 digits and against the network in float64."""

from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies
from torch import nn

from linnet.errors import FreezeError
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Program, Sign, freeze
from linnet.jet.freezing.norm import Norm
from linnet.jet.freezing.sums import addend, is_positive, sign_of_sum
from linnet.jet.integer.nodes import WeightedAdd
from tests.jet_networks import draw_norms

floats = strategies.floats(-50, 50, width=32)
positive = strategies.floats(2**-10, 100, width=32)
whole = strategies.integers(-4, 4)
X = torch.randint(0, 256, (6, 1, 12, 12), generator=torch.Generator().manual_seed(0))


def one_channel(gamma, beta, mean, q, low, high, scale=1, shift=0):
    norm = Norm(*((Fraction(v),) for v in (gamma, beta, mean, q)))
    return addend(0, np.array([low]), np.array([high]), Fraction(scale), (Fraction(shift),), norm)


def decimal_value(part, x):
    getcontext().prec = 80
    d = lambda f: Decimal(f.numerator) / Decimal(f.denominator)  # noqa: E731
    return d(part.numerator(x)) / d(part.q).sqrt() + d(part.beta)


def assert_same_side(first, second):
    multipliers, threshold = sign_of_sum([(first, second)])
    m, t, flip = multipliers[:, 0], int(threshold.thresholds[0]), bool(threshold.flips[0])
    left, right = ([decimal_value(part, k) for k in range(part.low, part.high + 1)] for part in (first, second))
    for x, one in enumerate(left, first.low):
        for y, two in enumerate(right, second.low):
            expected = one + two > -(Decimal(10) ** -60)
            assert ((int(m[0]) * x + int(m[1]) * y >= t) != flip) == expected, (x, y)
    assert np.abs(m).max() <= max(first.high - first.low, second.high - second.low) + 1


@settings(max_examples=60)
@given(floats, floats, floats, positive, floats, floats, floats, positive)
def test_every_pair_lies_on_its_side(g1, b1, m1, q1, g2, b2, m2, q2):
    assert_same_side(
        one_channel(g1, b1, m1, q1, -9, 11, Fraction(2, 255), Fraction(1, 3)), one_channel(g2, b2, m2, q2, -14, 8)
    )


@settings(max_examples=60)
@given(whole, whole, whole, strategies.sampled_from([1, 4, 2]), whole, whole, whole, strategies.sampled_from([1, 9, 2]))
def test_exact_ties_zero_slopes_and_equal_ratios(g1, b1, m1, q1, g2, b2, m2, q2):
    assert_same_side(one_channel(g1, b1, m1, q1, -10, 10), one_channel(g2, b2, m2, q2, -7, 12))


@pytest.mark.parametrize("gamma", [1e-30, 1e-3, 1e9])
@pytest.mark.parametrize("sign", [1, -1])
def test_slopes_of_very_different_size(gamma, sign):
    assert_same_side(one_channel(gamma, 0, 0, 1, -10, 10), one_channel(sign, 0.5, 3, 2, -10, 10))
    assert_same_side(one_channel(sign, 0, 3, 2, -10, 10), one_channel(gamma, 0, 3, 2, -10, 10))


def test_a_tie_between_roots_is_no_rounding():
    first, second = one_channel(1, 0, 0, 2, -9, 9), one_channel(-1, 0, 0, 8, -9, 9)
    assert is_positive(first, second, 2, 4)  # 2 / sqrt(2) - 4 / sqrt(8) = 0
    assert not is_positive(first, second, 2, 5)
    assert_same_side(first, second)


class Residual(nn.Module):
    """Norms that are added: a convolution's to signs, or to another convolution's; a pool between sum and sign."""

    def __init__(self, shortcut, pool=None):
        super().__init__()
        self.first = nn.Sequential(JetConv2d(1, 6, padding=1, pad_value=0), nn.BatchNorm2d(6), Sign())
        self.left = nn.Sequential(JetConv2d(6, 6, padding=1), nn.BatchNorm2d(6))
        self.right = nn.Sequential(BinaryConv2d(6, 6, 1), nn.BatchNorm2d(6)) if shortcut else nn.Identity()
        self.pool, self.sign = pool or nn.Identity(), Sign()
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), BinaryLinear(6, 3))

    def forward(self, x):
        x = self.first(x)
        return self.head(self.sign(self.pool(self.left(x) + self.right(x))))


class Rest(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("pool", [None, nn.MaxPool2d(2)])
@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_residual_networks_are_exact_and_saved(shortcut, pool, seed, tmp_path):
    torch.manual_seed(seed)
    net = Residual(shortcut, pool)
    draw_norms(net)
    program = freeze(net.eval(), X)
    assert any(isinstance(node.operation, WeightedAdd) and node.name == "add" for node in program.graph.nodes)
    torch.testing.assert_close(program.logits(X).double(), net.double()(X.double()), rtol=1e-12, atol=1e-12)
    assert Program.load(program.save(tmp_path / "program.safetensors")).hash == program.hash
    program.verify(X, backends=[])


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (lambda s: s, r"the output is the sum `add` of batch norms.*Sign\(\) right after the addition"),
        (lambda s: s.mean((2, 3)), r"`mean`\) reads the sum `add` of batch norms"),
        (lambda s: s + s, r"reads the sum `add` of batch norms"),
        (lambda s: torch.cat((s, s), 1), r"joins maps that aren't signs"),
    ],
)
def test_a_sum_that_no_sign_follows_is_refused(rest, words):
    torch.manual_seed(0)
    net = Residual(shortcut=True)
    net.sign, net.head, net.pool = nn.Identity(), nn.Identity(), Rest(rest)
    with pytest.raises(FreezeError, match=words):
        freeze(net.eval(), X)
