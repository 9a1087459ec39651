"""Natural gradient in loops of users: layers of all sorts, frozen and replaced ones, odd states of an optimizer."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from linnet.errors import CaptureError, InputError, OptimizerStateError, TrainingError
from linnet.optim import NaturalGradient
from tests.unit.optim.natural.dense import assert_directions_equal, direction, parameters_of


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def perceptron():
    return nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3)).double()


def batch(count=12):
    return torch.randn(count, 5, dtype=torch.float64), torch.arange(count) % 3


def everyday(model, opt, x, y):
    opt.zero_grad()
    F.cross_entropy(model(x), y).backward()
    opt.step()


class Shifted(nn.Module):
    """A network that owns a parameter itself, as one with a position embedding does."""

    def __init__(self):
        super().__init__()
        self.shift, self.head = nn.Parameter(torch.randn(5)), nn.Linear(5, 3)

    def forward(self, x):
        return self.head(x + self.shift)


@pytest.mark.parametrize("fisher", ["model", "sampled", "empirical"])
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
        lambda: nn.Sequential(
            nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3)
        ),
    ],
    ids=["mlp", "cnn"],
)
def test_kfac_steps_with_a_batch_through_norms_in_train_mode_as_in_everyday_use(make, fisher):
    model, (x, y) = make().double(), batch()
    twin = copy.deepcopy(model)
    options = {"fisher": fisher, "damping": 0.1, "lr": 0.1, "rng_seed": 3}
    NaturalGradient(model, "cross_entropy", "kfac", **options).step(x, y)
    everyday(twin, NaturalGradient(twin, "cross_entropy", "kfac", **options), x, y)
    for (name, p), q in zip(model.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12, msg=name)


@pytest.mark.parametrize("fisher", ["model", "empirical"])
def test_a_network_that_owns_a_parameter_trains_in_everyday_use(fisher):
    model, (x, y) = Shifted().double(), batch()
    twin = copy.deepcopy(model)
    opt = NaturalGradient(model, "cross_entropy", "kfac", fisher, damping=0.1, lr=0.1)
    everyday(model, opt, x, y)
    NaturalGradient(twin, "cross_entropy", "kfac", fisher, damping=0.1, lr=0.1).step(x, y)
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-9, atol=1e-12)
    assert set(opt.report().covered) == {"shift", "head.weight", "head.bias"}


@pytest.mark.parametrize("slopes", [1, 6])
@pytest.mark.parametrize("approx", ["exact", "block"])
def test_slopes_of_prelu_equal_the_dense_ones(slopes, approx):
    model, (x, y) = nn.Sequential(nn.Linear(5, 6), nn.PReLU(slopes), nn.Linear(6, 3)).double(), batch()
    expected = direction(model, x, y, loss="cross_entropy", approx=approx, damping=0.1)
    before = parameters_of(model)
    NaturalGradient(model, "cross_entropy", approx, damping=0.1, lr=1.0, kl_clip=None).step(x, y)
    found = {name: before[name] - p for name, p in parameters_of(model).items()}
    assert_directions_equal(found, expected, relative=1e-10)


class Recurrent(nn.Module):
    """What vmap can't run over one sample at a time."""

    def __init__(self):
        super().__init__()
        self.inner, self.head = nn.LSTM(5, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.inner(x.unsqueeze(1))[0][:, -1])


@pytest.mark.parametrize("approx", ["kfac", "exact"])
def test_what_cant_be_read_sample_by_sample_follows_the_gradient_if_it_may(approx):
    model, (x, y) = Recurrent().double(), batch()
    strict = NaturalGradient(copy.deepcopy(model), "cross_entropy", approx, damping=0.1, lr=0.1, uncovered="raise")
    with pytest.raises(CaptureError, match="uncovered='gradient'"):
        strict.step(x, y)
    gradients = torch.autograd.grad(F.cross_entropy(model(x), y), list(model.inner.parameters()))
    start = [p.detach().clone() for p in model.inner.parameters()]
    opt = NaturalGradient(model, "cross_entropy", approx, damping=0.1, lr=0.1, uncovered="gradient")
    opt.step(x, y)
    for p, before, g in zip(model.inner.parameters(), start, gradients, strict=True):
        torch.testing.assert_close(p.detach(), before - 0.1 * g)
    assert set(opt.report().covered) == {"head.weight", "head.bias"}
    assert "sample by sample" in opt.report().uncovered["inner.weight_ih_l0"]
    if approx == "kfac":
        everyday(model, opt, x, y)
        assert set(opt.report().uncovered) == {name for name, _ in model.named_parameters() if "inner" in name}


