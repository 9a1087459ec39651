"""Pooled probabilities, both kinds of uncertainty, disagreement: against loops in plain Python."""

import math

import pytest
import torch

from linnet.ensemble import ClassPrediction
from linnet.errors import InputError


def entropy(p):
    return -sum(q * math.log(q) for q in p if q > 0)


@pytest.fixture
def logits():
    return torch.randn(4, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3


def test_every_output_is_that_of_a_plain_loop(logits):
    out = ClassPrediction(logits)
    for n in range(7):
        members = [[math.exp(z) for z in logits[m, n].tolist()] for m in range(4)]
        members = [[e / sum(row) for e in row] for row in members]
        pooled = [sum(row[c] for row in members) / 4 for c in range(5)]
        answers = [row.index(max(row)) for row in members]
        pairs = [(i, j) for i in range(4) for j in range(i)]
        assert out.probs[n].tolist() == pytest.approx(pooled, abs=1e-14)
        assert out.member_probs[:, n].tolist() == [pytest.approx(row, abs=1e-14) for row in members]
        assert float(out.entropy[n]) == pytest.approx(entropy(pooled), abs=1e-13)
        assert float(out.aleatoric[n]) == pytest.approx(sum(map(entropy, members)) / 4, abs=1e-13)
        assert float(out.disagreement[n]) == pytest.approx(sum(answers[i] != answers[j] for i, j in pairs) / 6)
    assert out.sets is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0, 1e4])
def test_entropy_is_aleatoric_plus_epistemic(logits, dtype, scale):
    out = ClassPrediction((logits * scale).to(dtype), temperature=1.7)
    assert float((out.entropy - out.aleatoric - out.epistemic).abs().max()) <= 1e-12
    assert float(out.epistemic.min()) >= -1e-12
    assert float(out.aleatoric.min()) >= 0
    assert float(out.entropy.max()) <= math.log(5) + 1e-12


def test_a_probability_that_underflows_has_entropy_and_a_gradient():
    logits = torch.tensor([[[0.0, -2000.0, -math.inf]]], dtype=torch.float64)
    out = ClassPrediction(logits)
    assert float(out.entropy) == 0.0
    assert float(out.log_pooled[0, 1]) == -2000.0
    finite = torch.zeros(2, 3, 4, dtype=torch.float64, requires_grad=True)
    ClassPrediction(finite).epistemic.sum().backward()
    assert finite.grad is not None
    assert bool(torch.isfinite(finite.grad).all())


def test_gradients_are_those_of_finite_differences(logits):
    def everything(z):
        out = ClassPrediction(z, temperature=0.8)
        return out.probs, out.entropy, out.aleatoric, out.epistemic

    assert torch.autograd.gradcheck(everything, (logits[:2, :2, :3].clone().requires_grad_(),))


def test_the_temperature_changes_probabilities_only(logits):
    plain, tempered = ClassPrediction(logits), ClassPrediction(logits, temperature=2.0)
    assert torch.equal(plain.pooled, plain.probs)
    assert torch.equal(plain.pooled, tempered.pooled)
    assert torch.equal(plain.entropy, tempered.entropy)
    assert torch.allclose(tempered.probs, (plain.pooled**0.5) / (plain.pooled**0.5).sum(1, keepdim=True), atol=1e-14)
    assert torch.equal(plain.probs.argmax(1), tempered.probs.argmax(1))


def test_dense_predictions_are_those_of_each_pixel(logits):
    dense = ClassPrediction(logits.permute(0, 2, 1).reshape(4, 1, 5, 7, 1))
    flat = ClassPrediction(logits)
    assert dense.probs.shape == (1, 5, 7, 1)
    assert torch.allclose(dense.probs[0, :, :, 0].T, flat.probs, atol=1e-15)
    for name in ("entropy", "aleatoric", "epistemic", "disagreement"):
        assert torch.allclose(getattr(dense, name)[0, :, 0], getattr(flat, name), atol=1e-15)


def test_one_member_has_no_epistemic_uncertainty(logits):
    out = ClassPrediction(logits[:1])
    assert float(out.epistemic.abs().max()) <= 1e-15
    assert float(out.disagreement.abs().max()) == 0


@pytest.mark.parametrize(
    ("shape", "dtype", "said"),
    [
        ((3, 4), torch.float32, r"`member_logits`.*\(3, 4\)"),
        ((0, 3, 4), torch.float32, "`member_logits`"),
        ((2, 3, 4), torch.int64, "int64"),
        ((2, 3, 1), torch.float32, "at least 2 classes"),
    ],
)
def test_what_cannot_be_logits_is_refused(shape, dtype, said):
    with pytest.raises(InputError, match=said):
        ClassPrediction(torch.zeros(shape, dtype=dtype))
