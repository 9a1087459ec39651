"""Each refusal names what was given and what to do, and leaves the model and torch's random numbers as they were."""

import copy

import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.spectra import ntk
from linnet.spectra.rows import jacobian_rows
from linnet.spectra.rows.checks import loss_of
from linnet.spectra.rows.jacobian_rows import JacobianRows


class Centred(nn.Module):
    """Takes the batch's mean away: exchanging two samples alone wouldn't show it."""

    def forward(self, x):
        return x - x.mean(0)


class Noisy(nn.Module):
    def forward(self, x):
        return x + torch.randn_like(x)


class Counting(nn.Module):
    """Writes to a buffer in its forward, and leaves train mode on."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        torch.rand(1)
        return self.linear(x)


class Exploding(nn.Module):
    def forward(self, x):
        return (x + 1e38) * 1e30


class Root(nn.Module):
    """Finite, with an infinite derivative at 0."""

    def forward(self, x):
        return torch.sqrt(0 * x)


X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


def assert_refused(match, model, *arguments, **options):
    """The refusal, and that nothing changed."""
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    modes = [m.training for m in model.modules()]
    with pytest.raises(InputError, match=match):
        ntk(model, *arguments, **options)
    assert torch.equal(random, torch.get_rng_state())
    assert modes == [m.training for m in model.modules()]
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(p.grad is None for p in model.parameters())


def head(*before: nn.Module) -> nn.Module:
    return nn.Sequential(*before, nn.Linear(3, 2))


@pytest.mark.parametrize(
    ("match", "model", "arguments"),
    [
        (r"`0`: BatchNorm1d is in train mode.*Call model\.eval\(\)", head(nn.BatchNorm1d(3)), (X,)),
        (r"`0`: Dropout is active dropout.*Call model\.eval\(\)", head(nn.Dropout()), (X,)),
        (r"`1` \(Centred\) mixes the samples", head(nn.Tanh(), Centred()), (X,)),
        (r"`1` \(Noisy\) gives other numbers", head(nn.Tanh(), Noisy()), (X,)),
        (
            r"outputs of shape \(N, C\) \(got \(N, 2, 3, 3\)\).*AdaptiveAvgPool2d",
            nn.Conv2d(3, 2, 1),
            (torch.zeros(2, 3, 3, 3),),
        ),
        (r"`x2` must have the shape after axis 0 of `x`, \(3,\) \(got \(4,\)\)", head(), (X, torch.zeros(2, 4))),
        (r"`x2` must have the dtype of `x`", head(), (X, X.double())),
        (r"`x2` must have the device of `x`", head(), (X, X.to("meta"))),
        (r"`x` must be on the model's device", head(), (X.to("meta"),)),
        (r"`x` must have the model's dtype, torch.float32 \(got torch.float64\)", head(), (X.double(),)),
        (r"`x` must be a tensor with at least one sample", head(), (X[:0],)),
        (r"`model` must have a trainable parameter", head().requires_grad_(requires_grad=False), (X,)),
        (r"outputs must be finite.*`1` \(Exploding\)", head(nn.Tanh(), Exploding()), (X,)),
        (r"outputs must be finite.*`x` holds NaN", head(), (X * float("nan"),)),
        (
            r"kernel must be finite.*the outputs are finite, so the derivatives overflow",
            nn.Sequential(nn.Linear(3, 3), Root(), nn.Linear(3, 2)),
            (X,),
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_it_is_refused_by_name(match, model, arguments):
    assert_refused(match, model, *arguments)


def test_options_are_refused_by_name():
    assert_refused("`layers` must be one of", head(), X, layers="both")
    assert_refused("`outputs` must be one of", head(), X, outputs="diagonal")
    assert_refused("`draws` must be 2 or more", head(), X, outputs="trace", draws=1)
    assert_refused("`memory` must be a number of bytes", head(), X, memory=0)


def test_a_result_larger_than_the_memory_names_bytes_and_options(monkeypatch):
    monkeypatch.setattr(jacobian_rows, "free_bytes", lambda device: 100)
    assert_refused(r"256 bytes are needed \(got 100 free\).*outputs='trace'", head(), X)
    assert_refused(r"2 kernels.*512 bytes.*layers='sum'", head(nn.Linear(3, 3)), X, layers="each")


def test_an_unknown_layer_is_refused_with_the_nearest():
    with pytest.raises(InputError, match=r"`layer`.*'O'.*Did you mean|`layer`.*there are"):
        JacobianRows(head(), X, memory=2**20, only="O")


def test_losses_are_known_by_name_or_by_torch_module():
    assert loss_of("mse").name == "mse"
    assert loss_of(nn.CrossEntropyLoss()).name == "cross_entropy"
    with pytest.raises(InputError, match=r"`loss` must be one of .*'mse'"):
        loss_of("mae")
    with pytest.raises(InputError, match=r"which scale.*for_loss\(nn\.MSELoss\(\)\)"):
        loss_of(nn.MSELoss())
    with pytest.raises(InputError, match="label smoothing"):
        loss_of(nn.CrossEntropyLoss(label_smoothing=0.1))


def test_a_forward_that_writes_a_buffer_and_draws_numbers_leaves_no_trace():
    model = Counting()
    random, before = torch.get_rng_state(), copy.deepcopy(model.state_dict())
    ntk(model, X)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.training
