"""Masks equal slicing whatever lies in between, and gates measure what a loop over samples finds."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph, resize
from linnet.prune.masks.masks import Masks
from linnet.prune.masks.reads import maskable_reads
from tests.zoo import ZOO


def _masks(model, example, *, names=None, regrow=False):
    graph = ChannelGraph(model, example)
    places, unmasked = maskable_reads(model, graph)
    free = [n for n, k in graph.classes.items() if k.frozen is None and k.uniform is None and n not in unmasked]
    return graph, Masks(model, graph, places, names or free, regrow=regrow)


def _random_keep(graph, masks, rng_seed, balanced=()):
    draw = np.random.default_rng(rng_seed)
    kept = np.ones(masks.total, dtype=bool)
    for name, part in masks.slices.items():
        size = graph.classes[name].size
        if size > 1 and not any(name in names for names in balanced):
            kept[part][draw.permutation(size)[: max(1, size // 2)]] = False
    return kept


def _multiplicity(masks, kept):
    return {name: kept[part].astype(int) for name, part in masks.slices.items()}


@pytest.mark.parametrize("name", ZOO)
def test_the_masked_network_is_the_sliced_one(name):
    entry = ZOO[name]
    model, example = entry.model(dtype=torch.float64), entry.example(3, dtype=torch.float64)
    graph, masks = _masks(model, example)
    kept = _random_keep(graph, masks, 1, entry.balanced)
    with masks.lifted(model):
        small = resize(model, graph, _multiplicity(masks, kept))
    masks.keep(kept)
    for mode in (False, True):
        for network in (model, small):
            network.train(mode)
            for module in network.modules():
                if isinstance(module, nn.Dropout):
                    module.eval()  # it draws other numbers for another width
        torch.testing.assert_close(small(example), model(example), rtol=1e-10, atol=1e-10)
    masks.remove()


class _Between(nn.Module):
    """What doesn't map 0 to 0 between producer and read."""

    def __init__(self):
        super().__init__()
        self.a, self.depthwise = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.norm, self.b, self.head = nn.BatchNorm2d(6), nn.Conv2d(6, 5, 3), nn.Linear(5 * 16, 3)

    def forward(self, x):
        x = torch.sigmoid(self.norm(torch.sigmoid(self.a(x))) + 1)
        x = nn.functional.softplus(self.depthwise(x))
        return self.head(torch.sigmoid(self.b(x)).flatten(1))


def test_sigmoid_batch_norm_and_biased_depthwise_in_between_change_nothing():
    torch.manual_seed(0)
    model, x = _Between().double(), torch.randn(4, 2, 6, 6).double()
    graph, masks = _masks(model, x)
    kept = _random_keep(graph, masks, 0)
    with masks.lifted(model):
        small = resize(model, graph, _multiplicity(masks, kept))
    masks.keep(kept)
    torch.testing.assert_close(small(x), model(x), rtol=1e-12, atol=1e-12)


def test_whole_numbers_are_masked_and_sliced_to_the_same_bits():
    draw = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(20, 3))
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randint(-3, 4, parameter.shape, generator=draw))
    x = torch.randint(-3, 4, (4, 2, 6, 6), generator=draw).double()
    graph, masks = _masks(model, x)
    kept = _random_keep(graph, masks, 2)
    with masks.lifted(model):
        small = resize(model, graph, _multiplicity(masks, kept))
    masks.keep(kept)
    assert torch.equal(small(x), model(x))


def test_without_a_mask_the_network_is_untouched_to_the_bit():
    entry = ZOO["resnet basic"] if "resnet basic" in ZOO else next(iter(ZOO.values()))
    model, example = entry.model(), entry.example()
    wanted, keys = model(example), list(model.state_dict())
    _, masks = _masks(model, example)
    assert torch.equal(model(example), wanted)
    assert list(model.state_dict()) == keys
    assert not any("mask" in name or "gate" in name for name, _ in model.named_parameters())
    masks.remove()
    assert not any(module._forward_pre_hooks for module in model.modules())


def _by_loop(model, x, y, reader):
    """Sum over samples of |sum over positions of x dL/dx| at one layer's input, one sample after another."""
    total = 0.0
    for n in range(len(x)):
        seen = []
        hook = reader.register_forward_pre_hook(lambda _, inputs, seen=seen: seen.append(inputs[0]))
        loss = nn.functional.cross_entropy(model(x[n : n + 1]), y[n : n + 1], reduction="sum")
        hook.remove()
        (gradient,) = torch.autograd.grad(loss, seen[0])
        total = total + (seen[0] * gradient).flatten(2).sum(dim=2)[0].abs()
    return total.detach()


