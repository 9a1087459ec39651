"""The front: Fisher kinds, groups, momentum, report, state, and every refusal with nothing changed."""

import copy
import io
import math

import pytest
import torch
from torch import nn

from linnet.core.jacobian.losses import LOSSES
from linnet.errors import CaptureError, InputError, NonFiniteLoss, OptimizerStateError, TrainingError
from linnet.models import ResNet, SmallUNet, ntk_mlp
from linnet.optim import NaturalGradient
from tests.unit.optim.natural.dense import assert_directions_equal, direction, layer_numbers, parameters_of
from tests.unit.optim.natural.dual.test_exact import taken

N = 5


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def perceptron(inputs: int = 6, width: int = 5, outputs: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Linear(inputs, width), nn.Tanh(), nn.Linear(width, 4), nn.Tanh(), nn.Linear(4, outputs)
    ).double()


def batch(loss: str = "mse") -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randn(N, 6, dtype=torch.float64)
    return x, torch.randn(N, 3, dtype=torch.float64) if loss == "mse" else torch.randint(0, 3, (N,))


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("approx", ["exact", "block", "tridiagonal"])
@pytest.mark.parametrize("fisher", ["sampled", "empirical"])
def test_the_other_fisher_kinds_equal_the_dense_ones(loss, approx, fisher):
    model, (x, y) = perceptron(), batch(loss)
    with torch.no_grad():
        f = model(x)
    if fisher == "sampled":
        w = LOSSES[loss].draw(f, torch.Generator().manual_seed(7))[0]
    else:
        w = LOSSES[loss].residual(f, y)
    q = torch.block_diag(*[torch.outer(one, one) for one in w])
    expected = direction(model, x, y, loss=loss, approx=approx, damping=0.02, q=q)
    found = taken(model, x, y, loss=loss, approx=approx, damping=0.02, fisher=fisher, rng_seed=7)
    assert_directions_equal(found, expected, relative=1e-9)


@pytest.mark.parametrize("approx", ["exact", "block", "tridiagonal"])
@pytest.mark.parametrize("fisher", ["model", "sampled"])
def test_groups_have_their_own_damping_lr_and_decay(approx, fisher):
    model, (x, y) = perceptron(), batch()
    before = parameters_of(model)
    rho = {name: 0.3 if name.startswith("2.") else 0.02 for name in before}
    with torch.no_grad():
        w = LOSSES["mse"].draw(model(x), torch.Generator().manual_seed(0))[0]
    q = torch.block_diag(*[torch.outer(one, one) for one in w]) if fisher == "sampled" else None
    expected = direction(model, x, y, loss="mse", approx=approx, damping=rho, q=q)
    groups = [
        {"params": [*model[0].parameters(), *model[4].parameters()]},
        {"params": model[2].parameters(), "damping": 0.3, "lr": 0.2, "weight_decay": 0.5},
    ]
    NaturalGradient(model, "mse", approx, fisher, damping=0.02, lr=0.7, groups=groups).step(x, y)
    found = parameters_of(model)
    for name, value in found.items():
        lr, decay = (0.2, 0.5) if name.startswith("2.") else (0.7, 0.0)
        torch.testing.assert_close(value, (1 - lr * decay) * before[name] - lr * expected[name], rtol=1e-9, atol=1e-11)


def test_a_parameter_outside_the_groups_stays_and_is_told():
    model, (x, y) = perceptron(), batch()
    model[0].bias.requires_grad_(requires_grad=False)
    before = parameters_of(model)
    optimizer = NaturalGradient(model, damping=0.1, lr=1.0, groups=[{"params": model[0].parameters()}])
    optimizer.step(x, y)
    report = optimizer.report()
    assert set(report.covered) == {"0.weight"}
    assert set(report.uncovered) == {"2.weight", "2.bias", "4.weight", "4.bias"}
    assert "in no parameter group" in report.uncovered["2.weight"]
    assert torch.equal(model[2].weight, before["2.weight"])
    assert not torch.equal(model[0].weight, before["0.weight"])


