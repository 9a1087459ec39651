"""Metrics against scikit-learn and, where they are installed, torchmetrics and netcal (away from 0 and 1)."""

import numpy as np
import pytest
import torch

from linnet.ensemble import auroc, brier, classwise_ece, ece, nll

GENERATOR = np.random.default_rng(0)
PROBS = GENERATOR.dirichlet(np.ones(5), size=400)
LABELS = GENERATOR.integers(5, size=400)


def test_nll_and_brier_are_scikit_learns():
    metrics = pytest.importorskip("sklearn.metrics")
    assert nll(PROBS, LABELS) == pytest.approx(metrics.log_loss(LABELS, PROBS, labels=range(5)), abs=1e-12)
    two = PROBS[:, :2] / PROBS[:, :2].sum(axis=1, keepdims=True)
    ones = metrics.brier_score_loss(LABELS % 2, two[:, 1])  # of one class: half of the sum over both
    assert brier(two, LABELS % 2) == pytest.approx(2 * ones, abs=1e-12)


def test_auroc_is_scikit_learns_with_ties():
    metrics = pytest.importorskip("sklearn.metrics")
    inside, outside = GENERATOR.integers(9, size=100), GENERATOR.integers(3, 12, size=70)
    truth = np.repeat([0, 1], [100, 70])
    expected = metrics.roc_auc_score(truth, np.concatenate([inside, outside]))
    assert auroc(inside, outside) == pytest.approx(expected, abs=1e-12)


def test_ece_is_torchmetrics():
    functional = pytest.importorskip("torchmetrics.functional.classification")
    expected = functional.multiclass_calibration_error(
        torch.tensor(PROBS), torch.tensor(LABELS), num_classes=5, n_bins=15, norm="l1"
    )
    assert ece(PROBS, LABELS) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_ece_is_netcals():
    metrics = pytest.importorskip("netcal.metrics", exc_type=ImportError)
    assert ece(PROBS, LABELS) == pytest.approx(float(metrics.ECE(15).measure(PROBS, LABELS)), abs=1e-6)


def test_class_by_class_it_is_the_mean_of_binary_ones():
    functional = pytest.importorskip("torchmetrics.functional.classification")
    each = [
        functional.binary_calibration_error(
            torch.tensor(PROBS[:, c]), torch.tensor((c == LABELS).astype(int)), n_bins=15, norm="l1"
        )
        for c in range(5)
    ]
    assert classwise_ece(PROBS, LABELS) == pytest.approx(float(sum(each)) / 5, abs=1e-6)
