"""The other ways that the benchmark times give the right numbers."""

import torch
from torch import nn

from benchmarks.spectra.kernels import jacobian_contraction
from benchmarks.spectra.top import power_iteration, products
from linnet.spectra import fisher, ntk


def test_the_contraction_of_jacobians_is_the_kernel_in_any_chunks():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double(), torch.randn(5, 4).double()
    for block in (1, 2, 5):
        torch.testing.assert_close(jacobian_contraction(model, x, block), ntk(model, x))


def test_power_iteration_finds_the_largest_eigenvalues_one_after_another():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)), torch.randn(6, 4)
    size = sum(p.numel() for p in model.parameters())
    found = power_iteration(products(model, x), size, 2, 1e-4, 500)
    torch.testing.assert_close(found.double(), fisher(model, x).eigenvalues[:2], rtol=1e-3, atol=0)