@pytest.mark.parametrize(("approx", "alpha"), [("exact", 1.0), ("block", 3.0)])
def test_momentum_in_function_space_keeps_isotropy_and_the_part_that_outputs_cant_see(approx, alpha):
    model, (x, y) = perceptron(width=40), batch()
    optimizer = NaturalGradient(model, "mse", approx, momentum=0.8, isotropy_every=1, c=0.5)
    optimizer.step(x, y)
    first = {name: optimizer.state[p]["previous"].clone() for name, p in model.named_parameters()}
    plain = taken(copy.deepcopy(model), x, y, loss="mse", approx=approx, lr=1e-3)
    optimizer.step(x, y)
    assert optimizer._isotropy.alpha == pytest.approx(alpha)
    assert optimizer.report().isotropy_error < 1e-8
    second = {name: optimizer.state[p]["previous"] for name, p in model.named_parameters()}
    gap = sum(float(((second[n] - plain[n]) * first[n]).sum()) for n in first)
    assert gap > 0  # it leans towards the last direction


def test_heavy_ball_adds_the_last_steps():
    model, (x, y) = perceptron(), batch()
    optimizer = NaturalGradient(model, "mse", "tridiagonal", damping=0.1, lr=0.1, momentum=0.5)
    first = direction(model, x, y, loss="mse", approx="tridiagonal", damping=0.1)
    optimizer.step(x, y)
    before = parameters_of(model)
    second = direction(model, x, y, loss="mse", approx="tridiagonal", damping=0.1)
    optimizer.step(x, y)
    found = {name: (before[name] - p) / 0.1 for name, p in parameters_of(model).items()}
    assert_directions_equal(found, {name: second[name] + 0.5 * first[name] for name in second}, relative=1e-9)


def test_kl_clip_bounds_the_step():
    model, (x, y) = perceptron(), batch()
    rows = direction(model, x, y, loss="mse", approx="exact", damping=0.1)
    found = taken(model, x, y, lr=1.0, loss="mse", approx="exact", damping=0.1, kl_clip=1e-4)
    names = list(rows)
    ratio = found[names[0]].flatten()[0] / rows[names[0]].flatten()[0]
    assert 0 < float(ratio) < 0.2
    assert_directions_equal(found, {name: ratio * value for name, value in rows.items()}, relative=1e-9)


@pytest.mark.parametrize("approx", ["exact", "block", "kfac"])
def test_the_kl_clip_knows_the_measured_alpha(approx):
    """lr=None and a damping: eta = c / alpha is known only after the Jacobian-vector product."""
    model, (x, y) = perceptron(), batch()
    start = parameters_of(model)
    options = {"loss": "mse", "approx": approx, "damping": 0.1, "lr": None, "c": 0.5}
    free = NaturalGradient(copy.deepcopy(model), **options)
    free.step(x, y)
    steps = {name: p - start[name] for name, p in parameters_of(free.model).items()}
    gradient = torch.autograd.grad(LOSSES["mse"].value(model(x), y), list(model.parameters()))
    moved = -free.report().lr * sum(float((g * s).sum()) for g, s in zip(gradient, steps.values(), strict=True))
    clipped = NaturalGradient(copy.deepcopy(model), **options, kl_clip=moved / 9)
    clipped.step(x, y)
    found = {name: p - start[name] for name, p in parameters_of(clipped.model).items()}
    assert_directions_equal(found, {name: s / 3 for name, s in steps.items()}, relative=1e-9)
    assert clipped.alpha == pytest.approx(free.alpha, rel=1e-12)
    assert clipped.report().lr == pytest.approx(free.report().lr, rel=1e-12)
    assert clipped.report().step_kl == pytest.approx(free.report().step_kl / 9, rel=1e-9)
    wide = NaturalGradient(copy.deepcopy(model), **options, kl_clip=moved * 1.01)
    wide.step(x, y)
    assert_directions_equal(
        {name: p - start[name] for name, p in parameters_of(wide.model).items()}, steps, relative=1e-12
    )


