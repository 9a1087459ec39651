"""The spectrum beside the dense P x P matrix, all three routes, layers, centring, and what it refuses."""

import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.models import ResNet
from linnet.spectra import fisher, spectrum
from tests.unit.optim.natural.dense import curvature, jacobian

F64 = torch.float64


def network(outputs: int = 3, width: int = 12) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, outputs)).double()
    return model, torch.randn(7, 4, dtype=F64)


def dense(model: nn.Module, x: torch.Tensor, loss: str, *, centred: bool = False, prefix: str = "") -> torch.Tensor:
    rows = torch.cat([j for name, j in jacobian(model, x).items() if name.startswith(prefix)], dim=1)
    with torch.no_grad():
        f = model(x)
    if centred:
        grid = rows.view(len(x), -1, rows.shape[1])
        rows = (grid - grid.mean(0)).flatten(0, 1)
    return rows.T @ curvature(f, loss) @ rows / len(x)


def assert_spectrum(found, expected: torch.Tensor) -> None:
    values = torch.linalg.eigvalsh(expected).flip(0)
    count = len(found.eigenvalues)
    torch.testing.assert_close(found.eigenvalues, values[:count], rtol=1e-8, atol=1e-8 * float(values[0]))
    assert float(values[count:].abs().max() if count < len(values) else 0.0) < 1e-10 * float(values[0])
    assert found.zeros == len(values) - count
    assert found.mean == pytest.approx(float(expected.trace()) / len(expected))
    assert found.second_moment == pytest.approx(float(expected.square().sum()) / len(expected))
    assert found.max == pytest.approx(float(values[0]))
    assert float(found.eigenvalues.sum()) / len(values) == pytest.approx(found.mean)
    assert float(found.eigenvalues.square().sum()) / len(values) == pytest.approx(found.second_moment)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize(("width", "route"), [(12, "dual"), (1, "primal")])
def test_it_is_that_of_the_dense_matrix(loss, width, route):
    model, x = network(width=width)
    if width == 1:
        x = torch.randn(40, 4, dtype=F64)
    found = fisher(model, x, loss)
    assert found.method.route == route
    assert_spectrum(found, dense(model, x, loss))
    assert_spectrum(found.centered(), dense(model, x, loss, centred=True))
    assert_spectrum(found.layer("2"), dense(model, x, loss, prefix="2."))
    assert "Fisher matrix" in str(found)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_products_alone_give_top_moments_and_density(loss, monkeypatch):
    model, x = network()
    whole = fisher(model, x, loss)
    monkeypatch.setattr(spectrum, "DENSE_ROWS", 1)
    found = fisher(model, x, loss)
    assert found.method.route == "products"
    with pytest.raises(InputError, match=r"14 x 14|21 x 21.*bytes.*\.top\(k\)"):
        _ = found.eigenvalues
    top = found.top(5)
    torch.testing.assert_close(top.values, whole.eigenvalues[:5], rtol=1e-8, atol=0)
    assert found.max == pytest.approx(whole.max)
    assert found.mean == pytest.approx(whole.mean)
    assert found.second_moment == pytest.approx(whole.second_moment, rel=0.5)
    centred = found.centered()
    assert centred.method.route == "products"
    assert centred.max == pytest.approx(whole.centered().max)
    drawn, exact = found.density(probes=6, deflate=2), whole.density()
    assert drawn.integral == pytest.approx(1.0, abs=2e-3)
    assert exact.integral == pytest.approx(1.0, abs=2e-3)
    assert drawn.atom == pytest.approx(exact.atom, abs=0.02)
    _, low, high = drawn.moment(1)
    assert low <= exact.moment(1)[0] <= high
    assert exact.moment(1)[0] == pytest.approx(whole.mean)


