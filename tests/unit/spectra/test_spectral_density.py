"""Lanczos quadrature with deflation: integrates to 1, its bars hold the truth, the atom at zero is counted."""

import pytest
import torch

from linnet.errors import InputError
from linnet.spectra import density

N = 120
VALUES = torch.cat([torch.tensor([50.0, 30.0]), torch.linspace(0.2, 3, N - 2)]).double()


def matrix(values: torch.Tensor = VALUES) -> torch.Tensor:
    n = len(values)
    q = torch.linalg.qr(torch.randn(n, n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)).Q
    return (q * values) @ q.T


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_it_integrates_to_one_with_its_atom(scale):
    found = density(matrix(), zeros=80, scale=scale, probes=4, deflate=2, steps=40)
    assert found.integral == pytest.approx(1.0, abs=1e-3)
    assert found.atom == pytest.approx(0.4)
    assert bool((found.lo <= found.y + 1e-12).all())
    assert bool((found.y <= found.hi + 1e-12).all())


def test_zeros_inside_the_matrix_join_the_atom():
    values = torch.cat([VALUES, torch.zeros(40).double()])
    found = density(matrix(values), zeros=1, probes=6, deflate=2, steps=60)
    assert found.atom == pytest.approx(41 / 161, abs=0.05)
    assert found.integral == pytest.approx(1.0, abs=1e-3)


def test_moments_lie_within_their_bars_for_most_seeds():
    a = matrix()
    for order in (1, 2):
        truth = float((VALUES**order).sum()) / (N + 30)
        inside = 0
        for seed in range(40):
            _, low, high = density(
                a, torch.linspace(0, 60, 8).double(), zeros=30, probes=6, deflate=2, steps=20, rng_seed=seed
            ).moment(order)
            inside += low <= truth <= high
        assert inside >= 38


def test_the_curve_lies_within_its_bars_for_most_points_and_seeds():
    a, grid = matrix(), torch.linspace(0.5, 2.7, 12).double()
    exact = (torch.exp(-0.5 * ((grid[:, None] - VALUES) / 0.3) ** 2) / (0.3 * (2 * torch.pi) ** 0.5)).mean(1)
    inside = 0
    for seed in range(20):
        found = density(a, grid, probes=8, deflate=2, steps=30, bandwidth=0.3, rng_seed=seed)
        inside += int(((found.lo <= exact) & (exact <= found.hi)).sum())
    assert inside >= 0.9 * 240


def test_an_indefinite_matrix_has_no_atom():
    values = torch.linspace(-2, 3, 60).double()
    found = density(matrix(values), probes=4, deflate=3, steps=60)
    assert found.atom == 0.0
    assert found.integral == pytest.approx(1.0, abs=1e-3)
    assert float(found.x[found.y > 1e-3].min()) < -1.9


def test_what_cant_be_used_is_named():
    with pytest.raises(InputError, match="`scale`"):
        density(matrix(), scale="cubic")
    with pytest.raises(InputError, match=r"`probes` >= 2"):
        density(matrix(), probes=1)
    with pytest.raises(InputError, match="`bandwidth`"):
        density(matrix(), bandwidth=0.0)
    with pytest.raises(InputError, match="`size`"):
        density(lambda v: v)
    with pytest.raises(InputError, match=r"a tensor or a function \(got str\)"):
        density("matrix")
    with pytest.raises(InputError, match=r"`matrix` must be symmetric.*matrix\.T"):
        density(torch.tensor([[1.0, 2.0], [0.0, 1.0]]))
    with pytest.raises(InputError, match="NaN"):
        density(torch.full((3, 3), float("nan")))
    with pytest.raises(InputError, match="`steps` must be a whole number"):
        density(matrix(), steps=2.5)
    with pytest.raises(InputError, match="`zeros`"):
        density(matrix(), zeros=-1)
