"""Padam's class: groups, bad input, state, checkpoints, hooks."""

import copy
import io
import math
import warnings

import pytest
import torch

from linnet.errors import CheckpointError, InputError, TrainingError
from linnet.optim import Padam
from linnet.optim.padam_impl import choose

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
        ({"p": 0.51}, "`p` of group 0 is 0.51"),
        ({"p": -0.1}, "`p` of group 0"),
        ({"p": math.nan}, "`p` of group 0"),
        ({"lr": -1.0}, "`lr` of group 0 is -1"),
        ({"lr": torch.tensor(-1.0)}, "`lr` of group 0"),
        ({"lr": torch.ones(2)}, "single element"),
        ({"lr": "fast"}, "`lr` of group 0 is 'fast'"),
        ({"lr": math.inf}, "`lr` of group 0 is inf.*finite"),
        ({"eps": -1e-8}, "`eps` of group 0"),
        ({"weight_decay": -0.1}, "`weight_decay` of group 0"),
        ({"betas": (1.0, 0.999)}, r"`betas\[0\]` of group 0"),
        ({"betas": (0.9, -0.1)}, r"`betas\[1\]` of group 0"),
        ({"betas": 0.9}, "two numbers"),
        ({"bias_correction": "adam"}, '"official", "power", "none"'),
        ({"impl": "fast"}, '"loop", "blocked", "foreach", "compiled"'),
        ({"stochastic_rounding": True}, "float64, and stochastic rounding is for bfloat16"),
    ],
)
def test_bad_values_are_refused_with_what_is_needed(settings, words):
    with pytest.raises(InputError, match=words):
        Padam([parameter(1.0)], **settings)


