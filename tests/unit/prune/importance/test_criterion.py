"""What channels are ranked by: gates beside explicit hooks beside a loop over samples; corners; words."""

import numpy as np
import pytest
import torch
from torch import nn

from linnet.core import ChannelGraph
from linnet.errors import BudgetError, InputError, TrainingError
from linnet.models import VGG
from linnet.prune import Budget, Pruner, plan
from linnet.prune.importance.criterion import from_data
from linnet.prune.importance.running_mean import Forgetting, RunningMean
from linnet.prune.masks.masks import Masks
from linnet.prune.masks.reads import maskable_reads
from linnet.prune.training.schedule import Timetable

EXAMPLE = torch.zeros(1, 2, 6, 6)


def _net(dtype=torch.float64):
    torch.manual_seed(0)
    net = VGG(input_shape=(2, 6, 6), classes=3, stages=((4, 5), (6,))).to(dtype)
    nn.init.normal_(net.head.weight)  # so that gradients are of one size in all layers
    return net


def _batch(count=7, rng_seed=1, dtype=torch.float64):
    draw = torch.Generator().manual_seed(rng_seed)
    return torch.randn(count, 2, 6, 6, generator=draw, dtype=dtype), torch.arange(count) % 3


def _names(graph):
    return tuple(name for name, known in graph.classes.items() if known.frozen is None)


def _by_hooks(net, inputs, targets):
    """Per class (samples, channels): x dL/dx summed over positions, at the input of the layer that reads it."""
    seen = {}

    def keep(module, given):
        given[0].retain_grad()
        seen[module] = given[0]

    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    handles = [m.register_forward_pre_hook(keep) for m in [*convolutions[1:], net.head]]
    nn.functional.cross_entropy(net(inputs), targets, reduction="sum").backward()
    for handle in handles:
        handle.remove()
    products = [(x * x.grad).detach() for x in seen.values()]
    return [product.flatten(2).sum(-1) if product.ndim == 4 else product for product in products]


def test_gates_find_what_explicit_hooks_and_a_loop_over_samples_find():
    net, (inputs, targets) = _net().eval(), _batch()
    graph = ChannelGraph(net, EXAMPLE.double())
    found = from_data(net, graph, _names(graph), "taylor", [(inputs, targets)])
    together = [t.abs().mean(0).numpy() for t in _by_hooks(net, inputs, targets)]
    alone = [_by_hooks(net, inputs[i : i + 1], targets[i : i + 1]) for i in range(len(inputs))]
    for place, importances in enumerate(found.values()):
        slow = np.mean([t[place][0].abs().numpy() for t in alone], axis=0)
        np.testing.assert_allclose(importances, together[place] / together[place].max(), rtol=1e-12)
        np.testing.assert_allclose(importances, slow / slow.max(), rtol=1e-12)


def test_data_is_weighted_by_samples_and_the_network_is_left_as_it_was():
    net, (inputs, targets) = _net().train(), _batch()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    graph = ChannelGraph(net, EXAMPLE.double())
    whole = from_data(net, graph, _names(graph), "taylor", [(inputs, targets)])
    parts = from_data(net, graph, _names(graph), "taylor", [(inputs[:5], targets[:5]), (inputs[5:], targets[5:])])
    for name, importances in whole.items():
        np.testing.assert_allclose(parts[name], importances, rtol=1e-12)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert net.training
    assert all(parameter.grad is None for parameter in net.parameters())


def test_bn_taylor_is_what_the_batch_norm_has_and_taylor_is_not():
    net, (inputs, targets) = _net().eval(), _batch()
    graph = ChannelGraph(net, EXAMPLE.double())
    signed = from_data(net, graph, _names(graph), "bn_taylor", [(inputs, targets)])
    absolute = from_data(net, graph, _names(graph), "taylor", [(inputs, targets)])
    nn.functional.cross_entropy(net(inputs), targets).backward()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm, importances, other in zip(norms, signed.values(), absolute.values(), strict=True):
        by_hand = (norm.weight * norm.weight.grad + norm.bias * norm.bias.grad).abs().detach().numpy()
        np.testing.assert_allclose(importances, by_hand / by_hand.max(), rtol=1e-9)
        assert not np.allclose(importances, other, rtol=0.05)


def test_a_pruner_measures_the_same_in_training_mode():
    net, (inputs, targets) = _net().train(), _batch()
    by_hand = _by_hooks(net, inputs, targets)
    net = _net().train()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for criterion in ("taylor", "bn_taylor"):
        pruner = Pruner(
            net, EXAMPLE.double(), Budget(macs=0.6), align=1, steps=10, criterion=criterion, normalise="max"
        )
        nn.functional.cross_entropy(net(inputs), targets).backward()
        pruner.step(optimizer)
        for t, importances in zip(by_hand, pruner._importance.memory.by_class().values(), strict=True):
            expected = t.abs().mean(0) if criterion == "taylor" else t.mean(0).abs()
            np.testing.assert_allclose(importances, (expected / expected.max()).numpy(), rtol=1e-10)
        pruner.remove()


