"""Steps are bounded by default: wrong labels, long rates and stale curvature don't make a run explode."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from linnet.errors import TrainingError
from linnet.optim import NaturalGradient
from linnet.optim.natural.update import clip_scale

ADAM = (1e-3, 3e-3, 1e-2)  # half a decade each from torch's default, as in benchmarks/time_to_target/robustness.py
HOW_TO = {"fisher": "sampled", "damping": 0.1, "c": 0.3}  # docs/howto/natural_gradient.md, "Minibatches"


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3))


def noisy(share):
    """Three linear classes; a share of the labels is redrawn."""
    draw = torch.Generator().manual_seed(1)
    x, w = torch.randn(256, 5, generator=draw), torch.randn(5, 3, generator=draw)
    other = torch.randint(0, 3, (256,), generator=draw)
    return x, torch.where(torch.rand(256, generator=draw) < share, other, (x @ w).argmax(1))


def trained(model, step, x, y, epochs=5):
    """The loss of the whole set after five epochs of eight batches."""
    order = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for chosen in torch.randperm(len(x), generator=order).split(32):
            step(x[chosen], y[chosen])
    return float(F.cross_entropy(model(x), y).detach())


def everyday(model, optimizer):
    def step(x, y):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def adam(x, y):
    """Adam's best of three rates."""
    ends = []
    for lr in ADAM:
        model = network()
        ends.append(trained(model, everyday(model, torch.optim.Adam(model.parameters(), lr)), x, y))
    return min(ends)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 1.0])
def test_with_labels_redrawn_every_approximation_ends_no_worse_than_adams_best_of_three_rates(share):
    x, y = noisy(share)
    best = adam(x, y)
    for approx in ("exact", "block", "tridiagonal", "unit", "kfac"):
        model = network()
        options = {"fisher": "sampled"} if approx == "kfac" else HOW_TO
        end = trained(model, NaturalGradient(model, "cross_entropy", approx, **options).step, x, y)
        assert end <= best, (approx, end, best)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_momentum_alone_leaves_the_bound_of_the_accumulated_step_where_it_was(share):
    x, y = noisy(share)
    ends = {}
    for momentum in (0.0, 0.9):
        model = network()
        opt = NaturalGradient(model, "cross_entropy", "kfac", momentum=momentum)
        assert opt.param_groups[0]["kl_clip"] == pytest.approx(0.01 * (1 - momentum))
        ends[momentum] = trained(model, everyday(model, opt), x, y, epochs=10)
    assert ends[0.9] <= adam(x, y)
    assert ends[0.9] < ends[0.0] + 0.05


def test_without_a_bound_the_settings_of_the_how_to_explode_on_wrong_labels_and_the_guard_says_so():
    x, y = noisy(0.1)
    model = network()
    opt = NaturalGradient(model, "cross_entropy", "exact", **HOW_TO, kl_clip=None)
    with pytest.raises(TrainingError, match=r"`kl_clip`.*`lr`.*`damping`"):
        trained(model, opt.step, x, y, epochs=20)
    assert all(bool(p.isfinite().all()) for p in model.parameters())


@pytest.mark.parametrize("lr", [0.02, 0.1, 0.3, 3.0])
def test_everyday_kfac_holds_over_two_decades_of_rates_without_any_other_setting(lr):
    x, y = noisy(0.1)
    model = network()
    end = trained(model, everyday(model, NaturalGradient(model, "cross_entropy", "kfac", lr=lr)), x, y)
    assert end < 0.6


def test_kfac_works_in_everyday_use_with_no_settings_at_all():
    x, y = noisy(0.0)
    model = network()
    opt = NaturalGradient(model, "cross_entropy", "kfac")
    assert trained(model, everyday(model, opt), x, y) < 0.3
    group = opt.param_groups[0]
    assert (group["kl_clip"], group["damping"]) == (0.01, 0.01)


def test_a_quadratic_loss_has_no_clip_and_no_damping_by_default():
    for approx in ("exact", "block", "kfac", "unit"):
        group = NaturalGradient(network(), "mse", approx).param_groups[0]
        assert (group["kl_clip"], group["damping"]) == (None, 0.0)


@pytest.mark.parametrize("dense", [True, False])
def test_inverses_are_refreshed_densely_in_the_first_steps(dense):
    model, (x, y) = network(), noisy(0.0)
    opt = NaturalGradient(
        model, "cross_entropy", "kfac", lr=1e-3, factor_every=10, inverse_every=20, dense_start=dense, isotropy_every=0
    )
    seen, steps = None, []
    for step in range(41):
        opt.step(x, y)
        now = opt._approximation.blocks["0.weight"].a_inverse
        if now is not seen:
            steps.append(step)
        seen = now
    assert steps == ([0, 1, 2, 4, 8, 16, 20, 40] if dense else [0, 20, 40])


def test_the_guard_reads_the_loss_from_the_users_gradients():
    """Without a closure: the target's distribution is softmax(f) minus the gradient that came to the outputs."""
    model, (x, y) = network(), noisy(0.0)
    opt = NaturalGradient(model, "cross_entropy", "kfac", factor_every=1)
    for parts in (1, 4):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y).detach()
        for chosen in torch.arange(len(x)).split(len(x) // parts):
            (F.cross_entropy(model(x[chosen]), y[chosen]) / parts).backward()
        opt.step()
        heard, at_zero = opt._approximation.told_losses
        assert heard == pytest.approx(float(loss), rel=1e-5)
        assert at_zero == pytest.approx(float(torch.tensor(3.0).log()), rel=1e-5)


def test_an_infinite_step_is_an_error_of_its_own_and_not_a_step_of_length_nan():
    one = {"w": torch.full((2,), 1e30)}
    with pytest.raises(ArithmeticError, match="infinite"):
        clip_scale(one, one, eta=1.0, most=1e-2)


def test_a_step_uphill_is_bounded_like_one_downhill():
    """The tridiagonal metric isn't positive definite."""
    down = clip_scale({"w": torch.ones(4)}, {"w": torch.ones(4)}, eta=1.0, most=1e-2)
    assert down == pytest.approx(0.05)
    assert clip_scale({"w": torch.ones(4)}, {"w": -torch.ones(4)}, eta=1.0, most=1e-2) == down
