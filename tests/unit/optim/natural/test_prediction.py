"""The function-space law: by hand, from a kernel, and on the measured curve."""

import copy

import pytest
import torch

from linnet.errors import InputError
from linnet.models import ntk_mlp
from linnet.optim import NaturalGradient, predict
from linnet.spectra import ntk
from tests.unit.optim.natural.dense import jacobian


@pytest.fixture
def problem():
    torch.manual_seed(0)
    model = ntk_mlp(depth=3, width=256, inputs=30, outputs=2).double()
    x = torch.nn.functional.normalize(torch.randn(20, 30, dtype=torch.float64))
    x_test = torch.nn.functional.normalize(torch.randn(8, 30, dtype=torch.float64))
    return model, x, torch.randn(20, 2, dtype=torch.float64) / 2, x_test, torch.zeros(8, 2, dtype=torch.float64)


@pytest.mark.parametrize("approx", ["exact", "block", "tridiagonal"])
def test_undamped_training_outputs_go_to_the_targets_as_powers(problem, approx):
    model, x, y, x_test, y_test = problem
    found = predict(model, (x, y), (x_test, y_test), approx, c=0.5, steps=4)
    with torch.no_grad():
        f = model(x)
    for step in range(5):
        torch.testing.assert_close(found.train[step], y + 0.5**step * (f - y), rtol=1e-8, atol=1e-8)
        expected = float((found.test[step] - y_test).square().sum()) / 16
        assert float(found.loss_test[step]) == pytest.approx(expected)
    assert found.alpha == {"exact": 1, "block": 3, "tridiagonal": 1}[approx]
    assert torch.isnan(predict(model, (x, y), x_test, approx, steps=1).loss_test).all()


@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_exact_test_outputs_equal_the_closed_form(problem, damping):
    model, x, y, x_test, _ = problem
    rows, others = (torch.cat(list(jacobian(model, points).values()), dim=1) for points in (x, x_test))
    theta, cross = rows @ rows.T / 20, others @ rows.T / 20
    inverse = torch.linalg.inv(theta + damping * torch.eye(40, dtype=torch.float64))
    with torch.no_grad():
        r, f_test = (model(x) - y).reshape(-1), model(x_test)
    found = predict(model, (x, y), x_test, "exact", steps=3, damping=damping, lr=0.7)
    total = torch.zeros_like(r)
    for step in range(4):
        expected = f_test - (0.7 * cross @ inverse @ total).view_as(f_test)
        torch.testing.assert_close(found.test[step], expected, rtol=1e-7, atol=1e-7)
        total = total + r
        r = r - 0.7 * theta @ inverse @ r


@pytest.mark.parametrize("damping", [0.0, 1e-3])
@pytest.mark.parametrize("approx", ["exact", "block", "tridiagonal", "gradient"])
def test_the_networks_own_kernel_gives_the_networks_own_curve(problem, approx, damping):
    model, x, y, x_test, y_test = problem
    own = predict(model, (x, y), (x_test, y_test), approx, steps=3, damping=damping)
    given = predict(
        model, (x, y), (x_test, y_test), approx, steps=3, damping=damping,
        kernel=lambda a, b: ntk(model, a, b, layers="each"),
    )  # fmt: skip
    torch.testing.assert_close(given.train, own.train, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(given.test, own.test, rtol=1e-6, atol=1e-8)
    assert given.alpha == pytest.approx(own.alpha)


@pytest.mark.parametrize("approx", ["exact", "block", "tridiagonal"])
def test_the_measured_curve_lies_on_the_line_at_great_width(problem, approx):
    _, x, y, x_test, _ = problem
    gaps = []
    for width in (64, 1024):
        torch.manual_seed(1)
        model = ntk_mlp(depth=3, width=width, inputs=30, outputs=2).double()
        found = predict(model, (x, y), x_test, approx, c=0.5, steps=3)
        before = copy.deepcopy(model.state_dict())
        optimizer = NaturalGradient(model, "mse", approx, c=0.5)
        for step in range(3):
            assert optimizer.step(x, y) == pytest.approx(float(found.loss_train[step]), rel=3 if width == 64 else 0.4)
        with torch.no_grad():
            gaps.append(float((model(x_test) - found.test[3]).norm() / found.test[0].norm()))
        assert any(not torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert gaps[1] < gaps[0] / 2


def test_predict_changes_nothing(problem):
    model, x, y, x_test, _ = problem
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    predict(model, (x, y), x_test, "block")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(p.grad is None for p in model.parameters())


def test_what_has_no_prediction_is_named(problem):
    model, x, y, x_test, _ = problem
    with pytest.raises(InputError, match=r"`loss`.*one-hot"):
        predict(model, (x, y), x_test, loss="cross_entropy")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="`steps`"):
        predict(model, (x, y), x_test, steps=0)
    with pytest.raises(InputError, match=r"`y`.*\(20, 7\)"):
        predict(model, (x, torch.ones(len(x), 7).double()), x_test)
    with pytest.raises(InputError, match=r"`y`.*9"):
        predict(model, (x, y), (x_test, torch.ones(len(x_test) + 1, 1).double()))
    with pytest.raises(InputError, match=r"`x`.*None"):
        predict(model, (x, y), None)
    with pytest.raises(InputError, match=r"`kernel`.*\(3, 3\)"):
        predict(model, (x, y), x_test, kernel=lambda a, b: {"all": torch.ones(3, 3)})
    with pytest.raises(InputError, match="kfac"):
        predict(model, (x, y), x_test, "kfac", kernel=lambda a, b: {"all": torch.ones(20, 20)})
