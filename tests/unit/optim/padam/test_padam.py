"""Padam's class: groups, bad input, schedules, hooks, what is picked."""

import copy
import math
import warnings

import pytest
import torch

from linnet.errors import InputError, TrainingError
from linnet.optim import Padam
from linnet.optim.padam.implementation import choose

WAYS = ["loop", "blocked", "foreach"]


def parameter(*values, dtype=torch.float64):
    x = torch.nn.Parameter(torch.tensor(values, dtype=dtype))
    x.grad = torch.ones_like(x)
    return x


def drive(opt, xs, steps, *, first=0):
    """Steps with gradients that depend on the step's number alone."""
    for t in range(first, first + steps):
        for n, x in enumerate(xs):
            values = torch.sin(torch.arange(x.numel(), dtype=torch.float64) * (n + 1) + t)
            x.grad = values.view(x.shape).to(x.dtype)
        opt.step()


def test_the_first_step_by_hand():
    """t = 1, g = 2: m = 0.2, v = 0.004, c1 = 0.1, c2 = 0.001; s = 0.0632..., D = s^(1/4)."""
    for correction, k in (("official", 0.1 * math.sqrt(0.001) / 0.1), ("none", 0.1)):
        x = parameter(1.0)
        x.grad = torch.full_like(x, 2.0)
        Padam([x], eps=0.0, bias_correction=correction).step()
        assert x.item() == pytest.approx(1 - k * 0.2 / math.sqrt(0.004) ** 0.25, rel=1e-12)
    x = parameter(1.0)
    x.grad = torch.full_like(x, 2.0)
    Padam([x], eps=0.0, bias_correction="power").step()
    assert x.item() == pytest.approx(1 - 0.1 * 2 / 2**0.25, rel=1e-12)


def test_defaults_and_group_keys():
    group = Padam([parameter(1.0)]).param_groups[0]
    adam = torch.optim.Adam([parameter(1.0)]).param_groups[0]
    assert set(group) == set(adam) | {"p", "bias_correction", "rounding_seed"}
    assert (group["lr"], group["betas"], group["p"], group["eps"]) == (0.1, (0.9, 0.999), 0.125, 1e-8)
    assert (group["amsgrad"], group["decoupled_weight_decay"], group["bias_correction"]) == (True, False, "official")
    assert group["foreach"] is None
    assert group["fused"] is None


def test_repr_says_p_correction_and_impl():
    text = repr(Padam([parameter(1.0)], p=0.25, bias_correction="power"))
    assert "p=0.25" in text
    assert "bias_correction='power'" in text
    assert "impl='blocked': 1 elements on the CPU" in text


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"p": 0.51}, "`p`"),
        ({"p": -0.1}, "`p`"),
        ({"p": math.nan}, "`p`"),
        ({"lr": -1.0}, "`lr`.*-1"),
        ({"lr": torch.tensor(-1.0)}, "`lr`.*-1"),
        ({"lr": torch.ones(2)}, r"`lr`.*\(2,\)"),
        ({"lr": "fast"}, "`lr`.*'fast'"),
        ({"lr": math.inf}, "`lr`.*inf"),
        ({"eps": -1e-8}, "`eps`"),
        ({"weight_decay": -0.1}, "`weight_decay`"),
        ({"betas": (1.0, 0.999)}, r"`betas.*1\.0"),
        ({"betas": (0.9, -0.1)}, r"`betas.*-0\.1"),
        ({"betas": 0.9}, "`betas`"),
        ({"bias_correction": "adam"}, "`bias_correction`"),
        ({"impl": "fast"}, "`impl`"),
        ({"stochastic_rounding": True}, "float64"),
    ],
)
def test_bad_values_are_refused_with_what_is_needed(settings, words):
    with pytest.raises(InputError, match=words):
        Padam([parameter(1.0)], **settings)


