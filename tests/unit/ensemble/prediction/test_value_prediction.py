"""Mean and variance of a regression's ensemble, counted by hand."""

import pytest
import torch

from linnet.ensemble import ValuePrediction
from linnet.errors import InputError


def test_the_total_variance_is_the_mean_of_variances_plus_the_variance_of_means():
    means = torch.tensor([[1.0, 4.0], [3.0, 4.0]])
    out = ValuePrediction(means, torch.tensor([[0.5, 1.0], [1.5, 3.0]]).log())
    assert out.mean.tolist() == [2.0, 4.0]
    assert out.aleatoric.tolist() == pytest.approx([1.0, 2.0], rel=1e-6)
    assert out.epistemic.tolist() == [1.0, 0.0]
    assert out.variance.tolist() == pytest.approx([2.0, 2.0], rel=1e-6)
    assert ValuePrediction(means, None, factor=3.0).variance.tolist() == [3.0, 0.0]


def test_members_without_variances_have_no_aleatoric_part_and_gradients_flow():
    means = torch.randn(3, 5, 2, requires_grad=True, generator=torch.Generator().manual_seed(0))
    out = ValuePrediction(means)
    assert float(out.aleatoric.abs().max()) == 0
    out.variance.sum().backward()
    assert means.grad is not None
    # d/d mu_m of mean_m (mu_m - mean)^2 is 2 (mu_m - mean) / M
    expected = 2 * (means.detach() - means.detach().mean(0)) / 3
    assert torch.allclose(means.grad, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("means", "log_variances", "said"),
    [
        (torch.zeros(3), None, "`member_means`"),
        (torch.zeros(2, 3, dtype=torch.int64), None, "int64"),
        (torch.zeros(2, 3), torch.zeros(2, 4), r"`member_log_variances`.*\(2, 4\)"),
    ],
)
def test_what_has_no_mean_or_variance_is_refused(means, log_variances, said):
    with pytest.raises(InputError, match=said):
        ValuePrediction(means, log_variances)
