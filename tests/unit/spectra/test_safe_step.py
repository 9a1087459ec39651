"""Just below the limit the loss goes down, just above it blows up; units, intervals, and what is refused."""

import copy

import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.models import ConvNet
from linnet.spectra import density, fisher, input_metric, safe_lr, verify_lr
from linnet.spectra.loss_hessian import LossHessian
from linnet.spectra.safe_step import step_of
from tests.unit.optim.natural.dense import jacobian


def mlp(activation: type[nn.Module] = nn.Tanh) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 40), activation(), nn.Linear(40, 3))


X = torch.randn(20, 6, generator=torch.Generator().manual_seed(1))
Y = torch.randn(20, 3, generator=torch.Generator().manual_seed(2))


def test_it_is_two_over_the_largest_eigenvalue_within_its_interval():
    model = mlp()
    found = safe_lr(model, X)
    exact = fisher(model.double(), X.double()).max
    assert found.lambda_max == pytest.approx(exact, rel=1e-4)
    assert float(found) == pytest.approx(2 / found.lambda_max)
    assert found.lo <= 2 / exact <= found.hi * (1 + 1e-4)
    assert "Gauss-Newton matrix of mse at 20 samples" in str(found)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_a_spectrum_gives_the_same_step(loss):
    model = mlp()
    found, direct = step_of(fisher(model, X, loss)), safe_lr(model, X, loss)
    assert (found.loss, found.samples, found.outputs, found.how) == (
        direct.loss, direct.samples, direct.outputs, direct.how,
    )  # fmt: skip
    for name in ("value", "lo", "hi", "lambda_max"):
        assert getattr(found, name) == pytest.approx(getattr(direct, name), rel=1e-5)
    with pytest.raises(InputError, match=r"`found` must be a spectrum that `fisher` gave.*input metric"):
        step_of(input_metric(model, X))


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_training_of_a_perceptron_goes_down_below_and_blows_up_above(activation, momentum, loss):
    model = mlp(activation)
    before = copy.deepcopy(model.state_dict())
    found = verify_lr(model, X, safe_lr(model, X, loss, momentum=momentum), loss=loss)
    assert found.holds, str(found)
    assert found.below.peak <= 1.0 or momentum > 0
    assert "verified" in str(found)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_training_of_a_convolutional_network():
    torch.manual_seed(0)
    model = ConvNet(input_shape=(1, 8, 8), classes=4, widths=(4, 8)).eval()
    x = torch.randn(12, 1, 8, 8)
    assert verify_lr(model, x, safe_lr(model, x)).holds


def test_the_limit_in_the_units_of_torch_losses_is_verified_by_torch():
    """SGD on nn.MSELoss near a zero of the loss, 0.9 and 1.1 of the converted limit."""
    model = mlp()
    converted = safe_lr(model, X).for_loss(nn.MSELoss())
    assert float(converted) == pytest.approx(float(safe_lr(model, X)) * 3 / 2)
    assert float(safe_lr(model, X).for_loss(nn.MSELoss(reduction="sum"))) == pytest.approx(
        float(safe_lr(model, X)) / 40
    )
    peaks = []
    for factor in (0.9, 1.1):
        twin, target = copy.deepcopy(model), model(X).detach()
        with torch.no_grad():
            for p in twin.parameters():
                p.add_(1e-3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(3)))
        sgd, losses = torch.optim.SGD(twin.parameters(), lr=factor * float(converted)), []
        for _ in range(60):
            loss = nn.MSELoss()(twin(X), target)
            losses.append(float(loss.detach()))
            sgd.zero_grad()
            loss.backward()
            sgd.step()
        peaks.append((max(losses) / losses[0], losses[-1] / losses[0]))
    assert peaks[0][1] < 1
    assert peaks[1][0] > 10
    soft = safe_lr(model, X, "cross_entropy")
    assert float(soft.for_loss(nn.CrossEntropyLoss())) == float(soft)
    assert "these weights only" in soft.how
    with pytest.raises(InputError, match=r"`loss` must be nn\.MSELoss for 'mse'"):
        soft.for_loss(nn.MSELoss())


def test_the_true_hessian_adds_the_residual():
    model = mlp().double()
    x, y = X.double(), Y.double()
    hessian = LossHessian(model, x, y)
    dense = torch.stack([hessian(e) for e in torch.eye(hessian.size, dtype=torch.float64)])
    flat = torch.cat([p.detach().flatten() for p in model.parameters()])
    sizes = [p.numel() for p in model.parameters()]
    names = [name for name, _ in model.named_parameters()]

    def value(theta):
        parts = {n: t.view_as(p) for n, t, p in zip(names, theta.split(sizes), model.parameters(), strict=True)}
        return (torch.func.functional_call(model, parts, (x,)) - y).square().sum() / 40

    torch.testing.assert_close(dense, torch.func.jacrev(torch.func.jacrev(value))(flat))
    found = safe_lr(model, (x, y), curvature="hessian", tolerance=1e-8)
    assert found.lambda_max == pytest.approx(float(torch.linalg.eigvalsh(dense)[-1]))
    assert found.lambda_max != pytest.approx(safe_lr(model, x).lambda_max, rel=1e-3)
    drawn = density(hessian, size=hessian.size, probes=4, deflate=2, steps=40)
    _, low, high = drawn.moment(1)
    assert low <= float(dense.trace()) / len(dense) <= high
    at_zero = LossHessian(model, x, model(x).detach())
    rows = torch.cat(list(jacobian(model, x).values()), dim=1)
    v = torch.randn(hessian.size, dtype=torch.float64)
    torch.testing.assert_close(at_zero(v), rows.T @ (rows @ v) / 20)


