"""What a capture records, what it reports as uncovered, and that it leaves nothing behind."""

import gc
import itertools

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from linnet.core import Capture
from linnet.errors import CaptureError, InputError, LinnetError


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4 * 9, 3)
    ).eval()


X = torch.linspace(-1, 1, 5 * 2 * 9).reshape(5, 2, 3, 3)


def hooks(model):
    """Every hook that hangs on a module of the model."""
    return [
        hook
        for module in model.modules()
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        for hook in getattr(module, kind).values()
    ]


def test_a_and_g_are_input_and_output_gradient():
    model = net()
    with Capture(model) as cap:
        out = model(X)
        (out * torch.arange(3.0)).sum().backward()
    assert cap.names == ["0", "1", "4"]
    assert list(cap) == cap.names
    assert len(cap) == 3
    assert "0" in cap
    assert "2" not in cap
    assert torch.equal(cap["0"].a, X)
    assert torch.equal(cap["4"].g, torch.arange(3.0).expand(5, 3))
    assert torch.equal(cap["1"].a, model[0](X))
    assert cap["4"].module is model[4]
    assert cap["4"].samples == 5
    assert not cap["4"].a.requires_grad
    assert "Linear" in repr(cap["4"])


def test_an_inplace_activation_keeps_the_gradient_before_it():
    model = net()
    with Capture(model) as cap:
        model(X).sum().backward()
    outer = model[4].weight.sum(0).reshape(4, 3, 3)
    normed = model[1](model[0](X))
    assert torch.allclose(cap["1"].g, outer * (normed > 0))


@pytest.mark.parametrize("kind", [nn.ReLU, nn.SiLU, nn.Hardswish])
def test_an_inplace_activation_behind_a_linear_layer_of_any_rank(kind):
    torch.manual_seed(1)
    plain = nn.Sequential(nn.Linear(3, 4), kind(), nn.Linear(4, 2))
    inplace = nn.Sequential(plain[0], kind(inplace=True), plain[2])
    x = torch.randn(2, 5, 3)
    gradients = []
    for model in (plain, inplace):
        with Capture(model) as cap:
            model(x).square().sum().backward()
        gradients.append(cap["0"].per_sample())
    assert torch.equal(*gradients)


class Hooked(nn.Module):
    def __init__(self, error):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.error = error

    def forward(self, x):
        x = self.layer(x)
        if self.error is not None:
            raise self.error
        return x


@pytest.mark.parametrize("error", [None, ValueError("no"), KeyboardInterrupt(), SystemExit()])
def test_no_hook_stays_after_any_exit(error):
    model = Hooked(error)
    if error is None:
        with Capture(model):
            assert len(hooks(model)) == 2
            model(torch.ones(1, 2)).sum().backward()
    else:
        with pytest.raises(type(error)), Capture(model):
            model(torch.ones(1, 2))
    assert hooks(model) == []
    assert model.layer._forward_hooks_with_kwargs == {}


def test_no_hook_stays_when_opening_fails_half_way(monkeypatch):
    model = net()
    counter = itertools.count()
    register = nn.Module.register_forward_hook

    def failing(self, *args, **options):
        if next(counter) == 2:
            raise KeyboardInterrupt
        return register(self, *args, **options)

    monkeypatch.setattr(nn.Module, "register_forward_hook", failing)
    with pytest.raises(KeyboardInterrupt), Capture(model):
        pass
    assert hooks(model) == []


def test_tensor_hooks_are_gone_after_the_block():
    model = net()
    with Capture(model) as cap:
        out = model(X)
    out.sum().backward()
    with pytest.raises(CaptureError, match="inside the `with Capture"):
        cap["0"]


def test_reading_before_backward_says_so():
    model = net()
    with Capture(model) as cap:
        model(X)
        with pytest.raises(CaptureError, match=r"`0`: there is no gradient: was `backward` called"):
            cap["0"]


def test_nested_captures_are_independent():
    model = net()
    with Capture(model) as outer:
        with Capture(model, layers=["4"]) as inner:
            model(X).sum().backward()
        assert len(hooks(model)) == 4
        model(2 * X).sum().backward()
    assert inner.names == ["4"]
    assert torch.equal(outer["0"].a, 2 * X)
    assert torch.equal(inner["4"].g, outer["4"].g)
    assert hooks(model) == []