def test_a_bad_group_leaves_the_optimizer_as_it_was():
    opt = Padam([parameter(1.0)])
    with pytest.raises(InputError, match="`p` of group 1 is 2"):
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
    with pytest.raises(TrainingError, match=r"Parameter 1 of group 0 has a sparse gradient.*SparseAdam"):
        opt.step()
    other = parameter(1.0, 2.0)
    opt = Padam([("first", x), ("head", other)])
    other.data = torch.zeros(3, dtype=torch.float64)
    with pytest.raises(TrainingError, match=r"`head` is \(3,\) on cpu, its gradient \(2,\)"):
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
    with pytest.warns(
        UserWarning, match=r"group 0 b1 = 0.99 and b2\^\(2p\) = 0.9\^1 = 0.9\b.*betas\[1\] > 0.99 or p <"
    ):
        opt = Padam([x], betas=(0.99, 0.9), p=0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt.step()
        opt.param_groups[0]["p"] = 0.01
        opt.step()
    opt.param_groups[0]["p"] = 0.5
    with pytest.warns(UserWarning, match="convergence theory"):
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


def saved_and_loaded(opt):
    file = io.BytesIO()
    torch.save(opt.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("impl", WAYS)
def test_a_resumed_run_has_the_same_bits(dtype, impl):
    rounding = dtype == torch.bfloat16
    xs = [parameter(1.0, -2.0, 3.0, dtype=dtype), parameter(0.5, dtype=dtype)]
    opt = Padam(xs, impl=impl, stochastic_rounding=rounding)
    drive(opt, xs, 3)
    ys = [torch.nn.Parameter(x.detach().clone()) for x in xs]
    again = Padam(ys, impl=impl, lr=7.0)
    again.load_state_dict(saved_and_loaded(opt))
    drive(opt, xs, 3, first=3)
    drive(again, ys, 3, first=3)
    assert all(torch.equal(x, y) for x, y in zip(xs, ys, strict=True))
    assert_same(again.state_dict(), opt.state_dict())
    wanted = torch.float64 if dtype == torch.float64 else torch.float32
    assert {again.state[ys[0]][key].dtype for key in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")} == {wanted}


def test_loading_copies():
    x, y = parameter(1.0), parameter(1.0)
    opt, again = Padam([x]), Padam([y])
    opt.step()
    again.load_state_dict(opt.state_dict())
    again.step()
    assert float(opt.state[x]["step"]) == 1
    assert float(opt.state[x]["exp_avg"]) == pytest.approx(0.1)


def test_a_copy_steps_alike():
    x = parameter(1.0, -2.0)
    opt = Padam([x], impl="blocked", p=0.25)
    opt.step()
    again = copy.deepcopy(opt)
    assert again.impl == "blocked"
    y = again.param_groups[0]["params"][0]
    drive(opt, [x], 2)
    drive(again, [y], 2)
    assert torch.equal(x, y)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_adam_continues_in_padam_and_goes_back(kind):
    """At p = 1/2, "power": the course with two changes of optimizer is the uninterrupted one."""

    def course(*optimizers):
        xs = [parameter(1.0, -2.0), parameter(0.5)]
        before = None
        for number, make in enumerate(optimizers):
            opt = make(xs)
            if before is not None:
                opt.load_state_dict(saved_and_loaded(before))
            drive(opt, xs, 5, first=5 * number)
            before = opt
        return torch.cat([x.detach() for x in xs])

    def adam(xs):
        return kind(xs, 0.01, amsgrad=True, weight_decay=0.1)

    def padam(xs):
        return Padam(xs, 3.0, p=0.5, bias_correction="power")

    torch.testing.assert_close(course(adam, padam, adam), course(adam, adam, adam), rtol=1e-13, atol=0)


def test_what_adam_does_not_have_stays_and_what_it_has_wins():
    x, y = parameter(1.0), parameter(1.0)
    adam = torch.optim.AdamW([x], 0.01, eps=1e-6, fused=True)
    adam.step()
    opt = Padam([y], p=0.3, bias_correction="none")
    with pytest.warns(UserWarning, match=r"rate 0\.01 was AdamW's; p = 0\.3 wants a larger one"):
        opt.load_state_dict(saved_and_loaded(adam))
    group = opt.param_groups[0]
    assert (group["p"], group["bias_correction"], group["lr"], group["eps"]) == (0.3, "none", 0.01, 1e-6)
    assert group["decoupled_weight_decay"]
    assert not group["amsgrad"]
    assert group["fused"] is None
    opt.step()


def test_from_adam_takes_parameters_groups_and_a_copy_of_the_state():
    x, y = parameter(1.0), parameter(2.0)
    adam = torch.optim.Adam([{"params": [x], "lr": 0.5}, {"params": [y]}], betas=(0.8, 0.99), weight_decay=0.1)
    adam.step()
    opt = Padam.from_adam(adam, p=0.5, bias_correction="power", amsgrad=True)
    assert [group["lr"] for group in opt.param_groups] == [0.5, 0.001]
    assert opt.param_groups[1]["betas"] == (0.8, 0.99)
    assert torch.equal(opt.state[x]["max_exp_avg_sq"], adam.state[x]["exp_avg_sq"])
    opt.step()
    assert float(adam.state[x]["step"]) == 1
    with pytest.warns(UserWarning, match="give `lr`"):
        Padam.from_adam(adam)
    with pytest.raises(InputError, match="`speed` is no argument of Padam"):
        Padam.from_adam(adam, lr=0.1, speed=2)


def test_a_rate_of_adam_is_told_once_where_p_is_smaller_and_only_there(recwarn):
    adam = torch.optim.Adam([{"params": [parameter(1.0)]}, {"params": [parameter(2.0)]}])

    def padam(**options):
        return Padam([{"params": [parameter(1.0)]}, {"params": [parameter(2.0)]}], **options)

    opt = padam()
    opt.load_state_dict(adam.state_dict())
    assert [str(w.message) for w in recwarn.list if "wants" in str(w.message)] == [
        "The learning rate 0.001 was Adam's; p = 0.125 wants a larger one (0.1 at p = 1/8 where Adam had 0.001): give "
        "`lr`, or set `lr` of the groups after loading."
    ]
    assert recwarn.pop(UserWarning).filename == __file__
    padam().load_state_dict(opt.state_dict())  # has its own p
    padam(p=0.5).load_state_dict(adam.state_dict())
    assert not recwarn.list


def test_from_adam_of_a_padam_goes_on_with_its_p(recwarn):
    opt = Padam([parameter(1.0)], lr=0.01, p=0.25, bias_correction="power")
    again = Padam.from_adam(opt)
    group = again.param_groups[0]
    assert (group["lr"], group["p"], group["bias_correction"]) == (0.01, 0.25, "power")
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"rate 0\.01 was that of p = 0\.25; p = 0\.125 wants a larger one"):
        Padam.from_adam(opt, p=0.125)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (torch.optim.NAdam, "has `momentum_decay`: it is of NAdam"),
        (torch.optim.RAdam, "has no `amsgrad`: it is of RAdam or another"),
        (torch.optim.Adamax, "has `exp_inf`: it is of Adamax"),
    ],
)
def test_moments_like_those_of_adam_are_not_enough(kind, words):
    other = kind([parameter(1.0)])
    other.step()
    opt = Padam([parameter(1.0)])
    before = copy.deepcopy(opt.state_dict())
    with pytest.raises(CheckpointError, match=f"{words}.*Padam continues Padam, Adam and AdamW"):
        opt.load_state_dict(other.state_dict())
    assert_same(opt.state_dict(), before)
    with pytest.raises(CheckpointError, match=words):
        Padam.from_adam(other)


