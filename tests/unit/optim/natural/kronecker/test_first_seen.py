"""Parameters that some steps only reach: branches, experts, layers that are frozen or thawed in mid-training."""

import gc

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from linnet.errors import TrainingError
from linnet.optim import NaturalGradient


class Branches(nn.Module):
    """Two ways through; `way` chooses."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.head = nn.Linear(4, 5), nn.Linear(4, 5), nn.Linear(5, 3)
        self.norm = nn.LayerNorm(5)
        self.way = "a"

    def forward(self, x):
        h = self.a(x) if self.way == "a" else self.norm(self.b(x))
        return self.head(torch.tanh(h))


class Experts(nn.Module):
    """Each sample goes to one of three experts by the sign of its entries; the third gets none at first."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.experts = nn.ModuleList(nn.Linear(4, 5) for _ in range(3))
        self.head = nn.Linear(5, 3)

    def forward(self, x):
        where = (x[:, 0] > 0).long() + (x[:, 0] > 2).long()
        h = x.new_zeros(len(x), 5)
        for number, expert in enumerate(self.experts):
            h = h.index_put((where == number,), expert(x[where == number])) if (where == number).any() else h
        return self.head(torch.tanh(h))


def batch(seed=0, size=12):
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(size, 4, generator=draw), torch.randint(0, 3, (size,), generator=draw)


def everyday(model, opt, x, y):
    opt.zero_grad()
    F.cross_entropy(model(x), y).backward()
    opt.step()


def make(model, **options):
    given = {"damping": 0.1, "lr": 0.1, "factor_every": 10, "inverse_every": 10, "dense_start": False, **options}
    return NaturalGradient(model, "cross_entropy", "kfac", **given)


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("by_batch", [True, False])
def test_a_branch_has_its_block_from_the_first_step_that_takes_it(by_batch):
    model = Branches()
    opt = make(model)
    step = (lambda x, y: opt.step(x, y)) if by_batch else (lambda x, y: everyday(model, opt, x, y))
    step(*batch(0))
    kept = opt.state_dict()["natural"]["approximation"]["blocks"]["a.weight"]["a"]
    model.way = "b"  # in the middle of a period
    before = weights(model)
    step(*batch(1))
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert {"b.weight", "b.bias", "norm.weight", "norm.bias"} <= moved
    assert "a.weight" not in moved
    assert opt.report().covered["b.weight"].startswith("Kronecker")
    assert opt.report().uncovered == {}
    blocks = opt.state_dict()["natural"]["approximation"]["blocks"]
    assert torch.equal(blocks["a.weight"]["a"], kept)
    fresh = Branches()
    fresh.load_state_dict(before)
    fresh.way = "b"
    other = make(fresh)
    other.step(*batch(1))
    theirs = other.state_dict()["natural"]["approximation"]["blocks"]["b.weight"]["a"]
    torch.testing.assert_close(blocks["b.weight"]["a"], theirs)


def test_a_network_whose_branch_never_comes_goes_on_and_says_so():
    model = Branches()
    opt = make(model)
    for seed in range(3):
        everyday(model, opt, *batch(seed))
    assert opt.report().uncovered == dict.fromkeys(
        ("b.weight", "b.bias", "norm.weight", "norm.bias"), "no gradient came to it"
    )


@pytest.mark.parametrize("by_batch", [True, False])
def test_experts_see_the_samples_that_are_sent_to_them(by_batch):
    """A = sum a a^T / N and B = sum g g^T / N_e over the samples of the expert."""
    model, (x, y) = Experts().double(), batch()
    x = x.double()
    opt = make(model)
    if by_batch:
        opt.step(x, y)
    else:
        everyday(model, opt, x, y)
    block = opt.state_dict()["natural"]["approximation"]["blocks"]["experts.0.weight"]
    own = torch.cat([x, torch.ones(len(x), 1)], 1)[x[:, 0] <= 0]
    torch.testing.assert_close(block["a"][0], own.T @ own / len(x))
    more = x.clone()
    more[:4, 0] = 3.0  # the third expert's first samples
    before = weights(model)
    everyday(model, opt, more, y)
    assert not torch.equal(model.experts[2].weight, before["experts.2.weight"])