def test_opening_twice_is_refused_and_opening_again_starts_afresh():
    model = net()
    cap = Capture(model)
    with cap:
        model(X).sum().backward()
        with pytest.raises(CaptureError, match="already open"):
            cap.__enter__()
    assert cap["0"].a is not None
    with cap, pytest.raises(CaptureError, match="there is no gradient"):
        cap["0"]


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
        with pytest.raises(CaptureError, match=f"`0`: its {what} was overwritten in place"):
            read()
    assert cap["4"].per_sample("bias").shape == (5, 3)


def test_running_statistics_that_moved_are_refused():
    model = net()
    with Capture(model) as cap:
        model(X).sum().backward()
    model.train()(X)
    with pytest.raises(CaptureError, match="`1`: its running statistics was overwritten"):
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
        "act": "PReLU isn't covered",
        "attention": "MultiheadAttention isn't covered",
        "attention.out_proj": "it wasn't called",
        "unused": "it wasn't called",
        "frozen": "its output needs no gradient",
        "loose": "the loss doesn't depend on it",
    }
    assert cap.names == ["head"]
    assert set(cap.uncovered) == set(reasons)
    for name, reason in reasons.items():
        assert reason in cap.uncovered[name]
    covered = {f"{name}.{param}" for name in cap.names for param in cap[name].parameters}
    assert covered | set(cap.uncovered_parameters) == set(dict(model.named_parameters()))
    assert not covered & set(cap.uncovered_parameters)
    with pytest.raises(CaptureError, match=r"`rnn` isn't captured: LSTM isn't covered \(covered: Linear"):
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
    with pytest.raises(CaptureError, match="give a batch"):
        cap["0"]


def test_one_unreadable_call_makes_the_layer_uncovered():
    layer = nn.Linear(2, 2)
    model = nn.ModuleList([layer])
    with Capture(model) as cap:
        (layer(torch.ones(3, 2)).sum() + layer(torch.ones(2)).sum()).backward()
    assert "sample axis" in cap.uncovered["0"]


def test_a_layer_used_twice_points_to_its_calls():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    with Capture(model) as cap:
        model(torch.ones(3, 2)).sum().backward()
    for name in ("a", "g"):
        with pytest.raises(CaptureError, match=r"`0` ran 2 times.*Read `.calls`"):
            getattr(cap["0"], name)
    first, second = cap["0"].calls
    assert torch.equal(first.a, torch.ones(3, 2))
    assert torch.equal(second.g, torch.ones(3, 2))


def test_calls_of_different_batches_are_not_summed():
    layer = nn.Linear(2, 2)
    model = nn.ModuleList([layer])
    with Capture(model) as cap:
        (layer(torch.ones(3, 2)).sum() + layer(torch.ones(4, 2)).sum()).backward()
    assert [len(call.a) for call in cap["0"].calls] == [3, 4]
    with pytest.raises(CaptureError, match="with 3 and with 4 samples"):
        cap["0"].per_sample()


def test_a_parameter_held_by_two_layers_is_refused_by_both_names():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    model[2].weight = model[0].weight
    with Capture(model) as cap:
        model(torch.ones(3, 2)).sum().backward()
    with pytest.raises(CaptureError, match=r"`0.weight` is also `2.weight`"):
        cap["0"].per_sample("weight")
    with pytest.raises(CaptureError, match=r"`2.weight` is also `0.weight`"):
        cap["2"].gram()
    assert torch.equal(cap["2"].per_sample("bias"), torch.ones(3, 2))
    assert cap["2"].gram(params=["bias"]).tolist() == [[2.0] * 3] * 3


class Windows(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 2)

    def forward(self, x):
        return self.inner(x.reshape(-1, 2)).reshape(len(x), -1)


def test_rows_that_are_not_samples_are_refused():
    model = Windows()
    with Capture(model) as cap:
        model(torch.ones(3, 8)).sum().backward()
    assert cap["inner"].a.shape == (12, 2)
    assert cap["inner"].factors()[0].tolist() == [[12.0, 12.0], [12.0, 12.0]]
    with pytest.raises(CaptureError, match="`inner` saw 12 rows on axis 0, the model's input has 3 samples"):
        cap["inner"].gram()


