"""Measures of an ensemble's answers beside torch-uncertainty's, on the same predictions.

Its AURC is the trapezoid rule over shares 1/N .. 1, divided by 1 - 1/N; ours is the mean over all N shares. Both are
read off the same curve, so that the one is computed from the other.
"""

import warnings

import numpy as np
import pytest
import torch

from linnet.ensemble import ClassPrediction, aurc, auroc, brier, classwise_ece, ece, fpr95, nll, rejection_curve

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its own imports
    theirs = pytest.importorskip(
        "torch_uncertainty.metrics.classification",
        reason="torch-uncertainty isn't installed (it needs lightning, torchvision and seaborn)",
        exc_type=ImportError,
    )

MEMBERS, SAMPLES, CLASSES = 5, 700, 6


@pytest.fixture(scope="module")
def answers():
    generator = torch.Generator().manual_seed(0)
    logits = 1.5 * torch.randn(MEMBERS, SAMPLES, CLASSES, generator=generator, dtype=torch.float64)
    logits += 2 * torch.randn(SAMPLES, CLASSES, generator=generator, dtype=torch.float64)
    out = ClassPrediction(logits)
    chosen = torch.multinomial(out.probs, 1, generator=generator).squeeze(1)
    guessed = torch.randint(CLASSES, (SAMPLES,), generator=generator)
    labels = torch.where(torch.rand(SAMPLES, generator=generator) < 0.7, chosen, guessed)
    return out, labels


def measured(metric, *given):
    metric.update(*given)
    return float(metric.compute())


def test_likelihood_and_brier_score(answers):
    out, labels = answers
    assert measured(theirs.CategoricalNLL(), out.probs, labels) == pytest.approx(nll(out.probs, labels), rel=1e-6)
    assert measured(theirs.BrierScore(CLASSES), out.probs, labels) == pytest.approx(brier(out.probs, labels), rel=1e-6)


@pytest.mark.parametrize("bins", [10, 15])
def test_calibration_errors(answers, bins):
    out, labels = answers
    top = theirs.CalibrationError("multiclass", num_bins=bins, num_classes=CLASSES)
    assert measured(top, out.probs, labels) == pytest.approx(ece(out.probs, labels, bins), rel=1e-5)
    each = theirs.ClasswiseCalibrationError(CLASSES, num_bins=bins)
    assert measured(each, out.probs, labels) == pytest.approx(classwise_ece(out.probs, labels, bins), rel=1e-5)


def test_rejection_curve_and_its_area(answers):
    out, labels = answers
    curve = rejection_curve(out.probs, labels)
    trapezoid = float(np.trapezoid(curve.error, curve.kept)) / (1 - 1 / SAMPLES)
    assert measured(theirs.AURC(), out.probs, labels) == pytest.approx(trapezoid, rel=1e-5)
    assert trapezoid == pytest.approx(aurc(out.probs, labels), abs=1 / SAMPLES)


def test_entropy_mutual_information_and_disagreement(answers):
    out, _ = answers
    by_sample = out.member_probs.transpose(0, 1)
    assert measured(theirs.Entropy(), out.pooled) == pytest.approx(float(out.entropy.mean()), rel=1e-6)
    assert measured(theirs.MutualInformation(), by_sample) == pytest.approx(float(out.epistemic.mean()), rel=1e-5)
    assert measured(theirs.Disagreement(), by_sample) == pytest.approx(float(out.disagreement.mean()), rel=1e-6)


def test_detection_of_other_inputs(answers):
    out, _ = answers
    inside, outside = out.entropy, out.entropy.flip(0) * 0.7 + 0.5
    scores, truth = torch.cat([inside, outside]), torch.cat([torch.zeros(SAMPLES), torch.ones(SAMPLES)]).long()
    assert measured(theirs.FPR95(pos_label=1), scores, truth) == pytest.approx(fpr95(inside, outside), abs=2 / SAMPLES)
    assert 0.5 < auroc(inside, outside) < 1