def test_weights_rank_before_any_step_and_memory_has_no_part_in_it():
    for criterion in ("l1", "bn_scale", "random"):
        net = _net(torch.float32)
        pruner = Pruner(net, EXAMPLE, Budget(macs=0.6), align=1, steps=10, criterion=criterion, rng_seed=3)
        expected = plan(net, EXAMPLE, Budget(macs=0.6), align=1, criterion=criterion, rng_seed=3)
        assert pruner.plan().kept == expected.kept
        small = pruner.finish()
        assert sum(parameter.numel() for parameter in small.parameters()) == expected.after["params"]


def test_l1_follows_the_weights_of_the_moment():
    net = _net(torch.float32)
    pruner = Pruner(net, EXAMPLE, Budget(macs=0.6), align=1, steps=4, warmup=1, every=1, criterion="l1", compact=False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.0)
    with torch.no_grad():
        net.features[0].weight[2] *= 100
    net(_batch(dtype=torch.float32)[0]).sum().backward()
    pruner.step(optimizer)
    name = next(iter(pruner.plan().kept))
    assert np.argmax(pruner._importance.memory.by_class()[name]) == 2
    assert pruner._importance.memory.by_class()[name].mean() == pytest.approx(1.0)
    assert len(pruner._masked_network._masks._gates) == 0  # weights need no gate


def test_a_random_mask_stays_as_it_was_drawn():
    net = _net(torch.float32)
    pruner = Pruner(net, EXAMPLE, Budget(macs=0.5), align=1, steps=8, warmup=1, every=1, criterion="random", rng_seed=5)
    optimizer, seen = torch.optim.SGD(net.parameters(), lr=0.1), []
    for step in range(4):
        inputs, targets = _batch(rng_seed=step, dtype=torch.float32)
        nn.functional.cross_entropy(net(inputs), targets).backward()
        seen.append(pruner.step(optimizer).changed)
    assert seen[0] > 0
    assert seen[1:] == [0, 0, 0]
    assert Pruner(_net(torch.float32), EXAMPLE, Budget(macs=0.5), align=1, criterion="random", rng_seed=6).plan() != (
        pruner.plan()
    )


