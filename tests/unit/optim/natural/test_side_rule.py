"""Embeddings have exact counts; what no rule reads follows Adam or Padam; values that can't be used are named."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from linnet.errors import InputError
from linnet.optim import NaturalGradient, Padam

RHO = 0.05


class Language(nn.Module):
    """Tokens to logits of the next one: embedding, positions, attention, a recurrent layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.place = nn.Embedding(200, 24), nn.Parameter(torch.zeros(6, 24))
        self.mix = nn.TransformerEncoderLayer(24, 4, 32, dropout=0.0, batch_first=True)
        self.memory, self.head = nn.GRU(24, 24, batch_first=True), nn.Linear(24, 200)

    def forward(self, x):
        return self.head(self.memory(self.mix(self.table(x) + self.place))[0])


def tokens(size=16):
    x = torch.randint(0, 200, (size, 6), generator=torch.Generator().manual_seed(0))
    return x, (x * 3 + 1) % 200


def everyday(model, opt, x, y):
    opt.zero_grad()
    loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
    loss.backward()
    opt.step()
    return float(loss.detach())


def test_a_language_model_needs_no_settings():
    model, (x, y) = Language(), tokens()
    opt = NaturalGradient(model, "cross_entropy", "kfac", "sampled", lr=0.05)
    losses = [everyday(model, opt, x, y) for _ in range(40)]
    report = opt.report()
    assert losses[-1] < 0.3 * losses[0]
    assert set(report.covered) | set(report.uncovered) == {name for name, _ in model.named_parameters()}
    assert report.covered["table.weight"].startswith("counts of tokens")
    assert all(why.endswith("it follows Adam") for why in report.uncovered.values())
    assert {"place", "memory.weight_hh_l0"} <= set(report.uncovered)


def test_the_block_of_an_embedding_is_that_of_a_linear_layer_of_one_hot_tokens():
    x, y = tokens()
    torch.manual_seed(0)
    table, head = nn.Embedding(200, 24), nn.Linear(24, 200)
    model = nn.Sequential(table, head).double()
    lookup = nn.Linear(200, 24, bias=False)
    lookup.weight = nn.Parameter(table.weight.detach().T.clone())
    twin = nn.Sequential(lookup, copy.deepcopy(head)).double()
    found = []
    for network, inputs in ((model, x), (twin, F.one_hot(x, 200).double())):
        opt = NaturalGradient(network, "cross_entropy", "kfac", "empirical", damping=RHO, lr=0.5)
        for _ in range(3):
            everyday(network, opt, inputs, y)
        found.append(network)
    torch.testing.assert_close(found[0][0].weight, found[1][0].weight.T, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(found[0][1].weight, found[1][1].weight, rtol=1e-9, atol=1e-12)


def test_what_is_left_over_makes_the_steps_of_adamw():
    """One parameter that no rule reads, under a schedule that halves the rate."""
    model, (x, y) = Language(), tokens()
    opt = NaturalGradient(model, "cross_entropy", "kfac", lr=0.1, side_lr=0.01, weight_decay=0.1)
    twin = nn.Parameter(model.place.detach().clone())
    other = torch.optim.AdamW([twin], lr=0.01, weight_decay=0.1)
    for step in range(4):
        for group, rate in ((opt.param_groups[0], 0.1), (other.param_groups[0], 0.01)):
            group["lr"] = rate * 0.5**step
        opt.zero_grad()
        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        twin.grad = model.place.grad.clone()
        opt.step()
        other.step()
        torch.testing.assert_close(model.place.detach(), twin.detach())


def test_padam_is_the_other_rule():
    model, (x, y) = Language(), tokens()
    opt = NaturalGradient(model, "cross_entropy", "kfac", lr=0.1, uncovered="padam")
    twin = nn.Parameter(model.place.detach().clone())
    other = Padam([twin], lr=0.1, decoupled=True)
    for _ in range(3):
        opt.zero_grad()
        F.cross_entropy(model(x).flatten(0, 1), y.flatten()).backward()
        twin.grad = model.place.grad.clone()
        opt.step()
        other.step()
    torch.testing.assert_close(model.place.detach(), twin.detach())


@pytest.mark.parametrize("rule", ["adam", "padam"])
def test_a_stopped_run_goes_on_with_the_same_bits(rule):
    x, y = tokens()
    options = {"fisher": "sampled", "lr": 0.05, "uncovered": rule, "momentum": 0.9, "factor_every": 2}
    model = Language()
    opt = NaturalGradient(model, "cross_entropy", "kfac", **options)
    for _ in range(3):
        everyday(model, opt, x, y)
    twin, state = copy.deepcopy(model), copy.deepcopy(opt.state_dict())
    other = NaturalGradient(twin, "cross_entropy", "kfac", **options)
    other.load_state_dict(state)
    for network, optimizer in ((model, opt), (twin, other)):
        for _ in range(4):
            everyday(network, optimizer, x, y)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))


