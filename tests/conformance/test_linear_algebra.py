"""Lanczos, traces and damped solves against scipy and curvlinops, float64."""

import warnings

import numpy as np
import pytest
import torch

from linnet.core.linalg.lanczos import ritz_pairs
from tests.dense_solvers import kronecker_solve, solve
from tests.trace_estimators import hutch_plus_plus, hutchinson, quadrature

F64 = torch.float64


@pytest.fixture
def matrix():
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(80, 80, dtype=F64, generator=generator)
    return root @ root.T / 80


def test_extreme_ritz_values_are_those_of_scipy(matrix):
    sparse = pytest.importorskip("scipy.sparse.linalg", reason="scipy isn't installed")
    theirs = np.sort(sparse.eigsh(matrix.numpy(), k=3, which="LA", return_eigenvectors=False))
    assert ritz_pairs(matrix, steps=60).values[-3:].numpy() == pytest.approx(theirs, rel=1e-10)


def test_solves_are_those_of_scipy(matrix):
    linalg = pytest.importorskip("scipy.linalg", reason="scipy isn't installed")
    right = np.linspace(-1, 1, 80)
    theirs = linalg.solve(matrix.numpy() + 0.1 * np.eye(80), right, assume_a="pos")
    assert solve(matrix, torch.from_numpy(right), damping=0.1).numpy() == pytest.approx(theirs, rel=1e-10)
    theirs = linalg.pinvh(matrix.numpy()[:5, :5]) @ right[:5]
    assert solve(matrix[:5, :5], torch.from_numpy(right[:5]), damping=0.0).numpy() == pytest.approx(theirs, rel=1e-9)
    dense = np.kron(matrix.numpy()[:3, :3], matrix.numpy()[:4, :4]) + 0.2 * np.eye(12)
    theirs = linalg.solve(dense, right[:12]).reshape(3, 4)
    v = torch.from_numpy(right[:12].reshape(3, 4))
    assert kronecker_solve(matrix[:4, :4], matrix[:3, :3], v, damping=0.2).numpy() == pytest.approx(theirs, rel=1e-10)


def test_traces_agree_with_curvlinops_within_their_errors(matrix):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("curvlinops", reason="curvlinops-for-pytorch isn't installed")
        from curvlinops import hutchinson_trace, hutchpp_trace
    torch.manual_seed(0)
    theirs = float(hutchinson_trace(matrix, num_matvecs=60))
    ours = hutchinson(matrix, probes=60)
    assert abs(theirs - ours.value) < 5 * ours.standard_error
    theirs = float(hutchpp_trace(matrix, num_matvecs=60))
    ours = hutch_plus_plus(matrix, products=60)
    assert abs(theirs - ours.value) < 5 * ours.standard_error


def test_a_spectral_sum_agrees_with_the_dense_spectrum(matrix):
    estimate = quadrature(matrix, steps=20, probes=20).trace(lambda x: (-x).exp())
    truth = float((-torch.linalg.eigvalsh(matrix)).exp().sum())
    assert abs(estimate.value - truth) < 4 * estimate.standard_error
    assert estimate.standard_error < 0.05 * truth
