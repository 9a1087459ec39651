"""What a capture does not cover, with the reason, and what reading it wrongly is told."""

import pytest
import torch
from torch import nn

from linnet.core import Capture
from linnet.errors import CaptureError, InputError, LinnetError
from tests.unit.core.capture.captured import X, net


@pytest.mark.parametrize("which", ["a", "g"])
def test_an_overwritten_tensor_is_refused_by_name(which):
    model = net()
    x = X.clone()
    with Capture(model) as cap:
        model(x).sum().backward()
    if which == "a":
        x.mul_(2)
    else:
        cap["0"].g.add_(1)
    what = {"a": "input", "g": "output gradient"}[which]
    for read in (
        lambda: cap["0"].a,
        lambda: cap["0"].per_sample(),
        lambda: cap["0"].gram(),
        lambda: cap["0"].factors(),
    ):
        with pytest.raises(CaptureError, match=f"`0`.*{what}"):
            read()
    assert cap["4"].per_sample("bias").shape == (5, 3)


def test_running_statistics_that_moved_are_refused():
    model = net()
    with Capture(model) as cap:
        model(X).sum().backward()
    model.train()(X)
    with pytest.raises(CaptureError, match=r"`1`.*running statistics"):
        cap["1"].per_sample()


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(4))
        self.embed = nn.Embedding(7, 4, max_norm=1.0)
        self.rnn = nn.LSTM(4, 4, batch_first=True)
        self.norm = nn.BatchNorm1d(4)
        self.act = nn.PReLU(4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 2)
        self.unused = nn.Linear(4, 2)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.loose = nn.Linear(4, 1)

    def forward(self, x):
        self.loose(x)
        x = self.frozen(x)
        x = self.rnn(x + self.token)[0]
        x = self.act(self.norm(x.transpose(1, 2))).transpose(1, 2)
        return self.head(self.attention(x, x, x)[0])


def test_everything_else_is_reported_with_its_reason():
    model = Mixed()
    with Capture(model) as cap:
        model(torch.randn(3, 5, 4)).sum().backward()
    reasons = {
        "token": "Mixed isn't covered",
        "embed": "`max_norm` overwrites its weight",
        "rnn": "LSTM isn't covered",
        "norm": "in train mode batch statistics couple the samples",
        "attention": "MultiheadAttention isn't covered",
        "attention.out_proj": "it wasn't called",
        "unused": "it wasn't called",
        "frozen": "its output needs no gradient",
        "loose": "the loss doesn't depend on it",
    }
    assert cap.names == ["act", "head"]
    assert set(cap.uncovered) == set(reasons)
    for name, reason in reasons.items():
        assert reason in cap.uncovered[name]
    covered = {f"{name}.{param}" for name in cap.names for param in cap[name].parameters}
    assert covered | set(cap.uncovered_parameters) == set(dict(model.named_parameters()))
    assert not covered & set(cap.uncovered_parameters)
    with pytest.raises(CaptureError, match=r"`rnn`.*LSTM"):
        cap["rnn"]


class Scaled(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 2


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (nn.SyncBatchNorm(3), "SyncBatchNorm takes statistics over all ranks"),
        (nn.BatchNorm1d(3, track_running_stats=False).eval(), "no running statistics"),
        (nn.Embedding(3, 3, scale_grad_by_freq=True), "couples the samples"),
        (nn.LazyLinear(3), "lazy and has no size yet"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), "is computed from others"),
        (Scaled(3, 3), "replaces the forward"),
        (nn.Linear(3, 3, dtype=torch.complex64), "complex parameters"),
        (nn.Bilinear(3, 3, 3), "Bilinear isn't covered"),
        (nn.EmbeddingBag(3, 3), "EmbeddingBag isn't covered"),
        (nn.GRUCell(3, 3), "GRUCell isn't covered"),
    ],
)
def test_layers_that_have_no_gradient_of_one_sample_are_named(layer, reason):
    cap = Capture(nn.ModuleDict({"it": layer}))
    assert next(iter(cap.uncovered)) == "it"
    assert reason in cap.uncovered["it"]
    assert "it" not in cap.names


