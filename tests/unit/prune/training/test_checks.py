"""What a pruner can't work with is told at construction or at the first step; what goes wrong on the way, by name."""

import copy
import json
import math

import pytest
import torch
from torch import nn

from linnet.errors import BudgetError, InputError, TrainingError
from linnet.prune import Budget, Plan, Pruner, extract, plan, scatter

EXAMPLE = torch.zeros(1, 3, 8, 8)
HALF = Budget(macs=0.5)


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten(),
        nn.Linear(256, 4),
    )  # fmt: skip


def trained(pruner, model, optimizer, steps, *, scale=1.0):
    for _ in range(steps):
        optimizer.zero_grad()
        (model(torch.randn(4, 3, 8, 8)).logsumexp(1).mean() * scale).backward()
        done = pruner.step(optimizer)
    return done


def pair(**options):
    model = net()
    pruner = Pruner(model, EXAMPLE, HALF, **({"steps": 20, "warmup": 1} | options))
    return model, pruner, torch.optim.SGD(model.parameters(), lr=0.0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"budget": 0.5}, "`budget`"),
        ({"align": 1.5}, "`align`"),
        ({"also": net()}, "`also`"),
        ({"also": [nn.Linear(2, 2)]}, r"`also\[0\]`.*Linear"),
    ],
)
def test_arguments_of_another_kind_are_named_and_no_hook_stays(asked, message):
    model = net()
    with pytest.raises(InputError, match=message):
        Pruner(**{"model": model, "example": EXAMPLE, "budget": HALF, **asked})
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_second_pruner_is_refused_until_the_first_is_removed():
    model, pruner, _ = pair()
    with pytest.raises(InputError, match=r"pruner\.remove\(\)"):
        Pruner(model, EXAMPLE, HALF)
    Pruner(copy.deepcopy(model), EXAMPLE, HALF)  # a copy is plain
    pruner.remove()
    Pruner(model, EXAMPLE, HALF)


def test_parameters_of_others_in_the_optimizer_are_told_at_the_first_step():
    model, pruner, _ = pair()
    other = nn.Linear(3, 3)
    mixed = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.0)
    with pytest.raises(TrainingError, match=r"2 parameters.*compact=False"):
        trained(pruner, model, mixed, 1)
    with pytest.raises(InputError, match="`optimizer`"):
        pruner.step(3)
    model, pruner, _ = pair(compact=False)
    mixed = torch.optim.SGD([*model.parameters(), *other.parameters()], lr=0.0)
    assert trained(pruner, model, mixed, 20).phase == "frozen"


def test_a_freeze_without_one_finite_measurement_is_an_error_at_the_freeze():
    model, pruner, optimizer = pair()
    assert trained(pruner, model, optimizer, 9, scale=math.inf).phase == "warmup"
    with pytest.raises(TrainingError, match=r"step 9.*3 measurements"):
        trained(pruner, model, optimizer, 1, scale=math.inf)


@pytest.mark.parametrize("other", [{"align": 4}, {"steps": 24}, {"every": 2}, {"min_fraction": 0.1}])
def test_a_state_of_other_options_is_refused(other):
    model, pruner, optimizer = pair()
    trained(pruner, model, optimizer, 6)
    with pytest.raises(TrainingError, match="options"):
        pair(**other)[1].load_state_dict(pruner.state_dict())
    larger = Pruner(net(), EXAMPLE, Budget(macs=0.8), steps=20, warmup=1)
    with pytest.raises(TrainingError, match=r"budget.*macs.*0\.8"):
        larger.load_state_dict(pruner.state_dict())
    again = pair()[1]
    again.load_state_dict(pruner.state_dict())
    assert again.plan().kept == pruner.plan().kept


def test_steps_after_remove_and_in_eval_mode_say_so():
    model, pruner, optimizer = pair()
    model.eval()
    with pytest.raises(TrainingError, match=r"model\.train\(\)"):
        trained(pruner, model, optimizer, 1)
    model.train()
    trained(pruner, model, optimizer, 1)
    pruner.remove()
    with pytest.raises(TrainingError, match="`remove`"):
        trained(pruner, model, optimizer, 1)


@pytest.mark.parametrize("kept", [[0, 0, 1], [3, 1], [], [-1, 2], [99]])
def test_a_damaged_plan_is_refused_and_changes_nothing(kept):
    model = net()
    good = plan(model, EXAMPLE, HALF)
    text = json.loads(good.to_json())
    text["kept"]["0"] = kept
    bad, before = Plan.from_json(json.dumps(text)), copy.deepcopy(model.state_dict())
    with pytest.raises(BudgetError, match=r"`0`.*15"):
        extract(model, bad)
    with pytest.raises(BudgetError, match="plan"):
        scatter(model, [(bad, extract(model, good))])
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("parts", "weights", "message"),
    [
        (None, None, "`parts`.*None"),
        (lambda p, s: [p], None, r"`parts\[0\]`.*\(Plan\)"),
        (lambda p, s: [(s, p)], None, r"`parts\[0\]`.*\(Sequential, Plan\)"),
        (lambda p, s: [(p.to_json(), s)], None, r"`parts\[0\]`.*\(str, Sequential\)"),
        (lambda p, s: [(p, s)], ["a"], r"`weights`.*\['a'\]"),
        (lambda p, s: [(p, s), (p, s)], [1e308, 1e308], r"`weights`.*`0\.weight`"),
        (lambda p, s: [(p, {**s.state_dict(), "zzz": torch.ones(1)})], None, "`zzz`"),
        (lambda p, s: [(p, {**s.state_dict(), "0.weight": 3})], None, r"`0\.weight`.*int"),
    ],
)
def test_parts_that_cant_be_scattered_are_named_and_change_nothing(parts, weights, message):
    model = net()
    made = plan(model, EXAMPLE, HALF)
    small = extract(model, made)
    with torch.no_grad():
        for p in small.parameters():
            p.add_(10)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InputError, match=message):
        scatter(model, parts(made, small) if parts else None, weights)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