@pytest.mark.parametrize("regrow", [False, True])
def test_gates_measure_what_a_loop_over_samples_finds(regrow):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Sigmoid(), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(24, 3),
    ).double()  # fmt: skip
    model[1].eval()
    x, y = torch.randn(5, 2, 6, 6).double(), torch.tensor([0, 1, 2, 1, 0])
    by_loop = _by_loop(model, x, y, model[3])
    _, masks = _masks(model, x, regrow=regrow)
    model.train()
    model[1].eval()
    masks.measuring = True
    nn.functional.cross_entropy(model(x), y, reduction="sum").backward()
    total, samples = masks.measured()
    assert samples == 5
    torch.testing.assert_close(total[masks.slices["0"]], by_loop, rtol=1e-12, atol=1e-14)
    assert masks.measured() is None


def test_a_flattened_channel_is_measured_over_all_its_positions():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Flatten(), nn.Linear(12, 2)).double().train()
    x = torch.randn(4, 1, 4, 4).double()
    _, masks = _masks(model, x)
    masks.measuring = True
    out = model(x)
    out.pow(2).sum().backward()
    total, _ = masks.measured()
    with torch.no_grad():
        hidden = model[0](x)
        g = (2 * model[2](hidden.flatten(1))) @ model[2].weight
        by_hand = (hidden.flatten(1) * g).view(4, 3, 4).sum(dim=2).abs().sum(dim=0)
    torch.testing.assert_close(total, by_hand, rtol=1e-12, atol=1e-14)


def test_a_layer_used_twice_sums_its_reads_signed():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.head = nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 1)

        def forward(self, x):
            return self.head(self.b(self.b(self.a(x))))

    torch.manual_seed(0)
    model, x = Twice().double().train(), torch.randn(3, 2).double()
    _, masks = _masks(model, x)
    masks.measuring = True
    model(x).sum().backward()
    total, _ = masks.measured()
    with torch.no_grad():
        h0 = model.a(x)
        h1 = model.b(h0)
        h2 = model.b(h1)
        g2 = model.head.weight.expand(3, 4)
        g1 = g2 @ model.b.weight
        g0 = g1 @ model.b.weight
        by_hand = (h0 * g0 + h1 * g1 + h2 * g2).abs().sum(dim=0)
    torch.testing.assert_close(total, by_hand, rtol=1e-12, atol=1e-14)


def test_masked_channels_are_measured_only_when_they_may_come_back():
    for regrow in (False, True):
        torch.manual_seed(0)
        model, x = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1)).train(), torch.randn(6, 2)
        _, masks = _masks(model, x, regrow=regrow)
        masks.keep(np.array([True, False, True, True]))
        masks.measuring = True
        model(x).sum().backward()
        total, _ = masks.measured()
        assert (total[1] > 0) == regrow
        assert (total[[0, 2, 3]] > 0).all()


@pytest.mark.parametrize("how", ["eval", "no_grad", "not measuring"])
def test_other_forward_passes_are_no_measurement(how):
    model, x = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1)).train(how != "eval"), torch.randn(6, 2)
    _, masks = _masks(model, x)
    masks.measuring = how != "not measuring"
    with torch.set_grad_enabled(how != "no_grad"):
        out = model(x)
    if how != "no_grad":
        out.sum().backward()
    assert masks.measured() is None


def test_a_validation_in_inference_mode_that_sees_a_mask_first_leaves_training_possible():
    model, x = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1)).train(), torch.randn(6, 2)
    _, masks = _masks(model, x)
    masks.keep(np.array([True, False, True, True]))
    with torch.inference_mode():
        model(x)
    model(x).sum().backward()
    assert model[1].weight.grad[0, 1] == 0
    assert (model[1].weight.grad[0, [0, 2, 3]] != 0).all()


def test_micro_batches_of_unequal_size_add_up():
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1)).double().train(), torch.randn(7, 2).double()
    _, masks = _masks(model, x)
    masks.measuring = True
    model(x).sum().backward()
    whole, samples = masks.measured()
    for part in (x[:5], x[5:]):
        model(part).sum().backward()
    added, count = masks.measured()
    assert samples == count == 7
    torch.testing.assert_close(added, whole, rtol=1e-12, atol=1e-14)