def test_the_report_says_that_drawn_targets_are_not_isotropic():
    model, (x, y) = perceptron(), batch()
    optimizer = NaturalGradient(model, "mse", "exact", "sampled", damping=0.1)
    optimizer.step(x, y)
    assert "one random target for each sample" in str(optimizer.report())
    plain = NaturalGradient(model, "mse", "exact", damping=0.1)
    plain.step(x, y)
    assert "random target" not in str(plain.report())


def test_a_scheduler_moves_c():
    model, (x, y) = perceptron(width=40), batch()
    optimizer = NaturalGradient(model, "mse", "block", c=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)
    optimizer.step(x, y)
    assert optimizer.report().lr == pytest.approx(0.5 / 3)
    scheduler.step()
    optimizer.step(x, y)
    assert optimizer.report().lr == pytest.approx(0.05 / 3)


def test_the_report_is_a_table_and_the_loss_is_the_one_before_the_update():
    model, (x, y) = perceptron(width=40), batch()
    optimizer = NaturalGradient(model, "mse", "exact")
    with pytest.raises(TrainingError, match=r"report.*opt\.step\(x, y\)"):
        optimizer.report()
    assert optimizer.alpha is None
    with torch.no_grad():
        expected = float((model(x) - y).square().sum() / (2 * N))
    assert optimizer.step(x, y) == pytest.approx(expected)
    report = optimizer.report()
    assert report.step_kl == pytest.approx(expected)  # c = 1 lands on the targets
    assert all(word in str(report) for word in ("alpha", "isotropy error", "4.bias", "Cholesky, float64"))


@pytest.mark.parametrize("approx", ["exact", "block", "tridiagonal", "kfac"])
@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: ntk_mlp(depth=3, width=8, inputs=12, outputs=2, bias_variance=0.1), (2, 12)),
        (lambda: ResNet(classes=2, width=4), (2, 3, 8, 8)),
        (lambda: SmallUNet(widths=(4, 4, 4), stem=4), (2, 3, 16, 16)),
    ],
)
def test_every_trainable_parameter_is_told_once(approx, make, shape):
    model = make().eval()
    x = torch.randn(shape)
    with torch.no_grad():
        y = torch.randn_like(model(x).flatten(1))
    wrapped = nn.Sequential(model, nn.Flatten())
    optimizer = NaturalGradient(wrapped, "mse", approx, "sampled", damping=1.0)
    optimizer.step(x, y)
    report = optimizer.report()
    assert sorted([*report.covered, *report.uncovered]) == sorted(name for name, _ in wrapped.named_parameters())
    assert not report.uncovered


@pytest.mark.parametrize("approx", ["exact", "block", "tridiagonal"])
def test_state_resumes_exactly_and_is_read_with_weights_only(approx):
    model, (x, y) = perceptron(), batch()
    asked = {"approx": approx, "fisher": "model" if approx != "tridiagonal" else "sampled", "damping": 0.1, "lr": 0.5}
    asked |= {"momentum": 0.5}
    optimizer = NaturalGradient(model, **asked)
    for _ in range(3):
        optimizer.step(x, y)
    file = io.BytesIO()
    torch.save([model.state_dict(), optimizer.state_dict()], file)
    file.seek(0)
    weights, state = torch.load(file, weights_only=True)
    twin = perceptron()
    twin.load_state_dict(weights)
    resumed = NaturalGradient(twin, **asked)
    resumed.load_state_dict(state)
    copied = copy.deepcopy(optimizer)
    assert copied.model is not model
    losses = [[o.step(x, y) for _ in range(3)] for o in (optimizer, resumed, copied)]
    assert losses[0] == losses[1] == losses[2]
    assert resumed.report().step == 6