def test_layers_frozen_and_thawed_in_mid_training():
    model = Branches()
    model.way = "b"
    opt = make(model, factor_every=2, inverse_every=2)
    for seed in range(6):
        frozen = 1 <= seed < 4
        model.norm.weight.requires_grad_(not frozen)  # half of a small block
        model.b.bias.requires_grad_(not frozen)  # a weight's last column
        before = weights(model)
        everyday(model, opt, *batch(seed))
        stays = {name for name, p in model.named_parameters() if torch.equal(p, before[name])}
        assert stays == {"a.weight", "a.bias"} | ({"norm.weight", "b.bias"} if frozen else set())
        assert ("norm.weight" in opt.report().covered) is not frozen


def test_a_layer_that_was_frozen_at_first_is_read_when_it_is_thawed():
    model = Branches()
    model.way = "b"
    model.b.requires_grad_(False)
    opt = make(model, groups=[{"params": list(model.parameters())}])
    everyday(model, opt, *batch(0))
    model.b.requires_grad_(True)
    before = weights(model)
    everyday(model, opt, *batch(1))
    assert not torch.equal(model.b.weight, before["b.weight"])
    assert "b.weight" in opt.report().covered


def test_forwards_without_a_backward_leave_nothing():
    model, (x, y) = Branches(), batch()
    opt = make(model, factor_every=1)
    kept = [model(x) for _ in range(5)]
    count = len(opt._approximation._watches)
    del kept
    gc.collect()
    everyday(model, opt, x, y)
    twin = Branches()
    other = make(twin, factor_every=1)
    everyday(twin, other, x, y)
    assert count == 0
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), twin.parameters(), strict=True))


def test_forwards_in_eval_mode_are_ignored():
    found = []
    for looks in (False, True):
        model, y = Branches(), batch()[1]
        opt = make(model, fisher="sampled", factor_every=1)
        for seed in range(3):
            if looks:
                model.eval()
                F.cross_entropy(model(batch(9)[0]), y).backward()
                model.train()
            everyday(model, opt, *batch(seed))
        found.append(weights(model))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_training_in_eval_mode_needs_an_optimizer_made_in_it():
    model, (x, y) = Branches().eval(), batch()
    everyday(model, make(model), x, y)
    model = Branches()
    opt = make(model)
    with pytest.raises(TrainingError, match="train mode"):
        everyday(model.eval(), opt, x, y)
    everyday(model, opt, x, y)


def test_the_hook_goes_with_the_optimizer():
    model = Branches()
    opt = make(model)
    assert len(model._forward_pre_hooks) == 1
    del opt
    gc.collect()
    assert len(model._forward_pre_hooks) == 0


@pytest.mark.parametrize("ema", [0.0, 0.95])
@pytest.mark.parametrize("fisher", ["model", "empirical"])
def test_unequal_micro_batches_are_the_whole_batch(ema, fisher):
    """Small ones are kept as vectors at ema 0, large ones as products: 2 samples are fewer than a side, 30 are not."""
    x, y = batch(size=32)
    x = x.double()
    found = []
    for parts in ([32], [2, 30], [30, 2]):
        model = Branches().double()
        opt = make(model, ema=ema, factor_every=1, fisher=fisher)
        for _ in range(2):
            opt.zero_grad()
            for a, b in zip(x.split(parts), y.split(parts), strict=True):
                (F.cross_entropy(model(a), b) * (len(a) / len(x))).backward()
            opt.step()
        found.append(weights(model))
    for other in found[1:]:
        for name, value in found[0].items():
            torch.testing.assert_close(other[name], value, rtol=1e-8, atol=1e-10)


def test_running_means_weigh_batches_by_their_samples():
    model = nn.Linear(4, 3).double()
    opt = make(model, factor_every=1, ema=0.5)
    total = weight = 0.0
    for seed, size in enumerate((32, 8, 1)):
        x, y = batch(seed, size)
        x = x.double()
        everyday(model, opt, x, y)
        a = torch.cat([x, torch.ones(size, 1)], 1)
        total, weight = 0.5 * total + a.T @ a, 0.5 * weight + size
    torch.testing.assert_close(opt.state_dict()["natural"]["approximation"]["blocks"]["weight"]["a"][0], total / weight)