def test_a_replaced_forward_is_seen_on_the_instance_too():
    layer = nn.Linear(2, 2)
    layer.forward = lambda x: x
    assert "replaces the forward" in Capture(nn.Sequential(layer)).uncovered["0"]


@pytest.mark.parametrize(
    ("layer", "x"),
    [
        (nn.Conv2d(2, 3, 1), torch.ones(2, 4, 4)),
        (nn.ConvTranspose1d(2, 3, 1), torch.ones(2, 4)),
        (nn.Linear(2, 3), torch.ones(2)),
        (nn.LayerNorm((2, 3)), torch.ones(2, 3)),
        (nn.InstanceNorm2d(2, affine=True), torch.ones(2, 4, 4)),
        (nn.Embedding(2, 3), torch.tensor(1)),
    ],
)
def test_an_input_without_a_sample_axis_is_refused(layer, x):
    model = nn.Sequential(layer)
    with Capture(model) as cap:
        model(x).sum().backward()
    assert "sample axis" in cap.uncovered["0"]
    with pytest.raises(CaptureError, match=r"`0`.*batch"):
        cap["0"]


def test_one_unreadable_call_makes_the_layer_uncovered():
    layer = nn.Linear(2, 2)
    model = nn.ModuleList([layer])
    with Capture(model) as cap:
        (layer(torch.ones(3, 2)).sum() + layer(torch.ones(2)).sum()).backward()
    assert "sample axis" in cap.uncovered["0"]


class OptimizedModule(nn.Module):
    """Named as torch.compile's wrapper is."""


def test_modules_whose_layers_call_no_hooks_are_refused():
    compiled = nn.Linear(2, 2)
    compiled._compiled_call_impl = lambda x: x
    for model, words in (
        (OptimizedModule(), "compiled"),
        (nn.Sequential(compiled), "compiled"),
        (nn.DataParallel(nn.Linear(2, 2)), "DataParallel"),
    ):
        with pytest.raises(CaptureError, match=words):
            Capture(model)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_script_module_is_refused():
    with pytest.raises(CaptureError, match="ScriptModule"):
        Capture(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)))


def test_bad_options_say_what_is_needed():
    model = net()
    for options, words in (
        ({"keep": "first"}, "`keep`"),
        ({"loss_scale": 0.0}, r"`loss_scale`.*0\.0"),
        ({"loss_scale": float("nan")}, "`loss_scale`.*nan"),
        ({"layers": "4"}, r"`layers`.*\['4'\]"),
    ):
        with pytest.raises(InputError, match=words):
            Capture(model, **options)
    with pytest.raises(CaptureError, match=r"`layers`.*`conv`"):
        Capture(model, layers=["conv"])


def test_bad_reading_says_what_is_needed():
    model = nn.Sequential()
    model.add_module("encoder", nn.Linear(2, 2))
    model.add_module("norm", nn.LayerNorm(2))
    model.add_module("act", nn.ReLU())
    with Capture(model) as cap:
        model(torch.ones(3, 2)).sum().backward()
    with Capture(nn.Linear(2, 3)) as other:
        other._model(torch.ones(3, 2)).sum().backward()
    cases = [
        (lambda: cap["encoded"], "`encoded`.*`encoder`"),
        (lambda: cap["act"], "`act`"),
        (
            lambda: cap["encoder"].per_sample("gain"),
            "`encoder`.*gain",
        ),
        (lambda: cap["encoder"].gram(params=[]), "`params`"),
        (lambda: cap["encoder"].gram(other[""]), "`other`"),
        (lambda: cap["norm"].factors(), "LayerNorm"),
        (lambda: cap["encoder"].factors(sharing="none"), "`sharing`"),
    ]
    for read, words in cases:
        with pytest.raises(CaptureError, match=words) as caught:
            read()
        assert isinstance(caught.value, (LinnetError, RuntimeError))


@pytest.mark.parametrize("model", [3, {"a": torch.ones(2)}, nn.Linear])
def test_what_is_no_module_is_refused_by_name(model):
    with pytest.raises(InputError, match=f"`model`.*{type(model).__name__}"):
        Capture(model)