def test_a_step_on_a_batch_has_the_side_rule_too():
    model, (x, y) = Language(), tokens()
    before = model.place.detach().clone()
    opt = NaturalGradient(model, "cross_entropy", "kfac", "sampled", lr=0.05)
    first = opt.step(x, y)
    for _ in range(10):
        last = opt.step(x, y)
    assert last < first
    assert not torch.equal(model.place, before)


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))


@pytest.mark.parametrize("kind", [np.float32, np.float64, torch.tensor, float])
def test_rates_may_be_tensors_and_numbers_of_numpy(kind):
    found = []
    for make in (kind, float):
        model = small()
        opt = NaturalGradient(
            model, "cross_entropy", "kfac", damping=make(0.125), lr=make(0.25), momentum=make(0.5), kl_clip=make(0.5),
            weight_decay=make(0.0),
        )  # fmt: skip
        opt.param_groups[0]["lr"] = make(0.25)
        for _ in range(2):
            opt.step(torch.ones(6, 4), torch.arange(6) % 3)
        found.append(model[0].weight.detach())
    assert torch.equal(*found)


def test_a_rate_of_0_moves_nothing():
    model = small()
    before = copy.deepcopy(model.state_dict())
    opt = NaturalGradient(model, "cross_entropy", "kfac", lr=0.0)
    opt.step(torch.ones(6, 4), torch.arange(6) % 3)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_parameters_that_cant_be_used_are_named():
    class Complex(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.z = nn.Linear(4, 3), nn.Parameter(torch.randn(3, dtype=torch.complex64))

        def forward(self, x):
            return (self.inner(x) * self.z).abs()

    with pytest.raises(InputError, match=r"`z` must be real"):
        NaturalGradient(Complex(), "mse", "kfac", damping=0.1)
    with pytest.raises(InputError, match=r"`0`.*sparse=False"):
        NaturalGradient(nn.Sequential(nn.Embedding(9, 3, sparse=True)), "cross_entropy", "kfac")


def test_parameters_without_entries_are_told_and_left():
    model = small()
    model.register_parameter("none", nn.Parameter(torch.zeros(0, 3)))
    opt = NaturalGradient(model, "cross_entropy", "kfac", lr=0.1)
    opt.step(torch.ones(6, 4), torch.arange(6) % 3)
    assert opt.report().uncovered == {"none": "it has no entries"}


def test_a_network_may_change_its_dtype():
    model = small()
    opt = NaturalGradient(model, "cross_entropy", "kfac", lr=0.1, factor_every=1, inverse_every=2, momentum=0.9)
    opt.step(torch.ones(6, 4), torch.arange(6) % 3)
    model.double()
    for _ in range(3):
        opt.step(torch.ones(6, 4).double(), torch.arange(6) % 3)
    assert model[0].weight.dtype == torch.float64


@pytest.mark.parametrize("loss", ["sum", "weights"])
def test_a_sum_and_large_class_weights_are_no_scaled_loss(loss):
    model, x, y = small(), torch.randn(64, 4), torch.arange(64) % 3
    opt = NaturalGradient(model, "cross_entropy", "kfac", lr=0.1)
    weight = torch.tensor([1.0, 1.0, 500.0]) if loss == "weights" else None
    for _ in range(3):
        opt.zero_grad()
        F.cross_entropy(model(x), y, weight, reduction="sum" if loss == "sum" else "mean").backward()
        opt.step()
    assert opt.report().step == 3