def test_normalisation_at_its_corners():
    memory = RunningMean({"a": slice(0, 3), "zero": slice(3, 5), "one": slice(5, 6)}, 6)
    live = np.ones(6, dtype=bool)
    memory.take(torch.tensor([2.0, -4.0, 0.0, 0.0, 0.0, 5.0], dtype=torch.float64), 2, decay=0.5, live=live)
    np.testing.assert_array_equal(memory.utility, [0.5, 1.0, 0.0, 0.0, 0.0, 1.0])
    memory.take(torch.full((6,), torch.nan, dtype=torch.float64), 2, decay=0.5, live=live)
    np.testing.assert_array_equal(memory.utility, [0.5, 1.0, 0.0, 0.0, 0.0, 1.0])
    assert (memory.measurements, memory.skipped) == (1, 1)
    live[1] = False
    memory.take(torch.tensor([1.0, 8.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64), 1, decay=0.5, live=live)
    # The largest of the class scales, the masked one keeps what it had; a class of zeros isn't touched.
    np.testing.assert_array_equal(memory.utility, [0.25 + 0.125, 1.0, 0.0, 0.0, 0.0, 1.0])


def test_a_class_may_be_divided_by_its_mean():
    memory = RunningMean({"a": slice(0, 3), "zero": slice(3, 5), "one": slice(5, 6)}, 6, normalise="mean")
    values = torch.tensor([2.0, 4.0, 6.0, 0.0, 0.0, 5.0], dtype=torch.float64)
    memory.take(values, 2, decay=0.5, live=np.ones(6, dtype=bool))
    np.testing.assert_array_equal(memory.utility, [0.5, 1.0, 1.5, 0.0, 0.0, 1.0])
    net = _net(torch.float32)
    by_mean = plan(net, EXAMPLE, Budget(macs=0.5), align=1, normalise="mean")
    pruner = Pruner(net, EXAMPLE, Budget(macs=0.5), align=1, criterion="l1", normalise="mean")
    assert pruner.plan().kept == by_mean.kept
    assert by_mean.after["macs"] <= 0.5 * by_mean.before["macs"]


def test_a_running_mean_begins_with_what_it_first_sees():
    memory = RunningMean({"a": slice(0, 2)}, 2, mixes=True)
    live = np.ones(2, dtype=bool)
    memory.take(torch.tensor([1.0, 2.0], dtype=torch.float64), 1, decay=0.9, live=live)
    np.testing.assert_array_equal(memory.utility, [0.5, 1.0])
    memory.take(torch.tensor([2.0, 2.0], dtype=torch.float64), 1, decay=0.9, live=live)
    np.testing.assert_allclose(memory.utility, [0.55, 1.0], rtol=1e-15)
    memory.take(torch.tensor([0.0, 2.0], dtype=torch.float64), 1, decay=1.0, live=live)
    np.testing.assert_allclose(memory.utility, [0.55, 1.0], rtol=1e-15)


def test_words_for_the_memory():
    assert Forgetting.named("evaporate") == Forgetting(0.6)
    assert Forgetting.named(0.25) == Forgetting(0.25)
    assert Forgetting.named("ema") == Forgetting(0.99, mixes=True)
    schedule = Forgetting.named("schedule")
    assert [schedule.decay(drops) for drops in (0, 1, 2, 4, 9)] == pytest.approx([0.6, 0.7, 0.8, 1.0, 1.0])


def test_drops_of_the_learning_rate_are_counted_and_resumed():
    time = Timetable(steps=100, warmup=2)
    for lr in (0.01, 0.1, 0.1, 0.06, 0.01, 0.009, 0.001):
        time.next(changed=None, lr=lr)
    assert time.drops == 2  # 0.1 -> 0.01 and 0.01 -> 0.001; the rise at the start is none
    again = Timetable(steps=100, warmup=2)
    again.load_state_dict(time.state_dict())
    again.next(changed=None, lr=0.0004)
    assert again.drops == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"memory": "evaporates"}, "`memory`.*[Dd]id you mean.*evaporate"),
        ({"memory": 1.5}, r"`memory`.*1\.5"),
        ({"memory": True}, "`memory`.*True"),
        ({"criterion": "tailor"}, "`criterion`.*[Dd]id you mean.*taylor"),
        ({"select": "layer"}, "`select`"),
        ({"normalise": "sum"}, "`normalise`"),
        ({"price": "automatic"}, "`price`"),
    ],
)
def test_unknown_words_are_refused_with_the_nearest(options, said):
    with pytest.raises(InputError, match=said):
        Pruner(_net(torch.float32), EXAMPLE, Budget(macs=0.5), align=1, **options)


def test_a_plan_by_data_says_what_it_needs():
    net = _net(torch.float32)
    with pytest.raises(InputError, match="`data`"):
        plan(net, EXAMPLE, Budget(macs=0.5), criterion="taylor", align=1)
    with pytest.raises(InputError, match=r"`data`.*Tensor"):
        plan(net, EXAMPLE, Budget(macs=0.5), criterion="taylor", align=1, data=[torch.zeros(2, 2, 6, 6)])
    broken = [(torch.full((2, 2, 6, 6), torch.nan), torch.zeros(2, dtype=torch.int64))]
    with pytest.raises(InputError, match="NaN"):
        plan(net, EXAMPLE, Budget(macs=0.5), criterion="taylor", align=1, data=broken)
    found = plan(net, EXAMPLE, Budget(macs=0.5), criterion="taylor", align=1, data=[_batch(dtype=torch.float32)])
    assert found.after["macs"] <= 0.5 * found.before["macs"]


def test_bn_scale_without_a_batch_norm_is_refused_at_once():
    net = nn.Sequential(nn.Conv2d(2, 8, 3), nn.ReLU(), nn.Conv2d(8, 3, 3))
    with pytest.raises(BudgetError, match=r"`0`.*criterion='l1'"):
        Pruner(net, EXAMPLE, Budget(macs=0.5), criterion="bn_scale", align=1)


def test_taylor_still_needs_a_measurement():
    pruner = Pruner(_net(torch.float32), EXAMPLE, Budget(macs=0.5), align=1)
    with pytest.raises(TrainingError, match="criterion='l1'"):
        pruner.finish()


def test_a_regrowing_gate_measures_masked_channels_and_the_mean_gate_does_not():
    net, (inputs, targets) = _net().eval(), _batch()
    graph = ChannelGraph(net, EXAMPLE.double())
    for regrow in (False, True):
        masks = Masks(net, graph, maskable_reads(net, graph)[0], _names(graph), regrow=regrow)
        masks.measuring = masks.in_eval = True
        kept = np.ones(masks.total, dtype=bool)
        kept[1] = False
        masks.keep(kept)
        nn.functional.cross_entropy(net(inputs), targets).backward()
        total, samples = masks.measured()
        assert samples == 7
        assert (total[1] > 0) == regrow
        masks.remove()