def test_a_second_forward_replaces_the_first():
    model = net()
    with Capture(model) as cap:
        for factor in (1, 2, 3):
            model(factor * X).sum().backward()
            assert torch.equal(cap["0"].a, factor * X)
            assert len(cap["0"].calls) == 1


def test_two_forwards_before_one_backward_are_two_calls():
    model = net()
    with Capture(model) as cap:
        (model(X) + model(2 * X)).sum().backward()
    assert [torch.equal(c.a, k * X) for k, c in enumerate(cap["0"].calls, 1)] == [True, True]


def test_last_keeps_the_last_pass_and_all_keeps_every_pass():
    model = net()
    for keep, expected in (("last", torch.eye(3)[2]), ("all", torch.eye(3))):
        with Capture(model, keep=keep) as cap:
            out = model(X)
            for c in range(3):
                out[:, c].sum().backward(retain_graph=True)
        shape = (3, 1, 3) if keep == "all" else (3,)
        assert torch.equal(cap["4"].g, expected.reshape(shape).expand(*cap["4"].g.shape))
        rows = 15 if keep == "all" else 5
        assert cap["4"].gram().shape == (rows, rows)


def test_a_loss_scale_is_divided_out_without_underflow():
    layer = nn.Linear(2, 2, dtype=torch.float16)
    with Capture(layer, loss_scale=2.0**14) as cap:
        (layer(torch.ones(1, 2, dtype=torch.float16)) * (2.0**14 * 1e-4 / 2**12)).sum().backward()
    assert cap[""].g.dtype is torch.float32
    assert torch.allclose(cap[""].g, torch.full((1, 2), 1e-4 / 2**12), rtol=1e-3)


def test_a_grad_scaler_leaves_true_gradients():
    model = net()
    scaler = torch.amp.GradScaler("cpu", init_scale=512.0)
    with Capture(model, loss_scale=scaler.get_scale()) as cap:
        scaler.scale(model(X).sum()).backward()
    assert torch.equal(cap["4"].g, torch.ones(5, 3))


def test_autocast_is_read_in_float32():
    model = net()
    with Capture(model) as exact:
        model(X).sum().backward()
    with Capture(model) as cap, torch.autocast("cpu", torch.bfloat16):
        model(X).sum().backward()
    assert cap["4"].g.dtype is torch.bfloat16
    assert cap["4"].per_sample().dtype is torch.float32
    # bfloat16 keeps 8 bits: 2^-8 a product, measured 0.006 of the largest entry
    scale = exact["0"].per_sample().abs().max()
    assert (cap["0"].per_sample() - exact["0"].per_sample()).abs().max() < 0.03 * scale


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.first, self.inner, self.last = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2)
        self.reentrant = reentrant

    def forward(self, x):
        x = self.first(x)
        if self.reentrant is None:
            x = self.inner(x).tanh()
        else:
            x = checkpoint(lambda v: self.inner(v).tanh(), x, use_reentrant=self.reentrant)
        return self.last(x)


@pytest.mark.parametrize("reentrant", [False, True])
def test_activation_checkpointing_gives_the_same_capture(reentrant):
    torch.manual_seed(2)
    plain, model = Checkpointed(None), Checkpointed(reentrant)
    model.load_state_dict(plain.state_dict())
    x = torch.randn(4, 3)
    with Capture(plain) as expected:
        plain(x).square().sum().backward()
    with Capture(model) as cap:
        model(x).square().sum().backward()
    assert cap.names == expected.names
    assert cap.uncovered == {}
    for name in cap.names:
        assert torch.equal(cap[name].a, expected[name].a)
        assert torch.equal(cap[name].per_sample(), expected[name].per_sample())


def test_bytes_are_the_kept_tensors():
    model = net()
    x = X.clone()
    with Capture(model) as cap:
        assert cap.bytes == 0
        model(x).square().sum().backward()
    expected = sum(cap[n].a.nbytes + cap[n].g.nbytes for n in cap.names)
    assert cap.bytes == expected


