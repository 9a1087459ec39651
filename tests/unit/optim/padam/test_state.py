"""Padam's state: resumed runs, copies, checkpoints of Adam and of others."""

import copy
import io

import pytest
import torch

from linnet.errors import CheckpointError, InputError
from linnet.optim import Padam
from tests.unit.optim.padam.test_padam import WAYS, assert_same, drive, parameter


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
    with pytest.warns(UserWarning, match="AdamW.*`lr`"):
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
    with pytest.warns(UserWarning, match="`lr`"):
        Padam.from_adam(adam)
    with pytest.raises(InputError, match="`speed`"):
        Padam.from_adam(adam, lr=0.1, speed=2)


def test_a_rate_of_adam_is_told_once_where_p_is_smaller_and_only_there(recwarn):
    adam = torch.optim.Adam([{"params": [parameter(1.0)]}, {"params": [parameter(2.0)]}])

    def padam(**options):
        return Padam([{"params": [parameter(1.0)]}, {"params": [parameter(2.0)]}], **options)

    opt = padam()
    opt.load_state_dict(adam.state_dict())
    (told,) = [str(w.message) for w in recwarn.list if "`lr`" in str(w.message)]
    assert all(given in told for given in ("Adam", "0.001", "0.125"))
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
    with pytest.warns(UserWarning, match=r"p = 0\.25.*`lr`"):
        Padam.from_adam(opt, p=0.125)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (torch.optim.NAdam, "NAdam"),
        (torch.optim.RAdam, "RAdam"),
        (torch.optim.Adamax, "Adamax"),
    ],
)
def test_moments_like_those_of_adam_are_not_enough(kind, words):
    other = kind([parameter(1.0)])
    other.step()
    opt = Padam([parameter(1.0)])
    before = copy.deepcopy(opt.state_dict())
    with pytest.raises(CheckpointError, match=words):
        opt.load_state_dict(other.state_dict())
    assert_same(opt.state_dict(), before)
    with pytest.raises(CheckpointError, match=words):
        Padam.from_adam(other)


@pytest.mark.parametrize(("given", "missing"), [({}, "param_groups"), ({"param_groups": []}, "state")])
def test_what_is_no_state_of_an_optimizer_is_refused(given, missing):
    with pytest.raises(CheckpointError, match=rf"`{missing}`.*`optimizer\.state_dict\(\)`"):
        Padam([parameter(1.0)]).load_state_dict(given)


def test_foreign_checkpoints_are_refused_and_change_nothing():
    x = parameter(1.0, 2.0)
    opt = Padam([x])
    opt.step()
    before = copy.deepcopy(opt.state_dict())
    sgd = torch.optim.SGD([parameter(1.0, 2.0)], 0.1, momentum=0.9)
    sgd.step()
    with pytest.raises(CheckpointError, match="SGD"):
        opt.load_state_dict(sgd.state_dict())
    other = Padam([parameter(1.0, 2.0, 3.0)])
    other.step()
    with pytest.raises(CheckpointError, match=r"`exp_avg`.*\(3,\)"):
        opt.load_state_dict(other.state_dict())
    with pytest.raises(CheckpointError, match=r"[Gg]roup 0"):
        opt.load_state_dict(Padam([parameter(1.0), parameter(1.0)]).state_dict())
    with pytest.raises(CheckpointError, match="parameter group"):
        opt.load_state_dict(Padam([{"params": [parameter(1.0)]}, {"params": [parameter(1.0)]}]).state_dict())
    bad = copy.deepcopy(before)
    bad["param_groups"][0]["p"] = 0.9
    with pytest.raises(InputError, match=r"`p`.*0\.9"):
        opt.load_state_dict(bad)
    assert_same(opt.state_dict(), before)