@pytest.mark.parametrize(("given", "missing"), [({}, "param_groups"), ({"param_groups": []}, "state")])
def test_what_is_no_state_of_an_optimizer_is_refused(given, missing):
    with pytest.raises(CheckpointError, match=rf"has no `{missing}`.*`optimizer\.state_dict\(\)`"):
        Padam([parameter(1.0)]).load_state_dict(given)


def test_foreign_checkpoints_are_refused_and_change_nothing():
    x = parameter(1.0, 2.0)
    opt = Padam([x])
    opt.step()
    before = copy.deepcopy(opt.state_dict())
    sgd = torch.optim.SGD([parameter(1.0, 2.0)], 0.1, momentum=0.9)
    sgd.step()
    with pytest.raises(CheckpointError, match="like SGD"):
        opt.load_state_dict(sgd.state_dict())
    other = Padam([parameter(1.0, 2.0, 3.0)])
    other.step()
    with pytest.raises(CheckpointError, match=r"`exp_avg` of parameter 0 of group 0 has shape \(3,\)"):
        opt.load_state_dict(other.state_dict())
    with pytest.raises(CheckpointError, match="has 2 parameters, this optimizer's has 1"):
        opt.load_state_dict(Padam([parameter(1.0), parameter(1.0)]).state_dict())
    with pytest.raises(CheckpointError, match="2 parameter groups"):
        opt.load_state_dict(Padam([{"params": [parameter(1.0)]}, {"params": [parameter(1.0)]}]).state_dict())
    bad = copy.deepcopy(before)
    bad["param_groups"][0]["p"] = 0.9
    with pytest.raises(InputError, match=r"`p` of group 0 is 0\.9"):
        opt.load_state_dict(bad)
    assert_same(opt.state_dict(), before)


def test_what_is_picked_and_why(monkeypatch):
    monkeypatch.delenv("LINNET_COMPILE", raising=False)
    small, large = torch.zeros(10, requires_grad=True), torch.zeros(40_000, requires_grad=True)
    assert (Padam([small]).impl, Padam([large]).impl) == ("blocked", "blocked")
    assert "40000 elements on the CPU" in Padam([large]).impl_reason
    assert Padam([small.detach().bfloat16().requires_grad_()]).impl == "foreach"
    with monkeypatch.context() as without:
        without.setattr("linnet.optim.padam_impl.works", lambda: False)
        assert "no kernel that steps small tensors" in Padam([small]).impl_reason
    assert Padam([small], impl="foreach").impl_reason == "asked for by name"
    group = Padam([large]).param_groups[0]
    monkeypatch.setenv("LINNET_COMPILE", "1")
    monkeypatch.setattr("linnet.optim.padam_impl.compiler", lambda: None)
    assert choose(None, [group]).reason.endswith("LINNET_COMPILE=1 found no compiler")
    with pytest.raises(InputError, match="neither a C\\+\\+ compiler"):
        Padam([large], impl="compiled")
    monkeypatch.setattr("linnet.optim.padam_impl.compiler", lambda: "g++")
    assert choose(None, [group]).name == "compiled"


def test_loss_scaling_works_as_for_every_optimizer():
    x = parameter(1.0, dtype=torch.float32)
    opt, scaler = Padam([x]), torch.amp.GradScaler("cpu", init_scale=8.0)
    for value in (2.0, math.inf):
        opt.zero_grad()
        scaler.scale((x * value).sum()).backward()
        scaler.step(opt)
        scaler.update()
    y = parameter(1.0, dtype=torch.float32)
    y.grad = torch.full_like(y, 2.0)
    Padam([y]).step()
    assert torch.equal(x, y)


@pytest.mark.gpu
def test_loss_scaling_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    x = torch.nn.Parameter(torch.ones(3, device="cuda"))
    opt, scaler = Padam([x]), torch.amp.GradScaler("cuda", init_scale=8.0)
    scaler.scale((x * 2).sum()).backward()
    scaler.step(opt)
    assert opt.impl == "foreach"
    assert float(opt.state[x]["exp_avg"][0]) == pytest.approx(0.2)


@pytest.mark.gpu
def test_a_captured_graph_steps_as_the_eager_way():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    x, y = (torch.nn.Parameter(torch.ones(3, device="cuda")) for _ in range(2))
    x.grad, y.grad = torch.full_like(x, 2.0), torch.full_like(y, 2.0)
    opt, eager = Padam([x], capturable=True), Padam([y])
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        opt.step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        opt.step()
    for _ in range(3):
        graph.replay()
    for _ in range(4):
        eager.step()
    torch.testing.assert_close(x, y, rtol=1e-5, atol=0)


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
