"""Every network of the zoo through a pruner: the plan's cost is the small network's, and both compute the same."""

import pytest
import torch

from linnet import cost
from linnet.errors import BudgetError
from linnet.prune import Budget, Pruner
from tests.zoo import ZOO
from tests.zoo.check import flat

# Frozen, or wider than 0.7 of the parameters at least.
_NO_ROOM = {"hard slices", "fused attention", "torch attention", "tied", "pyramid"}


@pytest.mark.parametrize("name", sorted(ZOO))
def test_the_plan_costs_what_the_small_network_costs(name):
    entry = ZOO[name]
    net, example = entry.model().train(), entry.example(4)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    if name in _NO_ROOM:
        with pytest.raises(BudgetError):
            Pruner(net, example, Budget(params=0.7), align=1, steps=8)
        return
    pruner = Pruner(net, example, Budget(params=0.7), align=1, steps=8, warmup=1)
    for _ in range(2):
        optimizer.zero_grad()
        sum(output.square().mean() for output in flat(net(example))).backward()
        optimizer.step()
        pruner.step(optimizer)
    small = pruner.finish()
    assert pruner.plan().cost == cost(small, example)
    assert pruner.plan().cost.params <= 0.7 * pruner.plan().before["params"]
    for masked, sliced in zip(flat(net.eval()(example)), flat(small.eval()(example)), strict=True):
        torch.testing.assert_close(sliced, masked, rtol=1e-5, atol=1e-5 * float(masked.detach().abs().max()))
