"""A run that was stopped after any step ends with the same bits as one that was not."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from linnet.engine.checkpoint.flat_state import flatten, load_optimizer, unflatten
from linnet.errors import InputError
from linnet.optim import NaturalGradient
from linnet.optim.natural.kronecker import kronecker_block

STEPS = 40
PERIODS = {"factor_every": 3, "inverse_every": 7}  # neither divides the other


def conv_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )


def batches(steps=STEPS):
    draw = torch.Generator().manual_seed(1)
    return [(torch.randn(6, 1, 8, 8, generator=draw), torch.randint(0, 3, (6,), generator=draw)) for _ in range(steps)]


def through_a_file(state):
    """As a checkpoint keeps it: tensors in the plain layout, and a JSON value."""
    tensors, skeleton = flatten(state, "optimizer")
    return unflatten(skeleton, {name: t.contiguous().clone() for name, t in tensors.items()})


def run(make, steps, given, *, everyday=False):
    """The weights after every step; with `steps` of (network, optimizer) before each."""
    model, opt = make()
    kept = []
    for x, y in given[:steps]:
        kept.append((copy.deepcopy(model.state_dict()), through_a_file(opt.state_dict())))
        _step(model, opt, x, y, everyday=everyday)
    return model, kept


def _step(model, opt, x, y, *, everyday):
    if not everyday:
        opt.step(x, y)
        return
    opt.zero_grad()
    F.cross_entropy(model(x), y).backward()
    opt.step()


def assert_resumes_everywhere(make, *, steps=STEPS, ahead=8, everyday=False):
    """From the state before every step the next weights are those of the run that went on; the last to the end."""
    given = batches(steps)
    model, kept = run(make, steps, given, everyday=everyday)
    weights = [weight for weight, _ in kept] + [model.state_dict()]
    for start, (weight, state) in enumerate(kept):
        twin, opt = make()
        twin.load_state_dict(weight)
        load_optimizer(opt, state)
        end = min(steps, start + ahead)
        for x, y in given[start:end]:
            _step(twin, opt, x, y, everyday=everyday)
        for name, value in twin.state_dict().items():
            assert torch.equal(value, weights[end][name]), (start, name)


def maker(approx, **options):
    def make():
        model = conv_net()
        return model, NaturalGradient(model, "cross_entropy", approx, lr=0.05, damping=0.05, **options)

    return make


@pytest.mark.parametrize("approx", ["exact", "block", "tridiagonal", "unit"])
def test_the_approximations_without_factors_resume_at_every_step(approx):
    assert_resumes_everywhere(maker(approx, fisher="sampled", isotropy_every=0), ahead=2)


@pytest.mark.parametrize("approx", ["exact", "block"])
def test_momentum_in_function_space_resumes_at_every_step(approx):
    assert_resumes_everywhere(maker(approx, momentum=0.5, isotropy_every=0), steps=8, ahead=3)


@pytest.mark.parametrize("ema", [0.95, 0.0])
@pytest.mark.parametrize("everyday", [True, False])
def test_kfac_resumes_at_every_step_with_periods_that_dont_divide_each_other(ema, everyday):
    options = {"fisher": "sampled", "momentum": 0.9, "ema": ema, "isotropy_every": 0, **PERIODS}
    assert_resumes_everywhere(maker("kfac", **options), everyday=everyday)


def test_wide_sides_that_are_kept_as_vectors_resume_at_every_step(monkeypatch):
    monkeypatch.setattr(kronecker_block, "HUGE", 10)
    assert_resumes_everywhere(maker("kfac", fisher="sampled", isotropy_every=0, **PERIODS), everyday=True)


def test_a_checkpoint_keeps_the_layout_of_memory():
    laid = {
        "turned": torch.randn(3, 4).mT,
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "plain": torch.randn(3),
        "a part": torch.randn(4, 6)[:, :3],
    }
    found = through_a_file(laid)
    for name, tensor in laid.items():
        assert torch.equal(found[name], tensor)
        assert found[name].stride() == (tensor.contiguous() if name == "a part" else tensor).stride(), name


def test_all_settings_are_in_the_groups_restored_and_live():
    make = maker("kfac", momentum=0.9, kl_clip=1e-3, compute_dtype=torch.bfloat16, stop_above=3.0, **PERIODS)
    _, opt = make()
    state = through_a_file(opt.state_dict())
    _, other = maker("kfac")()
    other.load_state_dict(state)
    for key in ("momentum", "kl_clip", "stop_above", "factor_every", "inverse_every", "compute_dtype", "ema"):
        assert other.param_groups[0][key] == opt.param_groups[0][key]
    x, y = batches(1)[0]
    other.step(x, y)
    settings = other._approximation.settings
    assert (settings.momentum, settings.kl_clip, settings.kronecker.factor_every) == (0.9, 1e-3, 3)
    assert settings.kronecker.compute_dtype == torch.bfloat16
    other.param_groups[0]["momentum"] = 1.5
    with pytest.raises(InputError, match="`momentum`"):
        other.step(x, y)


def test_a_state_from_before_the_settings_were_in_the_groups_is_taken():
    _, opt = maker("kfac", kl_clip=1e-3)()
    state = opt.state_dict()
    for group in state["param_groups"]:
        for key in ("momentum", "kl_clip", "stop_above", "dense_start", "ema"):
            del group[key]
    _, other = maker("kfac", kl_clip=1e-4)()
    other.load_state_dict(state)
    assert other.param_groups[0]["kl_clip"] == 1e-4


def test_settings_that_differ_between_groups_are_refused_by_name():
    model = conv_net()
    groups = [{"params": model[0].parameters(), "momentum": 0.5}, {"params": model[2].parameters()}]
    with pytest.raises(InputError, match="`momentum` must be the same in all groups"):
        NaturalGradient(model, "cross_entropy", "kfac", groups=groups)


def test_a_layer_frozen_in_mid_training_is_left_alone_whatever_is_refreshed_then():
    model = conv_net()
    opt = NaturalGradient(model, "cross_entropy", "kfac", lr=0.05, **PERIODS)
    for step, (x, y) in enumerate(batches(16)):
        if step == 5:
            model[2].requires_grad_(requires_grad=False)
            before = model[2].weight.detach().clone()
        _step(model, opt, x, y, everyday=True)
    assert torch.equal(before, model[2].weight)
    assert "2.weight" not in opt.report().covered
