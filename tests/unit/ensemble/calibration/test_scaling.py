"""One temperature for the pool: against SciPy's minimiser, without a change of decision; every refusal."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import nn

from linnet.ensemble import ClassPrediction, ValuePrediction, calibrate
from linnet.ensemble.calibration.scaling import fit_temperature, fit_variance, gaussian_nll, newton_inverse_temperature
from linnet.errors import InputError


def sampled_logits(samples=400, sharpness=3.0, members=3, seed=0):
    """Members whose logits are too sharp by a known factor, and labels drawn from the true probabilities."""
    generator = torch.Generator().manual_seed(seed)
    true = torch.randn(samples, 4, generator=generator, dtype=torch.float64)
    labels = torch.multinomial(true.softmax(1), 1, generator=generator)[:, 0]
    noise = 0.1 * torch.randn(members, samples, 4, generator=generator, dtype=torch.float64)
    return (true + noise) * sharpness, labels


def pooled_nll(logits, labels, temperature):
    out = ClassPrediction(logits, temperature=temperature)
    return -float(out.log_probs[torch.arange(len(labels)), labels].mean())


def test_the_temperature_minimises_the_likelihood_of_the_pool():
    logits, labels = sampled_logits()
    found = fit_temperature(logits, labels)
    best = minimize_scalar(
        lambda b: pooled_nll(logits, labels, 1 / b), bounds=(0.01, 10), method="bounded", options={"xatol": 1e-10}
    )
    assert found.temperature == pytest.approx(1 / best.x, rel=1e-6)
    assert found.nll_after == pytest.approx(pooled_nll(logits, labels, found.temperature), abs=1e-12)
    assert found.nll_before == pytest.approx(pooled_nll(logits, labels, None), abs=1e-12)
    assert found.nll_after < found.nll_before
    assert found.ece_after < found.ece_before
    assert 2 < found.temperature < 4
    before, after = ClassPrediction(logits).probs, ClassPrediction(logits, temperature=found.temperature).probs
    assert torch.equal(before.argmax(1), after.argmax(1))


def test_the_slope_at_the_temperature_is_zero():
    logits, labels = sampled_logits(seed=1)
    z = ClassPrediction(logits).log_pooled
    b = newton_inverse_temperature(z, labels)
    q = (b * z).softmax(1)
    slope = ((q * z).sum(1) - z[torch.arange(len(labels)), labels]).mean()
    assert abs(float(slope)) < 1e-8


def test_a_likelihood_without_temperature_leaves_it_at_one():
    assert (
        newton_inverse_temperature(torch.full((4, 3), -1.0986, dtype=torch.float64), torch.tensor([0, 1, 2, 0])) == 1.0
    )


@pytest.mark.parametrize(("sign", "temperature"), [(1, 1e-3), (-1, 1e3)])
def test_data_that_cannot_bound_it_end_at_the_bracket_with_a_warning(sign, temperature):
    labels = torch.arange(8) % 3
    logits = sign * 0.01 * nn.functional.one_hot(labels, 3).double()[None]
    with pytest.warns(UserWarning, match="end of its range"):
        assert fit_temperature(logits, labels).temperature == pytest.approx(temperature)


def test_dense_predictions_are_calibrated_over_their_pixels():
    logits, labels = sampled_logits()
    dense = logits.reshape(3, 4, 10, 10, 4).movedim(-1, 2)
    flat = fit_temperature(logits, labels)
    found = fit_temperature(dense, labels.reshape(4, 10, 10))
    assert found.temperature == pytest.approx(flat.temperature, rel=1e-9)
    assert found.n == 400


def test_a_model_is_calibrated_from_a_loader_or_from_outputs_at_hand():
    logits, labels = sampled_logits(members=1)
    model = nn.Identity().train()
    from_loader = calibrate(model, [(logits[0, :200], labels[:200]), (logits[0, 200:], labels[200:])])
    assert from_loader == calibrate(model, (logits, labels))
    assert model.training


def test_the_training_set_itself_is_warned_of():
    logits, labels = sampled_logits(members=1)
    loader = [(logits[0], labels)]
    with pytest.warns(UserWarning, match="training set itself"):
        calibrate(nn.Identity(), loader, training=loader)


def test_a_variance_gets_the_factor_of_the_smallest_likelihood():
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(4, 300, generator=generator, dtype=torch.float64)
    truth = 3 * torch.randn(300, generator=generator, dtype=torch.float64)
    found = fit_variance((means, torch.zeros_like(means)), truth)
    out = ValuePrediction(means, torch.zeros_like(means))
    best = minimize_scalar(
        lambda f: gaussian_nll(out.mean, out.variance * f, truth), bounds=(0.1, 50), method="bounded"
    )
    assert found.temperature == pytest.approx(best.x, rel=1e-4)
    assert found.nll_after < found.nll_before
    assert found.ece_before is None
    normal = torch.distributions.Normal(out.mean, out.variance.sqrt())
    assert found.nll_before == pytest.approx(-float(normal.log_prob(truth).mean()), abs=1e-12)


LOGITS, LABELS = sampled_logits(samples=6)


@pytest.mark.parametrize(
    ("logits", "labels", "said"),
    [
        (LOGITS, torch.zeros(6, dtype=torch.int64), "at least 2 classes.*class 0"),
        (LOGITS, LABELS.float(), "whole numbers.*float32"),
        (LOGITS, LABELS + 4, "0 to 3"),
        (LOGITS, LABELS[:5], "6 labels"),
        (LOGITS.softmax(2), LABELS, "must be logits.*probabilities"),
        (LOGITS.softmax(2).half(), LABELS, "must be logits"),
        (LOGITS * float("nan"), LABELS, r"`members\[0\]`"),
        (LOGITS[0], LABELS, r"\(members, samples, classes, ...\)"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(logits, labels, said):
    with pytest.raises(InputError, match=said):
        fit_temperature(logits, labels)


def test_regressions_that_cannot_be_calibrated_are_refused():
    with pytest.raises(InputError, match="variance"):
        fit_variance(torch.zeros(1, 5), torch.zeros(5))
    with pytest.raises(InputError, match="`targets`"):
        fit_variance(torch.randn(2, 5, generator=torch.Generator().manual_seed(0)), np.zeros(4))
    with pytest.raises(InputError, match="targets"):
        calibrate(nn.Identity(), [LOGITS[0]])
    with pytest.raises(InputError, match="at least one batch"):
        calibrate(nn.Identity(), [])
