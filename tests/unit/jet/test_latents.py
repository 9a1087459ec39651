import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.jet import BinaryLinear, JetConv2d, parameter_groups


def test_latents_get_no_decay_and_every_parameter_is_in_one_group():
    net = nn.Sequential(JetConv2d(1, 4), nn.BatchNorm2d(4), nn.Flatten(), BinaryLinear(16, 2))
    groups = parameter_groups(net, lr=0.1, weight_decay=0.01)
    assert [g["weight_decay"] for g in groups] == [0.0, 0.01]
    assert groups[0]["params"] == [net[0].latents, net[3].latents]
    assert sum(len(g["params"]) for g in groups) == len(list(net.parameters()))
    torch.optim.AdamW(groups)


def test_an_empty_group_is_left_out():
    assert len(parameter_groups(nn.Linear(2, 2), lr=0.1)) == 1


def test_what_is_no_network_and_no_rate_is_refused():
    with pytest.raises(InputError, match=r"`net` must be a torch.nn.Module \(got a list\)"):
        parameter_groups([], lr=0.1)
    with pytest.raises(InputError, match="`lr` must be a number >= 0"):
        parameter_groups(nn.Linear(2, 2), lr=-0.1)
    with pytest.raises(InputError, match="`weight_decay` must be a number >= 0"):
        parameter_groups(nn.Linear(2, 2), lr=0.1, weight_decay=float("nan"))
    assert parameter_groups(nn.Linear(2, 2), lr=torch.tensor(0.1))[0]["lr"] == torch.tensor(0.1)
