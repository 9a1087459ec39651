"""Lanczos, quadrature and trace estimators: each exact case, and the errors they report."""

import pytest
import torch

from linnet.core.linalg import lanczos
from linnet.core.linalg.estimate import Estimate
from linnet.core.linalg.implicit_matrix import ImplicitMatrix
from linnet.core.linalg.lanczos import gauss_rule, ritz_pairs
from linnet.errors import InputError
from tests.trace_estimators import hutch_plus_plus, hutchinson, quadrature

F64 = torch.float64


def symmetric(n, rank=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n, rank or n, dtype=F64, generator=generator)
    return root @ torch.diag(torch.randn(rank or n, dtype=F64, generator=generator)) @ root.T


def test_lanczos_is_exact_after_all_steps():
    matrix = symmetric(30)
    found = ritz_pairs(matrix, steps=30)
    values, vectors = torch.linalg.eigh(matrix)
    assert torch.allclose(found.values, values, atol=1e-10 * float(values.abs().max()))
    assert torch.allclose((found.vectors * vectors).sum(0).abs(), torch.ones(30, dtype=F64), atol=1e-7)
    assert torch.allclose(found.vectors.T @ found.vectors, torch.eye(30, dtype=F64), atol=1e-12)


def test_lanczos_stops_when_the_space_is_exhausted():
    matrix = symmetric(40, rank=5)
    found = ritz_pairs(matrix, steps=40)
    assert len(found.values) == 6  # five directions and the part of the start in the null space
    inside = ritz_pairs(matrix, steps=40, start=matrix @ torch.ones(40, dtype=F64))
    assert len(inside.values) == 5
    values = torch.linalg.eigvalsh(matrix)
    largest = values[values.abs().argsort()[-5:]].sort().values
    assert torch.allclose(inside.values, largest, atol=1e-10 * float(values.abs().max()))
    assert float(inside.residuals.max()) <= 1e-10


def test_residuals_bound_the_distance_to_an_eigenvalue():
    matrix = symmetric(60, seed=1)
    found = ritz_pairs(matrix, steps=15)
    values = torch.linalg.eigvalsh(matrix)
    distance = (found.values.unsqueeze(1) - values).abs().amin(1)
    scale = float(values.abs().max())
    assert bool((distance <= found.residuals + 1e-12 * scale).all())
    defect = (matrix @ found.vectors - found.vectors * found.values).norm(dim=0)
    assert torch.allclose(defect, found.residuals, atol=1e-10 * scale)


def test_a_clustered_spectrum_stays_orthogonal():
    # without re-orthogonalisation the largest value is found again and again ("ghosts")
    values = torch.cat([torch.logspace(-8, 0, 99, dtype=F64), torch.tensor([100.0], dtype=F64)])
    found = ritz_pairs(values.diag(), steps=60)
    assert float((found.vectors.T @ found.vectors - torch.eye(len(found.values), dtype=F64)).abs().max()) < 1e-12
    assert int((found.values > 50).sum()) == 1


@pytest.mark.parametrize("kept", [0, 10**9])
def test_a_gauss_rule_integrates_functions_of_a_matrix_with_far_eigenvalues(kept, monkeypatch):
    monkeypatch.setattr(lanczos, "_KEPT", kept)
    values = torch.cat([torch.logspace(-8, 0, 290, dtype=F64), torch.linspace(20, 100, 10, dtype=F64)])
    vectors = torch.linalg.qr(torch.randn(300, 300, dtype=F64)).Q
    start = torch.randn(300, dtype=F64)
    nodes, weights = gauss_rule(ImplicitMatrix.of((vectors * values) @ vectors.T, size=None, dtype=F64), start, 60)
    shares = (vectors.T @ (start / start.norm())).square()
    assert len(nodes) == 60
    assert float(weights.sum()) == pytest.approx(1, abs=1e-12)
    for phi in (
        torch.ones_like,
        torch.square,
        torch.exp,
        lambda v: (v + 0.1).log(),
        lambda v: torch.exp(-((v - 0.5) ** 2)),
    ):
        exact, scale = float(shares @ phi(values)), float(shares @ phi(values).abs())
        assert float(weights @ phi(nodes)) == pytest.approx(exact, abs=1e-6 * scale)


def test_vectors_of_a_large_gauss_rule_lose_their_orthogonality_and_its_converged_nodes_appear_again(monkeypatch):
    monkeypatch.setattr(lanczos, "_KEPT", 0)
    values = torch.cat([torch.logspace(-8, 0, 99, dtype=F64), torch.tensor([100.0], dtype=F64)])
    start = torch.randn(100, dtype=F64)
    nodes, weights = gauss_rule(ImplicitMatrix.of(values.diag(), size=None, dtype=F64), start, 60)
    assert int((nodes > 50).sum()) > 1
    assert float(weights[nodes > 50].sum()) == pytest.approx(float((start[-1] / start.norm()) ** 2), rel=1e-10)


def test_a_gauss_rule_leaves_what_the_function_gives_as_it_is(monkeypatch):
    monkeypatch.setattr(lanczos, "_KEPT", 0)
    nodes, weights = gauss_rule(ImplicitMatrix.of(lambda v: v, size=5, dtype=F64), torch.ones(5, dtype=F64), 3)
    assert nodes.tolist() == pytest.approx([1.0])
    assert weights.tolist() == pytest.approx([1.0])