def test_state_of_another_kind_or_architecture_is_refused():
    optimizer = NaturalGradient(perceptron(), approx="exact")
    with pytest.raises(OptimizerStateError, match="'block'"):
        optimizer.load_state_dict(NaturalGradient(perceptron(), approx="block").state_dict())
    with pytest.raises(OptimizerStateError, match=r"`0\.weight`.*\[7, 6\]"):
        optimizer.load_state_dict(NaturalGradient(perceptron(width=7), approx="exact").state_dict())
    with pytest.raises(OptimizerStateError, match="NaturalGradient"):
        optimizer.load_state_dict(torch.optim.SGD(perceptron().parameters(), lr=1.0).state_dict())


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"approx": "blok"}, r"`approx`.*[Dd]id you mean.*block"),
        ({"loss": "mae"}, r"`loss`.*[Dd]id you mean.*mse"),
        ({"fisher": "sample"}, r"`fisher`.*[Dd]id you mean.*sampled"),
        ({"damping": -1.0}, "`damping`"),
        ({"damping": math.nan}, "`damping`.*nan"),
        ({"c": 2.0}, "`c`"),
        ({"c": 0}, "`c`"),
        ({"lr": -0.1}, "`lr`"),
        ({"momentum": 1.0}, "`momentum`"),
        ({"momentum": 0.5, "fisher": "sampled"}, "`momentum`.*fisher"),
        ({"uncovered": "skip"}, "`uncovered`"),
        ({"factor_every": 0}, "`factor_every`"),
        ({"model": nn.ReLU()}, "`model`"),
    ],
)
def test_arguments_that_cant_be_used_are_named(asked, message):
    with pytest.raises(InputError, match=message):
        NaturalGradient(**{"model": perceptron(), **asked})


def test_five_layers_undamped_tridiagonal_name_the_five_and_the_remedies():
    sizes = [nn.Linear(6, 6) for _ in range(5)]
    with pytest.raises(InputError, match=r"tridiagonal.*'block'.*damping"):
        NaturalGradient(nn.Sequential(*sizes), approx="tridiagonal")
    with pytest.raises(InputError, match=r"tridiagonal.*exact"):
        NaturalGradient(nn.Sequential(*sizes[:2]), approx="tridiagonal")
    NaturalGradient(nn.Sequential(*sizes), approx="tridiagonal", damping=1e-6)


def mixed_groups(model):
    return [{"params": model[0].parameters()}, {"params": model[2].parameters(), "damping": 0.1}]


def test_groups_with_and_without_damping_are_refused():
    model = perceptron()
    with pytest.raises(InputError, match="`damping`"):
        NaturalGradient(model, groups=mixed_groups(model))


def refused(optimizer: NaturalGradient, error: type[Exception], message: str, *given) -> None:
    """The step raises, and network, optimizer and random state are as they were."""
    weights = copy.deepcopy(optimizer.model.state_dict())
    state, numbers = copy.deepcopy(optimizer.state_dict()), torch.get_rng_state()
    with pytest.raises(error, match=message):
        optimizer.step(*given)
    assert all(torch.equal(weights[name], value) for name, value in optimizer.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), numbers)
    after = optimizer.state_dict()
    assert torch.equal(after["natural"].pop("generator"), state["natural"].pop("generator"))
    assert str(after) == str(state)
    assert not optimizer.model._forward_hooks or optimizer._approximation.name == "kfac"


def test_a_batch_that_cant_be_used_changes_nothing():
    x, y = batch()
    optimizer = NaturalGradient(perceptron(), "mse", "block", "sampled", damping=0.1)
    refused(optimizer, InputError, r"`y`.*\b4\b", x, y[:4])
    refused(optimizer, InputError, r"`y`.*\(5, 2\)", x, y[:, :2])
    refused(optimizer, InputError, r"(?=.*'mse').*`y`.*int64", x, torch.ones(5, 3, dtype=torch.int64))
    refused(optimizer, InputError, r"`y`.*opt\.step\(x, y\)", x)
    refused(optimizer, TrainingError, r"opt\.step\(x, y\).*kfac")
    optimizer = NaturalGradient(perceptron(), "cross_entropy", "exact", damping=0.1)
    refused(optimizer, InputError, "`y`.*float64", x, y)
    refused(optimizer, InputError, r"`y`.*\(5, 1\)", x, torch.zeros(5, 1, dtype=torch.int64))
    refused(optimizer, InputError, "`y`.*0 to 3", x, torch.tensor([0, 1, 2, 3, 0]))
    optimizer = NaturalGradient(perceptron(), solve_rows=10, damping=0.1)
    refused(optimizer, InputError, "`solve_rows`.*fisher='sampled'.*kfac", x, y)
    (optimizer.model(x).sum()).backward()
    refused(optimizer, TrainingError, r"opt\.zero_grad\(\)", x, y)
    optimizer.zero_grad()
    with pytest.raises(InputError, match="`solve_rows`"):
        optimizer.step(x, y)


