"""Padam's special cases beside the optimizers of torch, and the one cell that pytorch-optimizer has, in float64."""

import pytest
import torch

from linnet.optim import Padam
from tests.padam_oracle import Oracle

STEPS = 200
WAYS = ["loop", "blocked", "foreach"]


def trained(make, *, schedule=False):
    """A closed loop: least squares, 200 steps of an optimizer; where it ends."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(50, 8, generator=generator, dtype=torch.float64)
    b = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    w = torch.nn.Parameter(torch.randn(8, 3, generator=generator, dtype=torch.float64))
    opt = make([w])
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(opt, STEPS) if schedule else None
    for _ in range(STEPS):
        opt.zero_grad()
        ((a @ w - b) ** 2).mean().backward()
        opt.step()
        if rates:
            rates.step()
    return w.detach()


def difference(ours, theirs):
    return float((ours - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("impl", WAYS)
@pytest.mark.parametrize(("correction", "schedule"), [("official", True), ("power", False)])
def test_a_half_without_eps_is_amsgrad(impl, correction, schedule):
    ours = trained(
        lambda w: Padam(w, 0.01, p=0.5, eps=0.0, weight_decay=0.1, bias_correction=correction, impl=impl),
        schedule=schedule,
    )
    theirs = trained(lambda w: torch.optim.Adam(w, 0.01, amsgrad=True, eps=0.0, weight_decay=0.1), schedule=schedule)
    assert difference(ours, theirs) <= 1e-12


@pytest.mark.parametrize("impl", WAYS)
@pytest.mark.parametrize("amsgrad", [False, True])
@pytest.mark.parametrize("eps", [0.0, 1e-3])
@pytest.mark.parametrize("decoupled", [False, True])
def test_a_half_with_power_is_adam_or_adamw(impl, amsgrad, eps, decoupled):
    shared = {"lr": 0.01, "betas": (0.8, 0.99), "eps": eps, "weight_decay": 0.1, "amsgrad": amsgrad}
    ours = trained(lambda w: Padam(w, p=0.5, bias_correction="power", decoupled=decoupled, impl=impl, **shared))
    theirs = trained(lambda w: (torch.optim.AdamW if decoupled else torch.optim.Adam)(w, **shared))
    assert difference(ours, theirs) <= 1e-12


@pytest.mark.parametrize(("eps", "least"), [(1e-8, 1e-8), (1e-3, 1e-4)])
def test_a_half_with_eps_and_official_is_not_adam(eps, least):
    ours = trained(lambda w: Padam(w, 0.01, p=0.5, eps=eps))
    theirs = trained(lambda w: torch.optim.Adam(w, 0.01, amsgrad=True, eps=eps))
    assert difference(ours, theirs) > least


@pytest.mark.parametrize("impl", WAYS)
def test_zero_without_correction_is_sgd_with_momentum(impl):
    ours = trained(lambda w: Padam(w, 0.1, p=0.0, bias_correction="none", weight_decay=0.1, impl=impl))
    theirs = trained(lambda w: torch.optim.SGD(w, 0.1 * (1 - 0.9), momentum=0.9, dampening=0, weight_decay=0.1))
    assert difference(ours, theirs) <= 1e-12


def test_zero_without_correction_is_not_dampened_sgd():
    ours = trained(lambda w: Padam(w, 0.1, p=0.0, bias_correction="none"))
    theirs = trained(lambda w: torch.optim.SGD(w, 0.1, momentum=0.9, dampening=0.9))
    assert difference(ours, theirs) > 1e-6


@pytest.mark.parametrize("impl", WAYS)
def test_zero_with_power_is_sgd_with_momentum_times_the_start_up_factor(impl):
    class Started(torch.optim.SGD):
        """x <- x - lr m / (1 - b1^t), m a running mean."""

        @torch.no_grad()
        def step(self):
            for x in self.param_groups[0]["params"]:
                state = self.state[x]
                state["t"] = state.get("t", 0) + 1
                state["m"] = 0.9 * state.get("m", torch.zeros_like(x)) + 0.1 * x.grad
                x -= 0.1 * state["m"] / (1 - 0.9 ** state["t"])

    ours = trained(lambda w: Padam(w, 0.1, p=0.0, bias_correction="power", impl=impl))
    assert difference(ours, trained(lambda w: Started(w, 0.1))) <= 1e-12


@pytest.mark.parametrize("impl", WAYS)
@pytest.mark.parametrize("p", [0.0, 1 / 16, 1 / 8, 1 / 4, 0.4, 1 / 2])
@pytest.mark.parametrize("correction", ["official", "power", "none"])
def test_gradients_times_c_move_c_to_the_one_minus_2p_further(impl, correction, p):
    def moved(c):
        x = torch.nn.Parameter(torch.zeros(5, dtype=torch.float64))
        opt = Padam([x], p=p, eps=0.0, bias_correction=correction, impl=impl)
        generator = torch.Generator().manual_seed(1)
        for _ in range(50):
            x.grad = c * torch.randn(5, generator=generator, dtype=torch.float64)
            opt.step()
        return x.detach()

    assert difference(moved(37.0), moved(1.0) * 37.0 ** (1 - 2 * p)) <= 1e-12


@pytest.mark.parametrize("impl", WAYS)
@pytest.mark.parametrize("eps", [1e-8, 1e-2])
def test_without_momentum_maximum_and_correction_a_half_is_rmsprop(impl, eps):
    shared = {"amsgrad": False, "bias_correction": "none", "impl": impl}
    ours = trained(lambda w: Padam(w, 0.01, (0.0, 0.99), 0.5, eps, **shared))
    assert difference(ours, trained(lambda w: torch.optim.RMSprop(w, 0.01, alpha=0.99, eps=eps))) <= 1e-12


@pytest.mark.parametrize("impl", WAYS)
def test_tensors_groups_and_one_flattened_tensor_are_the_same(impl):
    generator = torch.Generator().manual_seed(2)
    pieces = [torch.randn(size, generator=generator, dtype=torch.float64) for size in ((3, 4), (5,), ())]

    def ends(grouping):
        parts = grouping([torch.nn.Parameter(piece.clone()) for piece in pieces])
        opt = Padam([{"params": part} for part in parts], weight_decay=0.1, impl=impl)
        for t in range(20):
            for x in (x for part in parts for x in part):
                x.grad = torch.sin(x.detach() * (t + 1))
            opt.step()
        return torch.cat([x.detach().flatten() for part in parts for x in part])

    one = ends(lambda parts: [parts])
    assert torch.equal(ends(lambda parts: [[part] for part in parts]), one)
    flat = ends(lambda parts: [[torch.nn.Parameter(torch.cat([part.detach().flatten() for part in parts]))]])
    assert difference(flat, one) <= 1e-15


@pytest.mark.parametrize("p", [1 / 16, 1 / 8, 1 / 4, 0.4, 1 / 2])
def test_the_cell_that_pytorch_optimizer_has(p):
    theirs = pytest.importorskip("pytorch_optimizer", reason="needs pytorch-optimizer (make peers)").PAdam
    ours = trained(lambda w: Padam(w, 0.01, p=p, amsgrad=False))
    peer = trained(lambda w: theirs(w, lr=0.01, betas=(0.9, 0.999), partial=p, eps=1e-8))
    assert difference(ours, peer) <= 1e-12


def test_the_oracle_is_adam_too():
    """The oracle of the grid, tied to other hands once."""
    generator = torch.Generator().manual_seed(3)
    x = torch.nn.Parameter(torch.randn(4, generator=generator, dtype=torch.float64))
    oracle = Oracle(x.detach().numpy(), lr=0.01, p=0.5, bias_correction="power", weight_decay=0.1)
    adam = torch.optim.Adam([x], 0.01, amsgrad=True, weight_decay=0.1)
    for _ in range(50):
        x.grad = torch.randn(4, generator=generator, dtype=torch.float64)
        adam.step()
        oracle.step(x.grad.numpy())
    assert difference(x.detach(), torch.tensor(oracle.x.astype(float))) <= 1e-12