def test_a_bad_group_leaves_the_optimizer_as_it_was():
    opt = Padam([parameter(1.0)])
    with pytest.raises(InputError, match=r"`p`.*group 1"):
        opt.add_param_group({"params": [parameter(2.0)], "p": 2})
    assert len(opt.param_groups) == 1


@pytest.mark.parametrize(("key", "value"), [("p", 0.6), ("lr", -1.0), ("betas", (0.9, 1.0)), ("bias_correction", "x")])
def test_a_bad_value_later_stops_the_next_step_before_anything_changes(key, value):
    x, y = parameter(1.0), parameter(2.0)
    opt = Padam([{"params": [x]}, {"params": [y]}])
    opt.step()
    before = copy.deepcopy((x.data, y.data, opt.state_dict()["state"]))
    opt.param_groups[1][key] = value
    with pytest.raises(InputError, match="group 1"):
        opt.step()
    assert_same((x.data, y.data, opt.state_dict()["state"]), before)


def test_bad_gradients_are_refused_before_anything_changes():
    x = parameter(1.0)
    table = torch.nn.Embedding(3, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    opt = Padam([x, *table.parameters()])
    with pytest.raises(TrainingError, match=r"1 of group 0.*SparseAdam"):
        opt.step()
    other = parameter(1.0, 2.0)
    opt = Padam([("first", x), ("head", other)])
    other.data = torch.zeros(3, dtype=torch.float64)
    with pytest.raises(TrainingError, match="`head`"):
        opt.step()
    assert x.item() == 1.0
    assert not opt.state


@pytest.mark.parametrize("impl", WAYS)
def test_a_parameter_without_gradient_is_left_out(impl):
    x, y = parameter(1.0), parameter(1.0)
    opt = Padam([x, y], impl=impl)
    opt.step()
    y.grad, held = None, copy.deepcopy(opt.state[y])
    before = y.item()
    opt.step()
    y.grad = torch.ones_like(y)
    assert y.item() == before
    assert_same(opt.state[y], held)
    opt.step()
    assert (float(opt.state[x]["step"]), float(opt.state[y]["step"])) == (3, 2)
    only = parameter(1.0)
    twice = Padam([only], impl=impl)
    twice.step()
    twice.step()
    assert torch.equal(only, y)


@pytest.mark.parametrize("impl", WAYS)
@pytest.mark.parametrize("p", [0.0, 0.125, 0.4, 0.5])
def test_without_eps_an_element_that_never_had_a_gradient_does_not_move(impl, p):
    x = parameter(1.0, 2.0)
    x.grad = torch.tensor([0.0, 1.0], dtype=torch.float64)
    Padam([x], p=p, eps=0.0, impl=impl).step()
    assert float(x[0].detach()) == 1.0
    assert float(x[1].detach()) < 2.0


@pytest.mark.parametrize("impl", WAYS)
def test_empty_and_0d_tensors_step(impl):
    xs = [torch.nn.Parameter(torch.zeros(0, 3)), torch.nn.Parameter(torch.tensor(1.0)), parameter(1.0, 1.0)]
    opt = Padam(xs, impl=impl)
    drive(opt, xs, 3)
    assert float(opt.state[xs[1]]["step"]) == 3


@pytest.mark.parametrize("impl", WAYS)
def test_non_finite_gradients_pass_through(impl):
    x = parameter(1.0, 2.0)
    x.grad = torch.tensor([math.nan, 1.0], dtype=torch.float64)
    Padam([x], impl=impl).step()
    assert torch.isnan(x[0])
    assert torch.isfinite(x[1])


@pytest.mark.parametrize("impl", WAYS)
def test_a_schedule_of_p_and_lr_holds_from_the_next_step(impl):
    from tests.padam_oracle import Oracle

    x = parameter(1.0, -2.0, 0.5)
    opt, oracle = Padam([x], impl=impl), Oracle(x.detach().numpy())
    rates = torch.optim.lr_scheduler.LambdaLR(opt, lambda t: 0.9**t)
    for t, p in enumerate([0.25, 0.2, 0.125, 0.05, 0.0, 0.5]):
        opt.param_groups[0]["p"] = p
        lr = opt.param_groups[0]["lr"]
        x.grad = torch.tensor([1.0, -3.0, 0.01], dtype=torch.float64) * (t + 1)
        opt.step()
        oracle.step(x.grad.numpy(), p=p, lr=lr)
        rates.step()
    torch.testing.assert_close(x.detach(), torch.tensor(oracle.x.astype(float)), rtol=1e-13, atol=0)


@pytest.mark.parametrize("lr", [torch.tensor(0.1, dtype=torch.float64), torch.tensor([0.1], dtype=torch.float64)])
@pytest.mark.parametrize("capturable", [False, True])
@pytest.mark.parametrize("impl", WAYS)
def test_tensors_for_lr_and_step_counts_change_nothing(lr, capturable, impl):
    for settings in ({}, {"bias_correction": "power", "decoupled": True, "weight_decay": 0.1}, {"p": 0.0}):
        x, y = parameter(1.0, -2.0), parameter(1.0, -2.0)
        drive(Padam([x], lr=lr, capturable=capturable, impl=impl, **settings), [x], 5)
        drive(Padam([y], **settings), [y], 5)
        torch.testing.assert_close(x, y, rtol=1e-13, atol=0)


def test_capturable_serves_tensors_of_different_age():
    for impl in ("loop", "foreach"):
        ends = []
        for capturable in (False, True):
            xs = [parameter(1.0, -2.0), parameter(1.0, -2.0)]
            opt = Padam(xs, capturable=capturable, impl=impl)
            drive(opt, xs[:1], 3)
            drive(opt, xs, 3)
            ends.append(torch.stack([x.detach() for x in xs]))
        torch.testing.assert_close(*ends, rtol=1e-13, atol=0)


def test_autograd_passes_through_the_step():
    def end(rate):
        x = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)
        y = x.clone()
        opt = Padam([y], lr=rate, differentiable=True, weight_decay=0.1, decoupled=True)
        for _ in range(3):
            y.grad = torch.tensor([1.0, -3.0], dtype=torch.float64) + rate
            opt.step()
        return y.sum()

    rate = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(end, (rate,))


