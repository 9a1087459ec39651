"""Laws of uncertainty and of the metrics, for random members, labels and orders."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnet.ensemble import (
    ClassPrediction,
    Conformal,
    aurc,
    auroc,
    brier,
    classwise_ece,
    e_aurc,
    ece,
    ece_debiased,
    fpr95,
    nll,
)


@st.composite
def member_logits(draw):
    members, samples, classes = draw(st.integers(1, 5)), draw(st.integers(1, 8)), draw(st.integers(2, 6))
    scale = draw(st.sampled_from([0.0, 1e-6, 1.0, 30.0, 1e4]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    return torch.randn(members, samples, classes, generator=generator, dtype=torch.float64) * scale


@st.composite
def answered(draw):
    """Probabilities on a coarse grid, so that confidences tie and reach 0 and 1, and labels."""
    samples, classes = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    weights = np.array(draw(st.lists(st.integers(0, 3), min_size=samples * classes, max_size=samples * classes)))
    weights = weights.reshape(samples, classes).astype(float)
    weights[weights.sum(axis=1) == 0, 0] = 1
    labels = np.array(draw(st.lists(st.integers(0, classes - 1), min_size=samples, max_size=samples)))
    return weights / weights.sum(axis=1, keepdims=True), labels


@given(member_logits())
@settings(deadline=None)
def test_uncertainty_is_divided_into_its_two_kinds(logits):
    out = ClassPrediction(logits)
    assert float((out.aleatoric + out.epistemic - out.entropy).abs().max()) <= 1e-12
    assert float(out.aleatoric.min()) >= 0
    assert float((out.aleatoric - out.entropy).max()) <= 1e-12
    assert float(out.entropy.max()) <= math.log(logits.shape[2]) + 1e-12
    assert float((out.disagreement - 0.5).abs().max()) <= 0.5


@given(answered(), st.randoms(use_true_random=False))
@settings(deadline=None)
def test_no_metric_depends_on_the_order_of_the_samples(pair, random):
    probs, labels = pair
    order = list(range(len(labels)))
    random.shuffle(order)
    for metric in (nll, brier, ece, ece_debiased, classwise_ece, aurc, e_aurc):
        assert math.isclose(metric(probs, labels), metric(probs[order], labels[order]), abs_tol=1e-9), metric
    scores = probs.max(axis=1)
    for metric in (auroc, fpr95):
        assert metric(scores, scores[::-1] ** 2) == metric(scores[order], scores**2)


@given(answered(), st.integers(1, 20))
@settings(deadline=None)
def test_every_metric_stays_in_its_range(pair, bins):
    probs, labels = pair
    for metric in (ece, ece_debiased, classwise_ece):
        assert 0 <= metric(probs, labels, bins=bins) <= 1
    assert 0 <= brier(probs, labels) <= 2
    assert 0 <= nll(probs, labels) < 710
    assert -1e-12 <= e_aurc(probs, labels) <= aurc(probs, labels) <= 1


@given(
    st.integers(0, 2**31), st.sampled_from([0.05, 0.1, 0.3]), st.sampled_from(["lac", "aps", "raps"]), st.integers(2, 6)
)
@settings(deadline=None, max_examples=30)
def test_sets_of_exchangeable_data_cover_the_true_class(seed, alpha, method, classes):
    generator = np.random.default_rng(seed)
    n, new = 400, 2000
    probs = generator.dirichlet(np.full(classes, 0.7), size=n + new)
    labels = (probs.cumsum(axis=1) < generator.random((n + new, 1))).sum(axis=1).clip(max=classes - 1)
    found = Conformal.fit(probs[:n], labels[:n], alpha, method, rng_seed=seed % 1000)
    share, _ = found.coverage(probs[n:], labels[n:])
    # Coverage given one calibration set is a Beta variable; the new samples add their binomial spread.
    assert share >= 1 - alpha - 4.5 * math.sqrt(alpha * (1 - alpha) * (1 / n + 1 / new))
