"""What a capture records of one forward and backward, and how much memory that is."""

import gc

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from linnet.core import Capture
from tests.unit.core.capture.captured import X, net


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
        wrapped = isinstance(item, torch.Tensor) and torch._C._functorch.is_functorch_wrapped_tensor(item)  # no storage
        plain = isinstance(item, torch.Tensor) and type(item) in (torch.Tensor, nn.Parameter) and not wrapped
        if plain and item.layout == torch.strided:  # a sparse one has no storage
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