def test_differentiable_computes_the_same():
    x, y = parameter(1.0, -2.0), parameter(1.0, -2.0)
    drive(Padam([x], weight_decay=0.1), [x], 5)
    with torch.no_grad():
        values = y.detach().clone().requires_grad_().clone()
    opt = Padam([values], weight_decay=0.1, differentiable=True)
    drive(opt, [values], 5)
    torch.testing.assert_close(values.detach(), x.detach(), rtol=1e-13, atol=0)
    assert opt.impl == "loop"


@pytest.mark.parametrize("impl", WAYS)
def test_complex_parameters_step_as_pairs_of_reals(impl):
    z = torch.nn.Parameter(torch.tensor([1 + 2j, -1j]))
    xy = torch.nn.Parameter(torch.view_as_real(z.detach()).clone())
    ours, pairs = Padam([z], impl=impl), Padam([xy], impl=impl)
    for t in range(3):
        z.grad = torch.tensor([1 + 1j, 2 - 1j]) * (t + 1)
        xy.grad = torch.view_as_real(z.grad)
        ours.step()
        pairs.step()
    assert torch.equal(torch.view_as_real(z.detach()), xy.detach())
    assert ours.state[z]["exp_avg"].is_complex()


@pytest.mark.parametrize("impl", WAYS)
def test_maximize_turns_the_gradient(impl):
    x, y = parameter(1.0, -2.0), parameter(1.0, -2.0)
    y.grad = -x.grad
    Padam([x], maximize=True, weight_decay=0.1, impl=impl).step()
    Padam([y], weight_decay=0.1, impl=impl).step()
    assert torch.equal(x, y)