def test_top_gives_residuals_and_vectors_in_the_space_of_rows():
    model, x = network()
    found = fisher(model, x)
    top = found.top(3)
    torch.testing.assert_close(top.values, found.eigenvalues[:3])
    kernel = torch.cat(list(jacobian(model, x).values()), dim=1)
    kernel = kernel @ kernel.T / len(x)
    torch.testing.assert_close(
        (kernel @ top.vectors - top.vectors * top.values).norm(dim=0), top.residuals, atol=1e-10, rtol=0
    )


def test_the_null_direction_of_softmax_and_the_bound_by_half_of_mse():
    model, x = network()
    mse, soft = fisher(model, x), fisher(model, x, "cross_entropy")
    assert len(mse.eigenvalues) == 21
    assert len(soft.eigenvalues) == 14
    gap = dense(model, x, "mse") / 2 - dense(model, x, "cross_entropy")
    assert float(torch.linalg.eigvalsh(gap)[0]) > -1e-12


def test_a_residual_network_in_float32_is_close_to_float64():
    torch.manual_seed(0)
    model = ResNet(classes=3, width=4).eval()
    x = torch.randn(6, 3, 8, 8)
    single = fisher(model, x, "cross_entropy").eigenvalues
    double = fisher(model.double(), x.double(), "cross_entropy").eigenvalues
    torch.testing.assert_close(single, double[: len(single)], rtol=1e-4, atol=1e-6 * float(double[0]))


def test_the_method_tells_route_bytes_and_the_contraction_of_each_layer():
    model, x = network(width=60)
    method = fisher(model, x).method
    assert [cost.name for cost in method.layers] == ["0", "2"]
    assert method.peak_bytes > 21 * 21 * 8
    assert "positions" in str(method) or "gradients" in str(method)


def test_a_model_that_changed_since_is_refused():
    model, x = network()
    found = fisher(model, x)
    with torch.no_grad():
        model[0].weight.mul_(2)
    with pytest.raises(InputError, match=r"`model` must have the weights.*deepcopy"):
        found.layer("0")
    with pytest.raises(InputError, match=r"`model` must have the weights"):
        found.centered()


def test_what_cant_be_used_is_named():
    model, x = network()
    with pytest.raises(InputError, match=r"`loss` must be one of"):
        fisher(model, x, "hinge")
    with pytest.raises(InputError, match=r"which scale"):
        fisher(model, x, nn.MSELoss())
    with pytest.raises(InputError, match=r"2 classes or more"):
        fisher(nn.Linear(4, 1).double(), x, "cross_entropy")
    with pytest.raises(InputError, match=r"`layer`.*'layer0'"):
        fisher(model, x).layer("layer0")
    found = fisher(model, x)
    for call, match in (
        (lambda: found.layer(None), r"`name` must be the path of a layer \(got None\)"),
        (lambda: found.compare("theory"), r"`theory` must be what theory.*got str"),
        (lambda: found.top(0), "`count` and `steps`"),
        (lambda: found.top("a"), "`count` and `steps`"),
        (lambda: found.top(2.5), "`count` and `steps`"),
        (lambda: found.top(2, steps=0), "`count` and `steps`"),
        (lambda: found.top(2, tolerance=-1.0), "`tolerance` must be a number >= 0"),
        (lambda: found.top(2, tolerance=float("nan")), "`tolerance` must be a number >= 0"),
        (lambda: found.density(probes=0), "`probes` >= 2"),
        (lambda: found.density(scale="cubic"), "`scale` must be one of"),
        (lambda: found.density([1.0, 2.0]), r"`grid` must be a tensor.*got list"),
        (lambda: found.density(torch.tensor([float("nan")])), "`grid` must be a tensor of finite"),
        (lambda: found.density(torch.empty(0)), r"`grid`.*got shape \(0,\)"),
        (lambda: found.density(torch.tensor([2.0, 1.0])), "`grid`.*ascending"),
    ):
        with pytest.raises(InputError, match=match):
            call()
    with pytest.raises(InputError, match=r"must converge.*got a residual of \d.*Raise `steps` or `tolerance`"):
        fisher(model, x).top(3, steps=1, tolerance=0.0)
