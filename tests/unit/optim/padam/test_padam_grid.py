"""Every cell of Padam, 1,000 steps, beside the long-double oracle: 1e-12 in float64, for every way to compute."""

from itertools import product

import numpy as np
import pytest
import torch

from linnet.optim import Padam
from linnet.optim.padam.kernels.blocked import blocked_step
from linnet.optim.padam.kernels.foreach import foreach_step
from linnet.optim.padam.kernels.loop import loop_step
from linnet.optim.padam.numbers import Slot, numbers_of
from tests.padam_oracle import Oracle

STEPS = 1000
SCALES = np.logspace(-4, 2, 7)
POWERS = np.array([0.0, 1 / 16, 1 / 8, 1 / 4, 0.4, 1 / 2])
SHARED = {"lr": 0.01, "weight_decay": 0.01}
FAMILIES = [
    {"bias_correction": correction, "amsgrad": amsgrad, "decoupled": decoupled}
    for correction, amsgrad, decoupled in product(("official", "power", "none"), (True, False), (False, True))
]
WAYS = {
    "loop": loop_step,
    "blocked": lambda slots, numbers: blocked_step(slots, numbers, block=4),
    "foreach": foreach_step,
}


@pytest.fixture(scope="module")
def course():
    """Start and gradients: each element with a size of its own, from 1e-4 to 1e2."""
    generator = np.random.default_rng(0)
    return generator.normal(size=7), generator.normal(size=(STEPS, 7)) * SCALES


@pytest.fixture(scope="module")
def expected(course):
    """For each family (powers, elements): all powers at once, one row each."""
    x, gradients = course
    found = [Oracle(np.tile(x, (len(POWERS), 1)), p=POWERS[:, None], **SHARED, **family) for family in FAMILIES]
    for oracle in found:
        for g in gradients:
            oracle.step(g)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_every_cell_is_the_oracle(way, course, expected):
    for family, oracle in zip(FAMILIES, expected, strict=True):
        for row, p in enumerate(POWERS.tolist()):
            slot = trained(WAYS[way], course, SHARED | family | {"p": p})
            for found, wanted in zip((slot.x, slot.m, slot.v, slot.u), oracle_of(oracle), strict=True):
                assert_close(found, wanted[row], (family, p))


@pytest.mark.parametrize("bias_correction", ["official", "power", "none"])
def test_the_class_takes_the_same_numbers(bias_correction, course):
    start, gradients = course
    x = torch.nn.Parameter(torch.tensor(start))
    opt, oracle = Padam([x], bias_correction=bias_correction), Oracle(start, bias_correction=bias_correction)
    for g in gradients[:100]:
        x.grad = torch.tensor(g)
        opt.step()
        oracle.step(g)
    assert_close(x, oracle.x, bias_correction)
    assert_close(opt.state[x]["max_exp_avg_sq"], oracle.u, bias_correction)


def test_the_comparison_sees_a_planted_fault(course, expected):
    slot = trained(loop_step, course, SHARED | FAMILIES[0] | {"p": 1 / 8, "eps": 1.0001e-8})
    with pytest.raises(AssertionError):
        assert_close(slot.x, expected[0].x[2], "eps")


def trained(way, course, settings):
    start, gradients = course
    x = torch.tensor(start)
    group = Padam([x.clone().requires_grad_()], **settings).param_groups[0]
    m, v, largest = (torch.zeros_like(x) for _ in range(3))
    for t, g in enumerate(torch.tensor(gradients), start=1):
        slot = Slot(x, g, m, v, largest if group["amsgrad"] else v)
        way([slot], numbers_of(group, t))
    return slot


def oracle_of(oracle):
    whole = np.broadcast_to(oracle.m, oracle.x.shape), np.broadcast_to(oracle.v, oracle.x.shape)
    return oracle.x, *whole, np.broadcast_to(oracle.u, oracle.x.shape)


def assert_close(found, wanted, cell):
    error = np.abs(found.detach().numpy() - wanted).max() / np.abs(wanted).max()
    assert error <= 1e-12, (cell, float(error))