def test_amsgrad_may_be_turned_on_later():
    x = parameter(1.0)
    opt = Padam([x], amsgrad=False)
    opt.step()
    opt.param_groups[0]["amsgrad"] = True
    x.grad = torch.zeros_like(x)
    opt.step()
    state = opt.state[x]
    assert float(state["max_exp_avg_sq"]) == pytest.approx(0.001)
    assert float(state["exp_avg_sq"]) == pytest.approx(0.001 * 0.999)


def test_closure_and_hooks():
    x = parameter(2.0)
    opt = Padam([x])
    seen = []
    opt.register_step_pre_hook(lambda *_: seen.append("before"))
    opt.register_step_post_hook(lambda *_: seen.append("after"))

    @torch.no_grad()
    def outer():
        def closure():
            opt.zero_grad()
            loss = (x * x).sum()
            loss.backward()
            return loss

        return opt.step(closure)

    assert outer().item() == 4.0
    assert seen == ["before", "after"]
    assert float(x.grad) == 4.0


def test_outside_the_theory_it_warns_once_with_numbers_and_remedy():
    x = parameter(1.0)
    with pytest.warns(UserWarning, match=r"group 0.*betas\[1\] > 0\.99"):
        opt = Padam([x], betas=(0.99, 0.9), p=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt.step()
        opt.param_groups[0]["p"] = 0.01
        opt.step()
    opt.param_groups[0]["p"] = 0.5
    with pytest.warns(UserWarning, match="betas"):
        opt.step()


def test_effective_rates_spread_with_p():
    spreads = []
    for p in (0.0, 0.125, 0.5):
        x = parameter(*[0.0] * 101)
        opt = Padam([x], p=p, bias_correction="none", eps=0.0)
        assert math.isnan(opt.effective_rates()[0].median)
        x.grad = torch.logspace(-2, 0, 101, dtype=torch.float64)
        opt.step()
        (rates,) = opt.effective_rates()
        s = math.sqrt(0.001) * 10**-1  # of the middle element
        assert rates.median == pytest.approx(0.1 / s ** (2 * p), rel=1e-5)
        spreads.append(rates.spread)
    assert spreads[0] == 1
    assert spreads[1] == pytest.approx(10 ** (1.8 * 0.25), rel=1e-4)
    assert spreads[2] == pytest.approx(10**1.8, rel=1e-4)


def test_what_is_picked_and_why(monkeypatch):
    monkeypatch.delenv("LINNET_COMPILE", raising=False)
    small, large = torch.zeros(10, requires_grad=True), torch.zeros(40_000, requires_grad=True)
    assert (Padam([small]).impl, Padam([large]).impl) == ("blocked", "blocked")
    assert "40000 elements on the CPU" in Padam([large]).impl_reason
    assert Padam([small.detach().bfloat16().requires_grad_()]).impl == "foreach"
    with monkeypatch.context() as without:
        without.setattr("linnet.optim.padam.implementation.works", lambda: False)
        assert "no kernel that steps small tensors" in Padam([small]).impl_reason
    assert Padam([small], impl="foreach").impl_reason == "asked for by name"
    group = Padam([large]).param_groups[0]
    monkeypatch.setenv("LINNET_COMPILE", "1")
    monkeypatch.setattr("linnet.optim.padam.implementation.compiler", lambda: None)
    assert choose(None, [group]).reason.endswith("LINNET_COMPILE=1 found no compiler")
    with pytest.raises(InputError, match="`impl`"):
        Padam([large], impl="compiled")
    monkeypatch.setattr("linnet.optim.padam.implementation.compiler", lambda: "g++")
    assert choose(None, [group]).name == "compiled"


def assert_same(found, wanted):
    if isinstance(wanted, torch.Tensor):
        assert found.dtype == wanted.dtype
        assert torch.equal(found, wanted)
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            assert_same(found[key], wanted[key])
    elif isinstance(wanted, (list, tuple)):
        for one, other in zip(found, wanted, strict=True):
            assert_same(one, other)
    else:
        assert found == wanted
