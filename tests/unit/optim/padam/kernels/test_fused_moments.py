"""The moments by torch's fused kernel: beside the plain lines, and only where it can be used."""

import pytest
import torch

from linnet.optim import Padam
from linnet.optim.padam.kernels import blocked
from linnet.optim.padam.kernels.blocked import fits, update_moments_


def _five(dtype=torch.float64, size=1000, rng_seed=0):
    draw = torch.Generator().manual_seed(rng_seed)
    x, g, m = (torch.randn(size, generator=draw, dtype=torch.float64) for _ in range(3))
    v, u = (torch.rand(size, generator=draw, dtype=torch.float64) for _ in range(2))
    return tuple(tensor.to(dtype) for tensor in (x, g, m, v, u))


@pytest.mark.parametrize("amsgrad", [True, False])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.0, 0.5), (0.3, 0.0)])
def test_it_is_the_plain_lines_and_leaves_the_parameter(betas, amsgrad):
    x, g, m, v, u = _five()
    wanted_m, wanted_v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
    wanted_u = torch.maximum(u, wanted_v) if amsgrad else u.clone()
    before = x.clone()
    update_moments_([x], [g], [m], [v], [u], beta1=betas[0], beta2=betas[1], amsgrad=amsgrad)
    assert torch.equal(x, before)
    torch.testing.assert_close(m, wanted_m, rtol=1e-14, atol=1e-15)
    torch.testing.assert_close(v, wanted_v, rtol=1e-14, atol=1e-15)
    torch.testing.assert_close(u, wanted_u, rtol=1e-14, atol=1e-15)


def test_it_is_used_only_where_the_kernel_fits():
    five = _five()
    assert fits(five)
    assert not fits(_five(torch.bfloat16))
    assert not fits(_five(size=0))
    assert not fits(tuple(tensor.view(10, 100).t() for tensor in five))
    assert not fits((five[0], five[1].float(), *five[2:]))


@pytest.mark.parametrize("fault", ["missing", "another signature", "another result"])
def test_a_torch_whose_kernel_is_missing_or_differs_goes_without_it(fault, monkeypatch):
    def differs(params, grads, means, squares, largest, steps, **numbers):
        means[0].add_(1)

    def refuses():
        raise TypeError

    if fault == "missing":
        monkeypatch.delattr(torch, "_fused_adam_")
    else:
        monkeypatch.setattr(torch, "_fused_adam_", differs if fault == "another result" else refuses)
    blocked.works.cache_clear()
    try:
        assert not blocked.works()
        x = torch.nn.Parameter(torch.ones(40_000))
        x.grad = torch.ones(40_000)
        Padam([x], impl="blocked", bias_correction="power").step()
        torch.testing.assert_close(x.detach(), torch.full((40_000,), 0.9))
    finally:
        blocked.works.cache_clear()


def test_not_finite_gradients_pass_through_as_in_the_loop():
    results = []
    for impl in ("loop", "blocked"):
        x = torch.nn.Parameter(torch.ones(40_000))
        x.grad = torch.ones(40_000)
        x.grad[0], x.grad[1] = float("nan"), float("inf")
        Padam([x], impl=impl).step()
        results.append(x.detach())
    torch.testing.assert_close(*results, equal_nan=True)