@pytest.mark.parametrize("approx", ["exact", "block", "tridiagonal", "unit"])
def test_layers_that_couple_samples_are_refused(approx):
    x, y = batch()
    model = nn.Sequential(nn.Linear(6, 3), nn.BatchNorm1d(3), nn.Dropout(0.2)).double()
    optimizer = NaturalGradient(model, "mse", approx, damping=0.1)
    refused(optimizer, InputError, rf"`1`.*BatchNorm1d.*approx='{approx}'.*model\.eval\(\).*kfac", x, y)
    model[1].eval()
    refused(optimizer, InputError, "`2`.*Dropout", x, y)


def test_too_narrow_layers_at_damping_0_tell_rank_and_a_damping():
    x, y = batch()
    model = nn.Sequential(
        nn.Linear(6, 2, bias=False), nn.Linear(2, 3, bias=False), nn.Linear(3, 3, bias=False)
    ).double()
    refused(
        NaturalGradient(model, "mse", "block"),
        InputError,
        r"`0`.*rank \d+ of 15.*damping.*such as \d",
        x,
        y,
    )
    refused(NaturalGradient(model, "mse", "exact"), InputError, "rank.*damping", x, y)


def test_repeated_samples_with_equal_targets_are_no_fault_at_damping_0():
    x, y = batch()
    model = perceptron(width=40)
    once, twice = (
        taken(copy.deepcopy(model), *pair, loss="mse", approx="block")
        for pair in ((x, y), (x.repeat(2, 1), y.repeat(2, 1)))
    )
    assert_directions_equal(twice, once, relative=1e-6)


def test_steps_with_nan_are_skipped_counted_and_end_after_ten():
    model, (x, y) = perceptron(), batch()
    optimizer = NaturalGradient(model, damping=0.1)
    optimizer.step(x, y)
    weights = copy.deepcopy(model.state_dict())
    bad = x.clone()
    bad[0, 0] = math.nan
    assert all(math.isnan(optimizer.step(bad, y)) for _ in range(9))
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert optimizer.report().skipped == 9
    with pytest.raises(NonFiniteLoss, match=r"10 steps.*nan"):
        optimizer.step(bad, y)


class Outside(nn.Module):
    """Uses a child's weight inside and outside the child's forward."""

    def __init__(self):
        super().__init__()
        self.child, self.head = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.child(x) @ self.child.weight)


class Opaque(nn.Module):
    """A forward that can't be run sample by sample."""

    def __init__(self):
        super().__init__()
        self.scale, self.lin = nn.Parameter(torch.ones(6)), nn.Linear(6, 3)

    def forward(self, x):
        return self.lin(x * self.scale * float(x.shape[0] + x.sum().item() * 0))


def test_a_use_that_cant_be_seen_is_found_at_the_first_step():
    x, y = batch()
    refused(NaturalGradient(Outside().double(), damping=0.1), CaptureError, r"`child\.weight`", x, y)
    refused(NaturalGradient(Opaque().double(), damping=0.1), CaptureError, "scale.*uncovered='gradient'", x, y)


def test_layers_by_number_are_the_modules_in_the_models_order():
    assert layer_numbers(parameters_of(perceptron())) == {
        "0.weight": 0, "0.bias": 0, "2.weight": 1, "2.bias": 1, "4.weight": 2, "4.bias": 2,
    }  # fmt: skip
