import math

import pytest
import torch

from linnet.errors import InputError
from linnet.nuclei.training.loss import ProximityLoss


def batch(height, *, weight=1.0, offset=0.0):
    height = torch.as_tensor(height, dtype=torch.float64).reshape(1, 1, 1, -1)
    n = height.shape[-1]
    return {
        "map": height,
        "offset": torch.full((1, 2, 1, n), float(offset), dtype=torch.float64),
        "weight": torch.as_tensor(weight, dtype=torch.float64).expand(n).reshape(1, 1, 1, n).clone(),
    }


def output(logits, *, offset=None):
    logits = torch.tensor(logits, dtype=torch.float64).reshape(1, 1, 1, -1)
    if offset is None:
        return logits
    return torch.cat([logits, torch.full((1, 2, 1, logits.shape[-1]), float(offset), dtype=torch.float64)], 1)


def test_the_squared_form_by_hand():
    loss = ProximityLoss("squared", beta=3.0, scale=2.0, floor=0.1)
    value, parts = loss(output([0.0, 0.0]), batch([1.0, 0.0]))
    # mean(M) = 1/2; prices 3 + 1 and 1; errors 1/2 and 1/2.
    assert value.item() == pytest.approx((4 * 0.125 + 1 * 0.125) / 2)
    assert parts.keys() == {"map"}
    assert parts["map"] == value
    assert not parts["map"].requires_grad


def test_cross_entropy_by_hand():
    loss = ProximityLoss(beta=4.0, scale=0.0, floor=1.0)
    value, _ = loss(output([0.0, math.log(3)]), batch([1.0, 0.5]))
    expected = (5 * math.log(2) + 3 * -(0.5 * math.log(0.75) + 0.5 * math.log(0.25))) / 2
    assert value.item() == pytest.approx(expected)


@pytest.mark.parametrize("form", ["cross_entropy", "squared"])
def test_the_loss_is_least_at_the_map(form):
    height = torch.tensor([0.05, 0.3, 0.5, 0.9], dtype=torch.float64)
    logits = height.logit().reshape(1, 1, 1, -1).requires_grad_()
    ProximityLoss(form)(logits, batch(height))[0].backward()
    assert logits.grad.abs().max() < 1e-12
    wrong = (height.logit() + 0.1).reshape(1, 1, 1, -1)
    assert ProximityLoss(form)(wrong, batch(height))[0] > ProximityLoss(form)(logits, batch(height))[0]


def test_a_false_peak_in_an_empty_patch_has_a_price():
    """lambda mean(M) is 0 there; the floor holds the price up."""
    false = [4.0, -4.0]
    assert ProximityLoss("squared", floor=0.0, scale=2.0)(output(false), batch([0.0, 0.0]))[0] == 0
    assert ProximityLoss("squared", floor=0.1, scale=2.0)(output(false), batch([0.0, 0.0]))[0] > 0.02
    assert ProximityLoss()(output(false), batch([0.0, 0.0]))[0] > 1


def test_cells_of_weight_0_cost_nothing():
    loss = ProximityLoss()
    seen, _ = loss(output([1.0], offset=0.3), batch([0.4], offset=0.1))
    more, _ = loss(output([1.0, 7.0], offset=0.3), batch([0.4, 0.0], weight=[1.0, 0.0], offset=0.1))
    assert more.item() == pytest.approx(seen.item(), rel=1e-12)
    logits = output([1.0, 7.0], offset=0.3).requires_grad_()
    loss(logits, batch([0.4, 0.2], weight=[1.0, 0.0], offset=0.1))[0].backward()
    assert not logits.grad[..., 1].any()
    assert torch.isfinite(loss(output([1.0]), batch([0.0], weight=0.0))[0])


def test_offsets_count_where_the_map_is_positive():
    loss = ProximityLoss(offset=2.0)
    value, parts = loss(output([0.0, 0.0], offset=1.0), batch([0.5, 0.0]))
    # smooth L1 with beta 0.5 at an error of 1: 1 - 0.25, for y and for x, over one cell.
    assert parts["offset"].item() == pytest.approx(1.5)
    assert value.item() == pytest.approx(parts["map"].item() + 2.0 * 1.5)
    assert loss(output([0.0, 0.0], offset=1.0), batch([0.0, 0.0]))[1]["offset"] == 0


def test_an_unknown_form_is_refused():
    with pytest.raises(InputError, match="`form`"):
        ProximityLoss("hinge")


def test_diameters_count_where_they_are_known_and_asked_for():
    """Smooth L1 with beta 0.1 by hand: |0.3| gives 0.3 - 0.05, the cell of unknown size gives nothing."""
    known = batch([1.0, 1.0, 0.0]) | {"diameter": torch.tensor([0.3, math.nan, 5.0]).double().reshape(1, 1, 1, 3)}
    out = torch.cat([output([0.0, 0.0, 0.0], offset=0.0), torch.zeros(1, 1, 1, 3, dtype=torch.float64)], 1)
    loss = ProximityLoss(diameter=2.0)
    with_sizes, parts = loss(out, known)
    without, fewer = loss(out[:, :3], known)
    assert float(parts["diameter"]) == pytest.approx(0.25)
    assert float(with_sizes) == pytest.approx(float(without) + 2 * 0.25)
    assert "diameter" not in fewer
    assert "diameter" not in loss(out, batch([1.0, 1.0, 0.0]))[1]
