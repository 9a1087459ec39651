"""Classes that no gradient reaches stay whole, with the reason; copies and files made in mid-training are plain."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from linnet import load, save
from linnet.errors import BudgetError
from linnet.prune import Budget, Pruner, extract, plan

EXAMPLE = torch.zeros(1, 3, 8, 8)


def layers():
    torch.manual_seed(0)
    return nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3), nn.Conv2d(16, 16, 3)


class Backbone(nn.Module):
    """Two layers under no_grad, or detached, before one that trains."""

    def __init__(self, how="no_grad"):
        super().__init__()
        self.a, self.b, self.c = layers()
        self.o, self.how = nn.Linear(16, 2), how

    def forward(self, x):
        with torch.set_grad_enabled(self.how != "no_grad" and torch.is_grad_enabled()):
            y = self.b(self.a(x).relu()).relu()
        y = y.detach() if self.how == "detach" else y
        return self.o(self.c(y).relu().mean((2, 3)))


def trained(net, budget, *, steps=8, **options):
    pruner = Pruner(net, EXAMPLE, budget, align=1, steps=steps, warmup=2, **options)
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.01)
    for step in range(steps):
        x = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        cross_entropy(net(x), torch.arange(6) % 2).backward()
        optimizer.step()
        pruner.step(optimizer)
    return pruner


@pytest.mark.parametrize("how", ["no_grad", "detach"])
def test_a_backbone_without_gradients_stays_whole(how):
    pruner = trained(Backbone(how), Budget(params=0.8))
    made, small = pruner.plan(), pruner.finish()
    assert small.a.out_channels == 16
    assert "no gradient reaches it" in made.frozen["a"]
    assert small.c.out_channels < 16


def test_layers_that_dont_train_stay_whole():
    net = Backbone("plain")
    net.a.requires_grad_(False)
    pruner = trained(net, Budget(params=0.7))
    assert "requires_grad" in pruner.plan().frozen["a"]
    assert pruner.finish().a.out_channels == 16


def test_a_budget_that_only_the_unmeasured_could_meet_is_refused_by_name():
    with pytest.raises(BudgetError, match=r"`a` stays whole, since nothing was measured"):
        trained(Backbone(), Budget(params=0.1))


def test_a_plan_by_data_leaves_the_unmeasured_whole():
    data = [(torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 0, 1]))]
    made = plan(Backbone("detach"), EXAMPLE, Budget(params=0.8), align=1, criterion="taylor", data=data)
    assert len(made.kept["a"]) == 16
    assert "no gradient reaches it" in made.frozen["a"]
    assert len(made.kept["c"]) < 16


def test_copies_in_mid_training_are_plain(tmp_path):
    net = Backbone("plain")
    pruner = Pruner(net, EXAMPLE, Budget(params=0.5), align=1, steps=20, warmup=1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(4):
        optimizer.zero_grad()
        net(torch.randn(6, 3, 8, 8)).square().mean().backward()
        optimizer.step()
        pruner.step(optimizer)
    x = torch.randn(2, 3, 8, 8)
    own = net.register_forward_hook(lambda module, inputs, output: output * 2)
    made = [copy.deepcopy(net), extract(net, pruner.plan())]
    own.remove()
    save(net, tmp_path / "net.safetensors")
    made.append(load(Backbone("plain"), tmp_path / "net.safetensors"))
    for one in made:
        assert not any(module._forward_pre_hooks for module in one.modules())
        assert not any("__deepcopy__" in vars(module) for module in one.modules())
        one(x)
        copy.deepcopy(one)(x)
    assert len(made[0]._forward_hooks) == 1  # the caller's hook goes along
    assert any(module._forward_pre_hooks for module in net.modules())
    assert not any(module._forward_pre_hooks for module in copy.deepcopy(net.a).modules())
    pruner.remove()
    assert not any("__deepcopy__" in vars(module) for module in net.modules())
    assert torch.equal(made[2](x), net(x))
