"""A forward with other values: shared modules and shared parameters, and nothing is left behind."""

import torch
from torch import nn

from linnet.core.jacobian.functional_call import call_with


def test_a_module_at_two_places_is_swapped_once_and_put_back():
    shared = nn.Linear(3, 3)
    model = nn.Sequential(shared, nn.Tanh(), shared, nn.BatchNorm1d(3)).eval()
    before = dict(model.named_parameters())
    x, weight = torch.randn(4, 3), torch.eye(3)
    found = call_with(model, {"0.weight": weight, "3.running_mean": torch.ones(3)}, (x,))
    h = torch.tanh(x + shared.bias) + shared.bias
    torch.testing.assert_close(found, (h - 1) / (1 + 1e-5) ** 0.5)
    assert all(p is before[name] for name, p in model.named_parameters())


def test_a_parameter_held_by_two_modules_has_one_value():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    x = torch.randn(2, 3)
    assert torch.equal(call_with(model, {"0.weight": 2 * torch.eye(3)}, (x,)), 4 * x)
    assert model[1].weight is model[0].weight