def test_a_loader_read_in_part_widens_the_interval():
    model = mlp()
    loader = [(X[k : k + 4], Y[k : k + 4]) for k in range(0, 20, 4)]
    whole, part = safe_lr(model, loader), safe_lr(model, loader, batches=3)
    assert whole.lambda_max == pytest.approx(safe_lr(model, X).lambda_max, rel=1e-5)
    assert "rest not read" in part.how
    assert part.hi / part.lo > whole.hi / whole.lo
    assert part.lo < float(part) < part.hi


def test_labels_can_be_the_targets_of_the_trial():
    model = mlp()
    found = verify_lr(model, (X, Y), safe_lr(model, X), targets="data", steps=10)
    assert found.below.losses[0] == pytest.approx(float((model(X) - Y).square().sum().detach() / 40))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m: safe_lr(m, X, "l1"), "`loss` must be one of"),
        (lambda m: safe_lr(m, X, nn.MSELoss()), r"which scale.*for_loss\(nn\.MSELoss\(\)\)"),
        (lambda m: safe_lr(m, X, momentum=1.0), r"`momentum` must be within \[0, 1\)"),
        (lambda m: safe_lr(m, X, curvature="full"), "`curvature` must be one of"),
        (lambda m: safe_lr(m, X, curvature="hessian"), r"must hold labels.*Give \(x, y\)"),
        (lambda m: safe_lr(m, []), "at least one batch"),
        (lambda m: safe_lr(m, X, batches=0), "`batches`"),
        (lambda m: safe_lr(m, ["a"]), r"`data` must be x, \(x, y\)"),
        (lambda m: safe_lr(m.requires_grad_(requires_grad=False), X), "`model` must have a trainable parameter"),
        (lambda m: verify_lr(m, X, 0.0), "`lr` must be above 0"),
        (lambda m: verify_lr(m, X, 0.1, targets="data"), "must hold labels"),
        (lambda m: verify_lr(m, X, 0.1, targets="zero"), "`targets` must be one of"),
        (lambda m: LossHessian(m, X, None), "`y` must be a tensor of targets"),
        (
            lambda m: LossHessian(m, X, torch.zeros(3, 2)),
            r"one target for each of the \d+ samples \(got shape \(3, 2\)",
        ),
        (lambda m: LossHessian(m, X, torch.tensor(1.0)), r"one target for each of the \d+ samples \(got shape \(\)"),
        (
            lambda m: LossHessian(m, X, Y.masked_fill(torch.arange(len(Y))[:, None] == 2, float("nan"))),
            r"`y` must be finite \(got NaN or infinity, first in sample 2\)",
        ),
        (lambda m: safe_lr(m, 5), r"`data` must be x, \(x, y\) or batches of them \(got int\)"),
        (lambda m: safe_lr(m, None), r"`data` must be x.*got NoneType"),
        (lambda m: safe_lr(m, [{"x": X}]), r"got a batch of dict"),
        (lambda m: safe_lr(m, iter(())), "at least one batch"),
        (lambda m: safe_lr(m, (X, "labels")), "got a batch of str"),
        (lambda m: safe_lr(m, [(X, "labels")]), "labels as tensors"),
        (lambda m: safe_lr(m, X[:0]), "at least one sample"),
        (lambda m: safe_lr(m, X, momentum="0.9"), r"`momentum` must be within \[0, 1\)"),
        (lambda m: safe_lr(m, X, momentum=float("nan")), "`momentum`"),
        (lambda m: safe_lr(m, X, tolerance=-1.0), "`tolerance`"),
        (lambda m: safe_lr(m, X, tolerance="a"), "`tolerance`"),
        (lambda m: safe_lr(m, [X], batches="2"), "`batches`"),
        (lambda m: safe_lr(m, X * float("nan")), "`x` holds NaN"),
        (lambda m: safe_lr(m, X).for_loss("mse"), "`loss` must be nn.MSELoss for 'mse'"),
        (lambda m: safe_lr(m, X).for_loss(nn.MSELoss(reduction="none")), "reduced by 'mean' or 'sum'"),
        (lambda m: verify_lr(m, X, "0.1"), r"`lr` must be above 0 \(got '0.1'\)"),
        (lambda m: verify_lr(m, X, float("inf")), "`lr` must be above 0"),
        (lambda m: verify_lr(m, X, 0.1, steps=0), "`steps` must be 1 or more"),
    ],
)
def test_what_cant_be_used_is_named(call, match):
    with pytest.raises(InputError, match=match):
        call(mlp())
