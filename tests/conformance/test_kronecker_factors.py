"""Kronecker factors beside curvlinops and BackPACK, with the conversion of scales written out.

curvlinops: in "expand" the 1/S over positions stands in A there and in B here; the Kronecker product is the same. With
`nn.MSELoss()` (mean over N C, no half) the metric is 2/C times ours ("model") or 4/C times ("empirical").
BackPACK: a bias has factors of its own; B of a convolution sums over positions first, another approximation.
"""

import warnings

import pytest
import torch
from torch import nn

from linnet.optim import NaturalGradient

SAMPLES, OUTPUTS, POSITIONS = 7, 3, {"0.weight": 9, "3.weight": 1, "5.weight": 1}
LOSSES = {"cross_entropy": nn.CrossEntropyLoss, "mse": nn.MSELoss}
UNITS = {
    ("cross_entropy", "model"): 1.0,
    ("cross_entropy", "empirical"): 1.0,
    ("mse", "model"): 2 / OUTPUTS,
    ("mse", "empirical"): 4 / OUTPUTS,
}


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(36, 5), nn.Tanh(), nn.Linear(5, 3)
    ).double()


def batch(loss):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(SAMPLES, 2, 6, 6, generator=generator, dtype=torch.float64)
    return x, torch.arange(SAMPLES) % OUTPUTS if loss == "cross_entropy" else torch.ones_like(x[:, 0, 0, :OUTPUTS])


def ours(loss, fisher, sharing):
    opt = NaturalGradient(net(), loss, "kfac", fisher=fisher, sharing=sharing, damping=1e-2, lr=0.1)
    opt.step(*batch(loss))
    return opt.state_dict()["natural"]["approximation"]["blocks"]


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
@pytest.mark.parametrize(("loss", "fisher"), UNITS)
def test_curvlinops_agrees(loss, fisher, sharing):
    curvlinops = pytest.importorskip("curvlinops", reason="curvlinops-for-pytorch isn't installed (make peers)")
    model = net()
    operator = curvlinops.KFACLinearOperator(
        model,
        LOSSES[loss](),
        list(model.parameters()),
        [batch(loss)],
        fisher_type={"model": "type-2", "empirical": "empirical"}[fisher],
        kfac_approx=sharing,
        separate_weight_and_bias=False,
        check_deterministic=False,
    )
    operator.compute_kronecker_factors()
    for key, block in ours(loss, fisher, sharing).items():
        name, places = key.removesuffix(".weight"), POSITIONS[key] if sharing == "expand" else 1
        theirs = operator._input_covariances[name], operator._gradient_covariances[name]
        torch.testing.assert_close(theirs[0], block["a"][0] / places, rtol=1e-10, atol=1e-13)
        torch.testing.assert_close(theirs[1], block["b"][0] * places * UNITS[loss, fisher], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("loss", LOSSES)
def test_backpack_agrees(loss):
    backpack = pytest.importorskip("backpack", reason="backpack-for-pytorch isn't installed (make peers)")
    extensions = pytest.importorskip("backpack.extensions")
    x, y = batch(loss)
    model, value = backpack.extend(net()), backpack.extend(LOSSES[loss]())
    with warnings.catch_warnings(), backpack.backpack(extensions.KFLR()):
        warnings.simplefilter("ignore")  # BackPACK uses hooks that torch calls deprecated
        value(model(x), y).backward()
    for key, block in ours(loss, "model", "expand").items():
        b, a = model[int(key[0])].weight.kflr
        torch.testing.assert_close(a, block["a"][0][:-1, :-1], rtol=1e-10, atol=1e-13)
        if key != "0.weight":
            torch.testing.assert_close(b, block["b"][0] * UNITS[loss, "model"], rtol=1e-10, atol=1e-13)
