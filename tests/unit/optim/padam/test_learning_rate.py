import pytest
import torch

from linnet.errors import InputError
from linnet.optim import Padam, padam_lr


def first_step(p, lr, gradient):
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    x.grad = torch.full_like(x, gradient)
    Padam([x], lr=lr, p=p, eps=0.0, bias_correction="power").step()
    return -x.detach()


def test_by_hand():
    assert padam_lr(0.04, 0.5, 0.25, 0.01) == pytest.approx(0.4)
    assert padam_lr(0.04, 0.5, 0.0, 0.01) == pytest.approx(4.0)
    assert padam_lr(0.3, 0.125, 0.125, 0.01) == 0.3


@pytest.mark.parametrize("p", [0.0, 1 / 16, 1 / 8, 1 / 4, 0.4, 0.5])
def test_steps_of_the_typical_gradient_keep_their_size(p):
    expected = first_step(0.5, 0.003, 0.02)
    torch.testing.assert_close(first_step(p, padam_lr(0.003, 0.5, p, 0.02), 0.02), expected, rtol=1e-12, atol=0)


def test_there_and_back_and_by_way_of_another_p():
    there = padam_lr(0.003, 0.5, 0.1, 0.02)
    assert padam_lr(there, 0.1, 0.5, 0.02) == pytest.approx(0.003)
    assert padam_lr(padam_lr(0.003, 0.5, 0.3, 0.02), 0.3, 0.1, 0.02) == pytest.approx(there)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((0.1, 0.6, 0.1, 0.01), "`p_ref`"),
        ((0.1, 0.5, -0.1, 0.01), "`p`"),
        ((0.0, 0.5, 0.1, 0.01), "`lr_ref`"),
        ((0.1, 0.5, 0.1, float("inf")), "`gradient_scale`"),
    ],
)
def test_bad_values_are_refused(arguments, said):
    with pytest.raises(InputError, match=said):
        padam_lr(*arguments)