def test_a_function_is_as_good_as_a_matrix():
    matrix = symmetric(12, seed=2)
    start = torch.ones(12, dtype=F64)
    direct = ritz_pairs(matrix, steps=5, start=start)
    product = ritz_pairs(lambda v: matrix @ v, steps=5, start=start)
    assert torch.allclose(direct.values, product.values, rtol=1e-12)
    for estimate in (hutchinson, hutch_plus_plus):
        option = {"probes": 9} if estimate is hutchinson else {"products": 9}
        ours = estimate(matrix, rng_seed=3, **option)
        theirs = estimate(lambda v: matrix @ v, size=12, rng_seed=3, **option)
        assert ours.value == pytest.approx(theirs.value, rel=1e-12)
        assert ours.standard_error == pytest.approx(theirs.standard_error, rel=1e-9)


def test_quadrature_weights_sum_to_one_and_integrate_polynomials():
    matrix = symmetric(20, seed=4)
    rules = quadrature(matrix, steps=6, probes=5)
    for weights in rules.weights:
        assert float(weights.sum()) == pytest.approx(1.0, abs=1e-12)
    ones = rules.trace(torch.ones_like)
    assert ones.value == pytest.approx(20.0, rel=1e-12)
    assert ones.standard_error == pytest.approx(0.0, abs=1e-11)
    linear, plain = rules.trace(lambda x: x), hutchinson(matrix, probes=5, rng_seed=0)
    assert linear.value == pytest.approx(
        plain.value, rel=1e-10
    )  # k steps are exact to degree 2k - 1 for the same probes
    assert linear.standard_error == pytest.approx(plain.standard_error, rel=1e-8)


def test_quadrature_of_a_diagonal_matrix_gives_every_trace_of_x():
    diagonal = torch.arange(1.0, 9.0, dtype=F64)
    rules = quadrature(diagonal.diag(), steps=8, probes=3)
    assert rules.trace(lambda x: x).value == pytest.approx(36.0, rel=1e-12)
    assert rules.trace(torch.log).value == pytest.approx(float(diagonal.log().sum()), rel=1e-10)


def test_hutchinson_is_exact_for_diagonal_matrices():
    estimate = hutchinson(torch.diag(torch.arange(5.0, dtype=F64)), probes=2)
    assert estimate == Estimate(10.0, 0.0, 2)


def test_hutch_plus_plus_is_exact_for_low_rank():
    matrix = symmetric(50, rank=4, seed=5)
    estimate = hutch_plus_plus(matrix, products=12)
    scale = float(matrix.abs().max())
    assert estimate.value == pytest.approx(float(matrix.trace()), abs=1e-10 * scale)
    assert estimate.standard_error < 1e-10 * scale
    assert hutchinson(matrix, probes=12).standard_error > 1e-3 * scale


def test_the_standard_error_covers_the_truth():
    matrix = symmetric(40, seed=6)
    truth = float(matrix.trace())
    for estimate in (
        lambda seed: hutchinson(matrix, probes=30, rng_seed=seed),
        lambda seed: hutch_plus_plus(matrix, products=30, rng_seed=seed),
    ):
        inside = [abs(e.value - truth) <= 2 * e.standard_error for e in map(estimate, range(60))]
        assert sum(inside) >= 48  # 2 standard errors of a t-like estimate: about 93 % of 60, four deviations below


def test_a_seed_gives_the_same_numbers_and_leaves_the_global_state_alone():
    matrix = symmetric(10)
    state = torch.get_rng_state()
    assert hutchinson(matrix, probes=3, rng_seed=1) == hutchinson(matrix, probes=3, rng_seed=1)
    assert hutchinson(matrix, probes=3, rng_seed=1) != hutchinson(matrix, probes=3, rng_seed=2)
    assert torch.equal(ritz_pairs(matrix, steps=3).values, ritz_pairs(matrix, steps=3).values)
    assert torch.equal(state, torch.get_rng_state())


def test_bad_input_says_what_is_needed():
    eye = torch.eye(3)
    cases = [
        (lambda: ritz_pairs(eye, steps=0), "`steps`.*0"),
        (lambda: ritz_pairs(eye, steps=2, start=torch.zeros(3)), r"`start`.*\b0\b"),
        (lambda: ritz_pairs(eye, steps=2, start=torch.ones(2)), r"`start`.*\(2,\)"),
        (lambda: ritz_pairs(lambda v: v, steps=2), "`size`"),
        (lambda: ritz_pairs(lambda v: v[:1], steps=2, size=3), r"product.*\(1,\)"),
        (lambda: ritz_pairs(lambda v: v * float("nan"), steps=2, size=3), "NaN"),
        (lambda: ritz_pairs(torch.ones(2, 3), steps=2), r"matrix.*\(2, 3\)"),
        (lambda: hutchinson(eye, probes=1), "`probes`"),
        (lambda: hutch_plus_plus(eye, products=5), "`products`"),
        (lambda: quadrature(eye, steps=1, probes=1), "`probes`"),
    ]
    for call, words in cases:
        with pytest.raises(InputError, match=words):
            call()
