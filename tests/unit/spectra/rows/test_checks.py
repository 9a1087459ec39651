"""Each refusal names what was given and what to do, and leaves the model and torch's random numbers as they were."""

import copy

import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.spectra import feature_metric, fisher, input_metric, ntk, safe_lr, theory_for, verify_lr
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
        (
            r"`0`: BatchNorm1d keeps no running statistics.*track_running_stats=True",
            head(nn.BatchNorm1d(3, track_running_stats=False)).eval(),
            (X,),
        ),
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


@pytest.mark.parametrize(
    ("model", "match"),
    [
        (None, r"`model` must be a torch\.nn\.Module \(got NoneType\)"),
        (nn.Linear, r"`model` must be a torch\.nn\.Module \(got the class Linear\)"),
        (lambda x: x, r"`model` must be a torch\.nn\.Module \(got function\)"),
    ],
)
@pytest.mark.parametrize(
    "call",
    [
        fisher,
        ntk,
        lambda model, x: ntk(model, x, x),
        safe_lr,
        lambda model, x: safe_lr(model, (x, x), curvature="hessian"),
        lambda model, x: verify_lr(model, x, 0.1),
        input_metric,
        lambda model, x: feature_metric(model, x, "0"),
        theory_for,
    ],
)
def test_what_is_no_module_is_refused(call, model, match):
    with pytest.raises(InputError, match=match):
        call(model, X)


@pytest.mark.parametrize("call", [fisher, ntk, safe_lr, input_metric, theory_for])
def test_a_lazy_layer_is_refused_and_stays_lazy(call):
    model = nn.Sequential(nn.LazyLinear(4), nn.Tanh(), nn.Linear(4, 2))
    with pytest.raises(InputError, match=r"got `0\.weight`, a lazy one\)\. Run model\(x\) once"):
        call(model, X)
    assert isinstance(model[0], nn.LazyLinear)


def test_inference_mode_is_named():
    with torch.inference_mode(), pytest.raises(InputError, match=r"The call stands in torch\.inference_mode\(\)"):
        ntk(head(), X)


class Returning(nn.Module):
    """Gives what a function makes of a linear layer's outputs."""

    def __init__(self, then):
        super().__init__()
        self.linear, self.then = nn.Linear(3, 2), then

    def forward(self, x):
        return self.then(self.linear(x))


@pytest.mark.parametrize(
    ("then", "match"),
    [
        (lambda f: {"logits": f}, r"must give a tensor \(N, C\) \(got a dict\)"),
        (lambda f: (f, f), r"got a tuple\)"),
        (lambda f: None, r"got a NoneType\)"),
        (lambda f: f.sum(), r"outputs of shape \(N, C\) \(got \(\)\)"),
        (lambda f: f[:1], r"outputs of shape \(N, C\) \(got \(1, 2\)\)"),
        (lambda f: f[:, :0], r"with C >= 1 \(got shape \(1, 0\)\)"),
        (lambda f: f.argmax(1), r"floating outputs.*got torch.int64.*logits"),
        (lambda f: f.detach(), r"depend on a trainable parameter.*\.detach\(\)"),
        (
            lambda f: f.double() @ f,
            r"`x` must be inputs that the model's forward takes.*RuntimeError.*model\(x\[:1\]\)",
        ),
    ],
)
def test_outputs_that_have_no_jacobian_are_refused(then, match):
    assert_refused(match, Returning(then), X)


@pytest.mark.parametrize(
    ("x", "match"),
    [
        ([[1.0, 2.0, 3.0]], r"`x` must be a tensor.*got list\)\. Give one tensor"),
        (X.numpy(), r"got ndarray"),
        ((row for row in X), r"got generator"),
        ((X, X), r"got tuple\).*without labels"),
        (torch.tensor(1.0), r"got shape \(\)"),
        (X[:, :2], r"forward takes \(got shape \(4, 2\), torch.float32, for which it raises RuntimeError"),
        (X.long(), r"got shape \(4, 3\), torch.int64"),
        (X > 0, r"torch.bool"),
        (X.to(torch.complex64), r"dense, real tensor \(got torch.complex64\)"),
        (X.to_sparse(), r"dense, real tensor \(got torch.sparse_coo\)"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_inputs_that_the_model_cant_take_are_refused(x, match):
    assert_refused(match, head(), x)


def test_a_model_of_two_dtypes_is_refused_with_what_its_forward_says():
    assert_refused(r"Check shape and dtype", nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2).double()), X)


@pytest.mark.parametrize("memory", [-5, 0, "1GB", 1e9, float("nan"), None, True])
def test_memory_that_isnt_a_number_of_bytes_is_refused(memory):
    assert_refused("`memory` must be a number of bytes", head(), X, memory=memory)
    with pytest.raises(InputError, match="`memory` must be a number of bytes"):
        fisher(head(), X, memory=memory)


@pytest.mark.parametrize("options", [{"draws": "3"}, {"draws": 2.5}, {"rng_seed": "a"}, {"rng_seed": -1}])
def test_draws_that_cant_be_made_are_refused(options):
    assert_refused(f"`{next(iter(options))}` must be", head(), X, outputs="trace", **options)


@pytest.mark.parametrize("loss", [None, 3, nn.functional.cross_entropy, nn.L1Loss(), ["mse"]])
def test_losses_of_another_kind_are_refused(loss):
    with pytest.raises(InputError, match="`loss` must be one of 'mse', 'cross_entropy'"):
        fisher(head(), X, loss)


def test_options_are_refused_by_name():
    assert_refused("`layers` must be one of", head(), X, layers="both")
    assert_refused("`outputs` must be one of", head(), X, outputs="diagonal")
    assert_refused("`draws` must be 2 or more", head(), X, outputs="trace", draws=1)
    assert_refused("`memory` must be a number of bytes", head(), X, memory=0)
    assert_refused(r"`progress` must be a function progress\(done, total\) \(got 3\)", head(), X, progress=3)


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
