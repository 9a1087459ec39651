"""`loss.backward(); opt.step()` with K-FAC: equal to step(x, y), to one big batch, and to itself after a resume."""

import copy
import io

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrize

from linnet.core.capture.layers.scaled import ScaledLinear
from linnet.errors import InputError, NonFiniteLoss, OptimizerStateError, TrainingError
from linnet.optim import NaturalGradient


def cnn(dtype=torch.float64, norm=nn.Identity):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), norm(), nn.Tanh(), nn.Conv2d(6, 6, 3, stride=2, groups=2), nn.ReLU(inplace=True),
        nn.Flatten(), nn.Linear(6 * 4, 3),
    ).to(dtype)  # fmt: skip


def batch(samples=8, dtype=torch.float64, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(samples, 2, 6, 6, generator=generator, dtype=torch.float64).to(dtype)
    return x, torch.randint(0, 3, (samples,), generator=generator)


def make(model, **options):
    chosen = {"damping": 1e-2, "lr": 0.1, "factor_every": 2, "inverse_every": 4, "kl_clip": None} | options
    return NaturalGradient(model, chosen.pop("loss", "cross_entropy"), "kfac", **chosen)


def everyday(model, opt, x, y, parts=1):
    opt.zero_grad()
    for some, labels in zip(x.chunk(parts), y.chunk(parts), strict=True):
        (F.cross_entropy(model(some), labels) / parts).backward()
    opt.step()


@torch.no_grad()
def assert_same(one, other, tolerance=0.0):
    for (name, p), q in zip(one.named_parameters(), other.parameters(), strict=True):
        error = float((p - q).abs().max() / q.abs().max())
        assert error <= tolerance, f"{name}: {error:.2e}"


@pytest.mark.parametrize("fisher", ["model", "sampled", "empirical"])
def test_it_is_the_step_with_a_batch(fisher):
    one, other = cnn(), cnn()
    kind = {"fisher": fisher, "factor_every": 1 if fisher == "sampled" else 2}  # step(x, y) draws at every step
    first, second = make(one, **kind), make(other, **kind)
    for seed in range(5):
        x, y = batch(seed=seed)
        everyday(one, first, x, y)
        second.zero_grad()
        second.step(x, y)
        assert_same(one, other, 1e-11)
    assert first.report().covered == second.report().covered


def test_squared_error_in_the_users_units_is_a_multiple():
    one, other = cnn(), cnn()
    first, second = make(one, loss="mse"), make(other, loss="mse", lr=0.1 * 2 / 3)
    x = batch()[0]
    y = torch.ones(8, 3, dtype=torch.float64)
    nn.MSELoss()(one(x), y).backward()
    first.step()
    second.step(x, y)
    assert_same(one, other, 1e-12)


@pytest.mark.parametrize("fisher", ["model", "empirical"])
@pytest.mark.parametrize("options", [{}, {"ema": 0.0}, {"lr": None, "c": 0.5}])
def test_accumulated_micro_batches_are_one_big_batch(fisher, options):
    one, other = cnn(), cnn()
    first, second = make(one, fisher=fisher, **options), make(other, fisher=fisher, **options)
    for seed in range(3):
        x, y = batch(seed=seed)
        everyday(one, first, x, y, parts=4)
        everyday(other, second, x, y)
        assert_same(one, other, 1e-10)
    if "lr" in options:
        assert abs(first.alpha / second.alpha - 1) < 1e-10


def test_alpha_is_that_of_the_jacobian_product():
    one, other = cnn(), cnn()
    first, second = make(one, lr=None, c=0.3), make(other, lr=None, c=0.3)
    x, y = batch()
    everyday(one, first, x, y)
    second.step(x, y)
    assert abs(first.alpha / second.alpha - 1) < 1e-10
    assert_same(one, other, 1e-10)


@pytest.mark.parametrize("steps", [1, 3, 6])
def test_a_resume_in_the_middle_of_a_period_is_exact(steps):
    kind = {"fisher": "sampled", "momentum": 0.9, "weight_decay": 1e-2, "inverse_every": 5, "lr": None, "c": 0.2}
    norm = lambda: nn.BatchNorm2d(6)  # noqa: E731
    one = cnn(torch.float32, norm)
    first = make(one, **kind)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(first, 10)
    for seed in range(10):
        if seed == steps:
            file = io.BytesIO()
            torch.save([one.state_dict(), first.state_dict(), schedule.state_dict()], file)
        everyday(one, first, *batch(dtype=torch.float32, seed=seed))
        schedule.step()
    file.seek(0)
    weights, state, where = torch.load(file, weights_only=True)
    other = cnn(torch.float32, norm)
    other.load_state_dict(weights)
    second = make(other, **kind)
    again = torch.optim.lr_scheduler.CosineAnnealingLR(second, 10)
    second.load_state_dict(state)
    again.load_state_dict(where)
    for seed in range(steps, 10):
        everyday(other, second, *batch(dtype=torch.float32, seed=seed))
        again.step()
    assert_same(one, other)


def test_a_saved_state_doesnt_move_with_the_optimizer():
    model = cnn()
    opt = make(model)
    everyday(model, opt, *batch())
    state = copy.deepcopy(opt.state_dict())
    kept = opt.state_dict()
    for seed in range(3):
        everyday(model, opt, *batch(seed=seed))
    a, b = (s["natural"]["approximation"]["blocks"]["0.weight"]["a"] for s in (state, kept))
    assert torch.equal(a, b)


def test_model_and_optimizer_are_copied_together_and_a_lone_copy_is_inert():
    model = cnn()
    opt = make(model, fisher="sampled")
    everyday(model, opt, *batch())
    twin, other = copy.deepcopy((model, opt))
    average = copy.deepcopy(model)
    average(batch()[0]).sum().backward()
    for seed in range(4):
        everyday(model, opt, *batch(seed=seed))
        everyday(twin, other, *batch(seed=seed))
    assert_same(model, twin)
    assert other.model is twin


def test_groups_have_their_own_rate_damping_and_decay_and_frozen_parameters_stay():
    model, plain = cnn(), cnn()
    for net in (model, plain):
        net[0].requires_grad_(requires_grad=False)
    groups = [
        {"params": list(model[3].parameters()), "lr": 0.2, "damping": 1e-1},
        {"params": list(model[6].parameters()), "lr": 0.05, "damping": 1e-3, "weight_decay": 0.5},
    ]
    opt = make(model, groups=groups)
    x, y = batch()
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    everyday(model, opt, x, y)
    for layer, lr, damping, decay in ((3, 0.2, 1e-1, 0.0), (6, 0.05, 1e-3, 0.5)):
        other = cnn()
        other[0].requires_grad_(requires_grad=False)
        alone = make(other, lr=1.0, damping=damping)
        everyday(other, alone, x, y)
        for name in ("weight", "bias"):
            moved = getattr(model[layer], name) - start[f"{layer}.{name}"] * (1 - lr * decay)
            expected = lr * (getattr(other[layer], name) - start[f"{layer}.{name}"])
            torch.testing.assert_close(moved, expected, rtol=1e-9, atol=1e-12)
    assert torch.equal(model[0].weight, start["0.weight"])
    assert "0.weight" not in opt.report().covered


def test_a_bias_in_a_group_of_its_own_has_a_block_of_its_own():
    model = cnn()
    biases = [p for name, p in model.named_parameters() if "bias" in name]
    weights = [p for name, p in model.named_parameters() if "bias" not in name]
    opt = make(model, groups=[{"params": weights, "damping": 1e-2}, {"params": biases, "damping": 1e-1}])
    everyday(model, opt, *batch())
    covered = opt.report().covered
    assert "Kronecker" in covered["0.weight"]
    assert "exact block" in covered["0.bias"]


@pytest.mark.parametrize("bad", ["loss", "input"])
def test_a_step_that_isnt_finite_is_skipped_whole_and_ten_are_an_error(bad):
    model, twin = cnn(), cnn()
    opt, other = make(model), make(twin)
    for net, optimizer in ((model, opt), (twin, other)):
        everyday(net, optimizer, *batch())
        everyday(net, optimizer, *batch(seed=2))
    before = copy.deepcopy(model.state_dict())
    x, y = batch(seed=3)
    for number in range(10):
        opt.zero_grad()
        value = F.cross_entropy(model(x * float("nan") if bad == "input" else x), y)
        (value * float("inf") if bad == "loss" else value).backward()
        if number == 9:
            with pytest.raises(NonFiniteLoss, match="10 steps"):
                opt.step()
        else:
            opt.step()
        assert all(torch.equal(p, before[name]) for name, p in model.state_dict().items())
    everyday(model, opt, *batch(seed=4))
    everyday(twin, other, *batch(seed=4))
    assert_same(model, twin)
    assert opt.report().skipped == 10


def test_a_forward_whose_gradients_were_thrown_away_is_forgotten():
    model, twin = cnn(), cnn()
    opt, other = make(model), make(twin)
    F.cross_entropy(model(batch(seed=9)[0]), batch(seed=9)[1]).backward()
    everyday(model, opt, *batch())
    everyday(twin, other, *batch())
    assert_same(model, twin)
    other.zero_grad()
    loss = F.cross_entropy(twin(batch()[0]), batch()[1])
    other.zero_grad()  # between forward and backward: kept
    loss.backward()
    other.step()


def test_evaluation_and_copies_add_nothing():
    model, twin = cnn(), cnn()
    opt, other = make(model), make(twin)
    with torch.no_grad():
        model(batch(seed=7)[0])
    copy.deepcopy(model)(batch(seed=7)[0]).sum().backward()
    everyday(model, opt, *batch())
    everyday(twin, other, *batch())
    assert_same(model, twin)


def test_an_exception_in_the_forward_leaves_no_recording():
    model, twin = cnn(), cnn()
    opt, other = make(model), make(twin)
    with pytest.raises(RuntimeError):
        model(torch.zeros(2, 5, 6, 6, dtype=torch.float64))
    everyday(model, opt, *batch())
    everyday(twin, other, *batch())
    assert_same(model, twin)
    assert len(model._forward_pre_hooks) == 1
    assert all(not m._forward_hooks for m in model.modules())


def test_errors_say_what_is_missing():
    model = cnn()
    opt = make(model)
    with pytest.raises(TrainingError, match=r"loss\.backward\(\)"):
        opt.step()
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    with pytest.raises(TrainingError, match="forward pass"):
        opt.step()
    with pytest.raises(TrainingError, match=r"opt\.zero_grad\(\)"):
        opt.step(*batch())
    undamped = make(cnn(), damping=0.0)
    F.cross_entropy(undamped.model(batch()[0]), batch()[1]).backward()
    with pytest.raises(InputError, match="`damping`"):
        undamped.step()


def test_a_state_of_another_network_is_refused():
    model = cnn()
    opt = make(model)
    everyday(model, opt, *batch())
    other = make(nn.Sequential(nn.Flatten(), nn.Linear(72, 3)).double())
    with pytest.raises(OptimizerStateError, match=r"`0\.weight`"):
        other.load_state_dict(opt.state_dict())


class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Parameter(torch.ones(5000)), nn.Linear(5, 2)

    def forward(self, x):
        return self.head((x * self.table).view(len(x), 5, 1000).sum(2))


def test_a_large_parameter_of_ones_own_is_an_error_unless_it_may_follow_the_gradient():
    x, y = torch.randn(4, 5000), torch.tensor([0, 1, 0, 1])
    with pytest.raises(InputError, match=r"`table`.*uncovered='gradient'"):
        make(Wide(), uncovered="raise")
    model = Wide()
    opt = make(model, uncovered="gradient", lr=0.5)
    loss = F.cross_entropy(model(x), y)
    (g,) = torch.autograd.grad(loss, model.table, retain_graph=True)
    loss.backward()
    opt.step()
    torch.testing.assert_close(model.table, 1 - 0.5 * g)
    assert set(opt.report().uncovered) == {"table"}
    assert set(opt.report().covered) == {"head.weight", "head.bias"}


class Times(nn.Module):
    """W = s V."""

    def forward(self, v):
        return 0.5 * v


def test_a_large_parametrised_weight_has_the_step_of_a_scaled_layer():
    """The same network spelled with a scaled layer: the same step of the leaf."""
    torch.manual_seed(0)
    plain, spelled = nn.Linear(80, 60, bias=False), ScaledLinear(80, 60, weight_scale=0.5)
    with torch.no_grad():
        spelled.weight.copy_(plain.weight)
        start = plain.weight.double()
    parametrize.register_parametrization(plain, "weight", Times())
    heads = nn.Linear(60, 2)
    pair = [nn.Sequential(first, nn.Tanh(), copy.deepcopy(heads)).double() for first in (plain, spelled)]
    x, y = torch.randn(9, 80, dtype=torch.float64), torch.arange(9) % 2
    for model in pair:
        opt = make(model, lr=0.5)
        everyday(model, opt, x, y)
        assert opt.report().uncovered == {}
    ours, theirs = pair[0][0].parametrizations.weight.original, pair[1][0].weight
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    assert not torch.equal(ours, start)


@pytest.mark.parametrize("kl_clip", [1e-6, 1e6])
def test_the_kl_clip_scales_the_step(kl_clip):
    model, free = cnn(), cnn()
    start = [p.detach().clone() for p in model.parameters()]
    x, y = batch()
    everyday(free, make(free), x, y)
    everyday(model, make(model, kl_clip=kl_clip), x, y)
    twin = cnn()
    gradients = torch.autograd.grad(F.cross_entropy(twin(x), y), list(twin.parameters()))
    steps = [q.detach() - p for p, q in zip(start, free.parameters(), strict=True)]
    moved = -0.1 * float(sum((g * s).sum() for g, s in zip(gradients, steps, strict=True)))
    scale = min(1.0, (kl_clip / moved) ** 0.5)
    assert (scale < 1) == (kl_clip < 1)
    for p, q, s in zip(start, model.parameters(), steps, strict=True):
        torch.testing.assert_close(q.detach() - p, scale * s, rtol=1e-9, atol=1e-15)