def test_bytes_count_a_shared_input_once():
    class Split(nn.Module):
        def __init__(self):
            super().__init__()
            self.q, self.k = nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.q(x) * self.k(x)

    model = Split()
    with Capture(model) as cap:
        model(torch.ones(2, 3)).sum().backward()
    assert cap.bytes == 3 * 2 * 3 * 4


def live_bytes():
    gc.collect()
    storages = {}
    for item in gc.get_objects():
        if isinstance(item, torch.Tensor) and type(item) in (torch.Tensor, nn.Parameter):
            storages[item.untyped_storage().data_ptr()] = item.untyped_storage().nbytes()
    return sum(storages.values())


@pytest.mark.filterwarnings("ignore")
def test_bytes_are_the_growth_of_live_tensors():
    model = net()
    model(X).square().sum().backward()  # allocates .grad
    before = live_bytes()
    with Capture(model) as cap:
        model(X).square().sum().backward()
    assert live_bytes() - before == cap.bytes - X.nbytes


def test_layers_restrict_the_capture():
    model = net()
    with Capture(model, layers=["4"]) as cap:
        model(X).sum().backward()
    assert cap.names == ["4"]
    assert cap.uncovered == {"0": "it is left out by `layers`", "1": "it is left out by `layers`"}
    assert cap.bytes == cap["4"].a.nbytes + cap["4"].g.untyped_storage().nbytes()


def test_randomness_mode_and_gradients_are_untouched():
    model = net().train()
    state = torch.get_rng_state()
    gradients = []
    for capture in (False, True):
        model.zero_grad()
        if capture:
            with Capture(model):
                model(X).sum().backward()
        else:
            model(X).sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    assert all(torch.equal(p, q) for p, q in zip(*gradients, strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert model.training


class Replace(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(input=x)


def test_a_hook_that_replaces_the_output_and_keyword_inputs_are_seen_through():
    model = Replace()
    model.layer.register_forward_hook(lambda module, args, output: output * 3)
    with Capture(model) as cap:
        model(torch.ones(2, 2)).sum().backward()
    assert torch.equal(cap["layer"].a, torch.ones(2, 2))
    assert torch.equal(cap["layer"].g, torch.full((2, 2), 3.0))


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
        ({"keep": "first"}, "`keep` is 'first'; it must be 'last' or 'all'"),
        ({"loss_scale": 0.0}, "`loss_scale` is 0.0; a finite number above 0"),
        ({"loss_scale": float("nan")}, "`loss_scale` is nan"),
        ({"layers": "4"}, r"a list of module paths is needed: \['4'\]"),
    ):
        with pytest.raises(InputError, match=words):
            Capture(model, **options)
    with pytest.raises(CaptureError, match="names `conv`, which is no module"):
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
        (lambda: cap["encoded"], r"No module `encoded`. Nearest: `encoder`"),
        (lambda: cap["act"], r"`act` isn't captured: it has no parameters"),
        (
            lambda: cap["encoder"].per_sample("gain"),
            r"`encoder` \(Linear\) has no parameter 'gain'. It has: weight, bias",
        ),
        (lambda: cap["encoder"].gram(params=[]), "`params` is empty"),
        (lambda: cap["encoder"].gram(other[""]), "A capture of the same layer"),
        (lambda: cap["norm"].factors(), "LayerNorm has no Kronecker factors"),
        (lambda: cap["encoder"].factors(sharing="none"), "must be 'expand' or 'reduce'"),
    ]
    for read, words in cases:
        with pytest.raises(CaptureError, match=words) as caught:
            read()
        assert isinstance(caught.value, (LinnetError, RuntimeError))


def test_unequal_passes_through_calls_are_refused():
    layer = nn.Linear(2, 2)
    model = nn.ModuleList([layer])
    with Capture(model, keep="all") as cap:
        first, second = layer(torch.ones(3, 2)), layer(torch.ones(3, 2))
        (first + second).sum().backward(retain_graph=True)
        first.sum().backward()
    with pytest.raises(CaptureError, match="got 1 to 2 gradients"):
        cap["0"].per_sample()
