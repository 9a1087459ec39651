"""Damped solves, Kronecker products and spectra of random matrices equal their dense definitions, in float64."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnet.core.linalg.lanczos import ritz_pairs
from tests.dense_solvers import damped_least_squares, kronecker_product, kronecker_solve, solve
from tests.trace_estimators import hutch_plus_plus, hutchinson, quadrature

SIZES = st.integers(1, 7)
DAMPINGS = st.sampled_from([0.0, 1e-6, 1e-2, 1.0, 100.0])
SEEDS = st.integers(0, 2**16)
laws = settings(max_examples=30, deadline=None)


def drawn(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def positive(seed, size, rank):
    """A positive semi-definite matrix with eigenvalues between 0.5 and 2 on its range."""
    basis = torch.linalg.qr(drawn(seed, size, size)).Q[:, :rank]
    values = torch.linspace(0.5, 2.0, rank, dtype=torch.float64)
    return (basis * values) @ basis.T


def assert_close(found, expected, bound=1e-10):
    """max |a - b| <= bound * max(1, max |b|)."""
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= bound * max(1.0, float(expected.abs().max()))


@laws
@given(outputs=SIZES, inputs=SIZES, ranks=st.tuples(SIZES, SIZES), damping=DAMPINGS, seed=SEEDS)
def test_kronecker_products_and_solves_are_dense_ones(outputs, inputs, ranks, damping, seed):
    g, a = positive(seed, outputs, min(outputs, ranks[0])), positive(seed + 1, inputs, min(inputs, ranks[1]))
    v = drawn(seed + 2, outputs, inputs)
    dense = torch.kron(g, a)
    assert_close(kronecker_product(g, a, v), (dense @ v.flatten()).reshape(v.shape))
    if damping:
        expected = torch.linalg.solve(dense + damping * torch.eye(len(dense), dtype=torch.float64), v.flatten())
        # the condition of the damped matrix, up to 4e6, is what both solutions may lose
        assert_close(kronecker_solve(a, g, v, damping=damping), expected.reshape(v.shape), 1e-8)
    else:
        expected = torch.linalg.pinv(dense, hermitian=True, rtol=1e-10) @ v.flatten()
        assert_close(kronecker_solve(a, g, v, damping=0.0), expected.reshape(v.shape))


@laws
@given(rows=SIZES, columns=SIZES, damping=DAMPINGS, samples=st.integers(1, 9), seed=SEEDS)
def test_least_squares_are_the_same_from_both_sides(rows, columns, damping, samples, seed):
    jacobian, v = drawn(seed, rows, columns), drawn(seed + 1, rows)
    found = damped_least_squares(jacobian, v, damping=damping, samples=samples)
    gram = jacobian.T @ jacobian / samples
    if damping:
        dense = torch.linalg.solve(gram + damping * torch.eye(columns, dtype=torch.float64), jacobian.T @ v)
        assert_close(found, dense, 1e-7)
        assert_close(solve(gram, jacobian.T @ v, damping=damping), dense, 1e-7)
    elif torch.linalg.svdvals(jacobian).min() > 0.1:  # well away from a lower rank
        assert_close(found, samples * torch.linalg.pinv(jacobian) @ v, 1e-8)


@laws
@given(size=st.integers(2, 9), rank=st.integers(1, 9), seed=SEEDS)
def test_lanczos_finds_the_spectrum_after_rank_steps(size, rank, seed):
    matrix = positive(seed, size, min(size, rank))
    found = ritz_pairs(matrix, steps=size, rng_seed=seed)
    exact = torch.linalg.eigvalsh(matrix)
    nearest = (found.values[:, None] - exact).abs().min(1).values
    assert float(nearest.max()) <= 1e-8
    assert float((nearest - found.residuals).max()) <= 1e-10
    assert abs(float(found.weights.sum()) - 1) <= 1e-12
    assert abs(float(found.values[-1] - exact[-1])) <= 1e-8


@laws
@given(size=st.integers(20, 30), rank=st.integers(1, 3), seed=SEEDS)  # large enough for three independent sign vectors
def test_trace_estimators_have_their_exact_cases(size, rank, seed):
    diagonal = torch.diag(drawn(seed, size))
    assert abs(hutchinson(diagonal, probes=2, rng_seed=seed).value - float(diagonal.trace())) <= 1e-10
    low = positive(seed, size, min(rank, size))
    found = hutch_plus_plus(low, products=9, rng_seed=seed)
    assert abs(found.value - float(low.trace())) <= 1e-8
    rule = quadrature(low, steps=size, probes=2, rng_seed=seed)
    assert abs(rule.trace(torch.ones_like).value - size) <= 1e-10
