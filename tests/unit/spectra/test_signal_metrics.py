"""Input and feature metrics beside explicit Jacobians; the steepest direction of each sample."""

import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.spectra import feature_metric, input_metric, steepest_directions, theory
from tests.unit.optim.natural.dense import curvature
from tests.unit.spectra.test_mean_field import standard

F64 = torch.float64


def network() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12, 4)).double()
    return model, torch.randn(5, 2, 4, 4, dtype=F64)


def expected(function, signal: torch.Tensor, f: torch.Tensor, loss: str) -> torch.Tensor:
    total = 0.0
    for n in range(len(signal)):
        j = torch.func.jacrev(lambda s: function(s.unsqueeze(0))[0])(signal[n]).detach().flatten(1)
        total = total + j.T @ curvature(f[n : n + 1], loss) @ j
    return total / len(signal)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_metrics_are_those_of_explicit_jacobians(loss):
    model, x = network()
    f = model(x).detach()
    a = expected(model, x, f, loss)
    found = input_metric(model, x, loss)
    assert found.source.size == 32
    torch.testing.assert_close(found.eigenvalues, torch.linalg.eigvalsh(a).flip(0)[: len(found.eigenvalues)])
    assert found.mean == pytest.approx(float(a.trace()) / 32)
    hidden = model[0](x).detach()
    of_features = expected(lambda h: model[1:](h.clone()), hidden, f, loss)
    layer = feature_metric(model, x, "0", loss)
    values = torch.linalg.eigvalsh(of_features).flip(0)
    torch.testing.assert_close(layer.eigenvalues, values[: len(layer.eigenvalues)])
    assert layer.zeros == 12 - len(layer.eigenvalues)
    assert not any(m._forward_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())


def test_the_metric_of_an_embedding_takes_tokens():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 2)).double()
    x = torch.randint(0, 5, (4, 2))
    weight = model[2].weight.detach()
    found = feature_metric(model, x, "0").eigenvalues
    torch.testing.assert_close(found, torch.linalg.eigvalsh(weight @ weight.T).flip(0))


def test_the_steepest_direction_of_each_sample():
    model, x = network()
    found = steepest_directions(model, x)
    assert found.vectors.shape == x.shape
    for n in range(len(x)):
        j = torch.func.jacrev(lambda s: model(s.unsqueeze(0))[0])(x[n]).detach().flatten(1)
        assert float((j @ found.vectors[n].flatten()).norm()) == pytest.approx(float(torch.linalg.svdvals(j)[0]))
        assert float(found.vectors[n].norm()) == pytest.approx(1.0)


def test_wide_networks_come_near_the_theory_of_the_last_hidden_layer():
    torch.manual_seed(0)
    model, x = standard("tanh", 3.0, 0.64, 400, 4), torch.randn(60, 400)
    found = theory(3, "tanh", 3.0, 0.64, 400, 60, 4)
    assert feature_metric(model, x, "3").mean == pytest.approx(found.metric(2).mean, rel=0.1)
    assert input_metric(model, x).mean == pytest.approx(found.metric(0).mean, rel=0.25)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m, x: input_metric(m, x.long()), r"`x` must be floating.*int64"),
        (lambda m, x: feature_metric(m, x, "4"), r"`layer` must be a module.*'4'"),
        (lambda m, x: input_metric(m, x, "hinge"), "`loss` must be one of"),
        (
            lambda m, x: input_metric(nn.Sequential(nn.Flatten(), nn.Linear(32, 1).double()), x, "cross_entropy"),
            "2 classes",
        ),
        (lambda m, x: input_metric(nn.Sequential(nn.Dropout(), m), x), r"active dropout.*model\.eval\(\)"),
        (lambda m, x: feature_metric("m", x, "0"), r"`model` must be a torch.nn.Module \(got str\)"),
        (lambda m, x: feature_metric(m, x, 3), r"`layer` must be a module.*got 3\)"),
        (lambda m, x: input_metric(m, x[:, :1]), "forward takes"),
        (lambda m, x: input_metric(m, list(x)), r"got list"),
    ],
)
def test_what_cant_be_used_is_named(call, match):
    model, x = network()
    with pytest.raises(InputError, match=match):
        call(model, x)
