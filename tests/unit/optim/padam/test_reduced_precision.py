"""bfloat16 and float16 parameters, and the random bits that round them."""

import pytest
import torch

from linnet.optim import Padam
from linnet.optim.padam.reduced_precision import random_bits, stochastically_rounded, stream_key


@pytest.mark.parametrize("impl", ["loop", "blocked", "foreach"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_step_is_the_float32_step_rounded_once(impl, dtype):
    generator = torch.Generator().manual_seed(0)
    start, g = (torch.randn(5, 7, generator=generator).to(dtype) for _ in range(2))
    x, y = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.float())
    x.grad, y.grad = g, g.float()
    low, high = Padam([x], weight_decay=0.1, impl=impl), Padam([y], weight_decay=0.1)
    low.step()
    high.step()
    assert torch.equal(x, y.to(dtype))
    assert torch.equal(low.state[x]["exp_avg"], high.state[y]["exp_avg"])


def moved(*, stochastic_rounding):
    x = torch.nn.Parameter(torch.ones(4096, dtype=torch.bfloat16))
    opt = Padam([x], lr=1e-4, p=0.0, bias_correction="power", stochastic_rounding=stochastic_rounding)
    for _ in range(20):
        x.grad = torch.ones_like(x)
        opt.step()
    return x.detach().float() - 1


def test_steps_below_half_an_ulp_vanish_unless_rounded_stochastically():
    assert torch.equal(moved(stochastic_rounding=False), torch.zeros(4096))
    found = moved(stochastic_rounding=True)
    # an ulp below 1 is 2^-8: the sd of one element is sqrt(20 1e-4 2^-8) = 2.8e-3, of the mean 4.4e-5
    assert found.mean().item() == pytest.approx(-20e-4, abs=2e-4)


def test_rounding_is_unbiased_and_only_to_the_neighbours():
    wide = torch.full((100_000,), 1 + 0.3 * 2**-7)
    found = stochastically_rounded(wide, random_bits(5, 1, first=0, like=wide))
    assert set(found.tolist()) == {1.0, 1 + 2**-7}
    assert torch.equal(found, found.bfloat16().float())
    assert ((found - 1) * 2**7).mean().item() == pytest.approx(0.3, abs=0.006)  # 4 sd


def test_infinity_nan_and_exact_values_stay():
    wide = torch.tensor([torch.inf, -torch.inf, torch.nan, 0.0, 1.5, -2.0])
    found = stochastically_rounded(wide, torch.full((6,), 65535, dtype=torch.int32))
    torch.testing.assert_close(found, wide, equal_nan=True, rtol=0, atol=0)


def test_bits_are_uniform_and_differ_by_element_step_and_tensor():
    like = torch.empty(65536)
    bits = random_bits(stream_key(0, 0), 1, first=0, like=like).double()
    assert bits.mean().item() == pytest.approx(32767.5, abs=300)  # sd of the mean 74
    assert bits.min().item() >= 0
    assert bits.max().item() <= 65535
    for other in (
        random_bits(stream_key(0, 0), 2, first=0, like=like),
        random_bits(stream_key(0, 1), 1, first=0, like=like),
        random_bits(stream_key(1, 0), 1, first=0, like=like),
    ):
        correlation = torch.corrcoef(torch.stack([bits, other.double()]))[0, 1].item()
        assert abs(correlation) < 0.02  # sd 0.004
    tail = random_bits(stream_key(0, 0), torch.tensor(1.0), first=100, like=torch.empty(50))
    assert torch.equal(tail.double(), bits[100:150])