@pytest.mark.parametrize("approx", ["exact", "kfac"])
def test_attention_steps_and_its_isotropy_is_measured(approx):
    layer = nn.TransformerEncoderLayer(8, 2, 8, dropout=0.0, batch_first=True)
    model = nn.Sequential(nn.Linear(5, 16), nn.Unflatten(1, (2, 8)), layer, nn.Flatten(), nn.Linear(16, 3)).double()
    opt = NaturalGradient(model, "cross_entropy", approx, damping=0.1, c=0.3)
    x, y = batch()
    losses = [opt.step(x, y) for _ in range(4)]
    assert losses[-1] < losses[0]
    assert opt.alpha > 0


def test_a_parameter_frozen_later_stays_and_is_told_no_more():
    model, (x, y) = perceptron(), batch()
    opt = NaturalGradient(model, "cross_entropy", "kfac", damping=0.1, lr=0.1, momentum=0.9, weight_decay=0.1)
    everyday(model, opt, x, y)
    for p in model[0].parameters():
        p.requires_grad_(False)
    before = copy.deepcopy(model[0].state_dict())
    everyday(model, opt, x, y)
    opt.zero_grad()
    opt.step(x, y)
    assert all(torch.equal(before[name], value) for name, value in model[0].state_dict().items())
    assert set(opt.report().covered) == {"2.weight", "2.bias"}


@pytest.mark.parametrize("approx", ["exact", "kfac"])
def test_replaced_layers_and_other_networks_are_refused(approx):
    model, (x, y) = perceptron(), batch()
    opt = NaturalGradient(model, "cross_entropy", approx, damping=0.1, lr=0.1)
    opt.step(x, y)
    model[0] = nn.Linear(5, 16).double()
    with pytest.raises(InputError, match=r"group 0.*new optimizer"):
        opt.step(x, y)
    with pytest.raises(InputError, match="group 0"):
        NaturalGradient(perceptron(), approx=approx, groups=[{"params": perceptron().parameters()}])


@pytest.mark.parametrize(
    ("lr", "value", "message"),
    [
        (0.1, math.nan, "`lr.*group 0.*nan"),
        (0.1, math.inf, "`lr.*group 0.*inf"),
        (0.1, -1.0, r"`lr.*group 0.*-1\.0"),
        (None, 2.5, r"`lr.*group 0.*2\.5"),
    ],
)
def test_rates_written_into_the_groups_are_checked(lr, value, message):
    model, (x, y) = perceptron(), batch()
    opt = NaturalGradient(model, "cross_entropy", damping=0.1, lr=lr)
    before = parameters_of(model)
    opt.param_groups[0]["lr"] = value
    with pytest.raises(InputError, match=message):
        opt.step(x, y)
    assert all(torch.equal(before[name], p) for name, p in parameters_of(model).items())


@pytest.mark.parametrize("bad", ["one-hot", "nan"])
def test_a_refused_or_skipped_batch_leaves_running_statistics_and_random_numbers(bad):
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    x, y = batch()
    opt = NaturalGradient(model, "cross_entropy", "kfac", damping=0.1, lr=0.1)
    before, numbers = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    if bad == "nan":
        assert math.isnan(opt.step(x * math.nan, y))
    else:
        with pytest.raises(InputError, match="`y`"):
            opt.step(x, F.one_hot(y, 3))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(numbers, torch.get_rng_state())


def test_a_state_with_another_meaning_of_lr_is_refused():
    opt = NaturalGradient(perceptron(), damping=0.1)
    with pytest.raises(OptimizerStateError, match="lr=None"):
        NaturalGradient(perceptron(), damping=0.1, lr=1e-3).load_state_dict(opt.state_dict())


@pytest.mark.parametrize("approx", ["exact", "kfac"])
def test_steps_inside_one_autocast_block_see_each_other(approx):
    model, (x, y) = perceptron().float(), batch()
    opt = NaturalGradient(model, "cross_entropy", approx, damping=0.1, c=0.3, kl_clip=None)
    with torch.autocast("cpu", torch.bfloat16):
        losses = [opt.step(x.float(), y) for _ in range(4)]
    assert losses[-1] < 0.9 * losses[0]


