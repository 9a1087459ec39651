"""Laws of the Fisher spectrum for random networks, in float64."""

import copy

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from linnet.spectra import fisher
from tests.property.test_kernels import jacobian, networks
from tests.unit.optim.natural.dense import curvature

SETTINGS = {"deadline": None, "suppress_health_check": list(HealthCheck)}
LOSSES = st.sampled_from(["mse", "cross_entropy"])


def dense(model: nn.Module, x: torch.Tensor, loss: str) -> torch.Tensor:
    rows = torch.cat(list(jacobian(model, x).values()), dim=1)
    with torch.no_grad():
        return rows.T @ curvature(model(x), loss) @ rows / len(x)


def assert_values(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-8) -> None:
    """Equal up to zeros at the end."""
    size = max(len(found), len(expected))
    padded = [torch.cat([v, torch.zeros(size - len(v), dtype=v.dtype)]) for v in (found, expected)]
    assert float((padded[0] - padded[1]).abs().max()) <= tolerance * max(float(padded[1].max()), 1e-300)


@settings(max_examples=25, **SETTINGS)
@given(networks(), LOSSES)
def test_it_is_the_dense_spectrum_and_its_trace_the_gradient_norms(drawn, loss):
    model, x = drawn
    expected, found = dense(model, x, loss), fisher(model, x, loss)
    assert_values(found.eigenvalues, torch.linalg.eigvalsh(expected).flip(0))
    torch.testing.assert_close(found.mean * len(expected), float(expected.trace()), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(float(found.eigenvalues.sum()), found.mean * len(expected), rtol=1e-7, atol=1e-12)


@settings(max_examples=10, **SETTINGS)
@given(networks(), LOSSES)
def test_order_and_copies_of_the_samples_leave_it(drawn, loss):
    model, x = drawn
    found = fisher(model, x, loss).eigenvalues
    assert_values(fisher(model, x.flip(0), loss).eigenvalues, found)
    assert_values(fisher(model, torch.cat([x, x]), loss).eigenvalues, found)


@settings(max_examples=10, **SETTINGS)
@given(networks(), st.floats(0.2, 3.0))
def test_a_scaled_last_layer_scales_the_blocks_before_it(drawn, factor):
    model, x = drawn
    scaled = copy.deepcopy(model)
    with torch.no_grad():
        scaled.head.weight.mul_(factor)
    before, after = fisher(model, x).layer("stem"), fisher(scaled, x).layer("stem")
    assert_values(after.eigenvalues, before.eigenvalues * factor**2)


@settings(max_examples=10, **SETTINGS)
@given(networks())
def test_softmax_is_at_most_half_of_regression(drawn):
    model, x = drawn
    gap = dense(model, x, "mse") / 2 - dense(model, x, "cross_entropy")
    assert float(torch.linalg.eigvalsh(gap)[0]) > -1e-10 * float(gap.diagonal().max())
    regression, softmax = fisher(model, x).eigenvalues / 2, fisher(model, x, "cross_entropy").eigenvalues
    count = min(len(regression), len(softmax))
    assert bool((softmax[:count] <= regression[:count] * (1 + 1e-8) + 1e-12).all())