def test_a_forward_without_a_backward_adds_no_curvature():
    model, (x, y) = perceptron(), batch()
    twin = copy.deepcopy(model)
    opts = [NaturalGradient(m, "cross_entropy", "kfac", damping=0.1, lr=0.1) for m in (model, twin)]
    everyday(model, opts[0], x, y)
    twin(torch.randn(30, 5, dtype=torch.float64) * 100)
    loss = F.cross_entropy(twin(x), y)
    loss.backward()
    twin(torch.randn(30, 5, dtype=torch.float64) * 100)
    opts[1].step()
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q)
    twin.zero_grad()
    for p in twin.parameters():
        p.grad = torch.ones_like(p)
    fresh = NaturalGradient(twin, "cross_entropy", "kfac", damping=0.1, lr=0.1)
    twin(x)
    with pytest.raises(TrainingError, match="forward pass"):
        fresh.step()


def test_a_loss_scaler_that_nobody_told_of_is_found():
    model, (x, y) = perceptron().float(), batch()
    opt = NaturalGradient(model, "cross_entropy", "kfac", damping=0.1)
    scaler, before = torch.amp.GradScaler("cpu"), parameters_of(model)
    scaler.scale(F.cross_entropy(model(x.float()), y)).backward()
    with pytest.raises(TrainingError, match=r"NaturalGradient\(\.\.\., scaler=scaler\)"):
        scaler.step(opt)
    assert all(torch.equal(before[name], p) for name, p in parameters_of(model).items())


def test_parameters_behind_a_detached_path_are_told():
    trunk, head = nn.Linear(5, 4).double(), nn.Linear(4, 3).double()

    class Probe(nn.Module):
        def __init__(self):
            super().__init__()
            self.trunk, self.head = trunk, head

        def forward(self, x):
            return self.head(self.trunk(x).detach())

    model, (x, y) = Probe(), batch()
    opt = NaturalGradient(model, "cross_entropy", "kfac", damping=0.1, lr=0.1)
    everyday(model, opt, x, y)
    assert opt.report().uncovered == dict.fromkeys(("trunk.weight", "trunk.bias"), "no gradient came to it")
    opt.zero_grad()
    opt.step(x, y)
    assert "its path to the outputs is detached" in opt.report().uncovered["trunk.weight"]


@pytest.mark.parametrize("approx", ["exact", "block", "tridiagonal", "kfac", "unit"])
def test_a_resume_in_float32_with_momentum_has_the_same_bits(approx):
    def run(opt, seeds):
        for seed in seeds:
            torch.manual_seed(seed)
            x, y = batch()
            opt.step(x.float(), y)

    whole, parts = perceptron().float(), None
    parts = copy.deepcopy(whole)
    options = {"loss": "cross_entropy", "approx": approx, "damping": 0.1, "lr": 0.1, "momentum": 0.5}
    run(NaturalGradient(whole, **options), range(6))
    first = NaturalGradient(parts, **options)
    run(first, range(3))
    second = NaturalGradient(parts, **options)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    run(second, range(3, 6))
    for p, q in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(p, q)


def test_undamped_kfac_says_which_layer_has_too_few_inputs():
    model, x = perceptron(), torch.randn(12, 5, dtype=torch.float64)
    opt = NaturalGradient(model, "mse", "kfac", c=0.1)
    opt.step(x, torch.randn(12, 3, dtype=torch.float64))
    assert "`0.weight`: its inputs have rank 6, 6 short of the 12 samples" in str(opt.report())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"compute_dtype": torch.int32}, "`compute_dtype`"),
        ({"scaler": 1}, "`scaler`"),
        ({"rng_seed": 1.5}, "`rng_seed`"),
        ({"inverse_every": 1.5}, "`inverse_every`"),
        ({"adapt_damping": True}, "`adapt_damping`.*kfac"),
    ],
)
def test_more_arguments_that_cant_be_used_are_named(asked, message):
    with pytest.raises(InputError, match=message):
        NaturalGradient(perceptron(), **asked)


def test_parameters_in_the_place_of_the_network_are_told():
    with pytest.raises(InputError, match=r"`model`.*NaturalGradient\(model\)"):
        NaturalGradient(perceptron().parameters())


def test_a_closure_may_be_named():
    model, (x, y) = perceptron(), batch()
    opt = NaturalGradient(model, "cross_entropy", "kfac", damping=0.1, lr=0.1)

    def closure():
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    first = opt.step(closure=closure)
    assert float(opt.step(closure)) < float(first)
