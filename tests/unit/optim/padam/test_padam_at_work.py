"""Padam among the package's other parts: processes, edits of the network, the training loop."""

from pathlib import Path

import pytest
import torch
from torch import nn

import linnet
from linnet.optim import Padam
from tests.forked import run_on_ranks

from .padam_on_a_rank import examples, network, trained


@pytest.mark.slow
def test_two_processes_end_with_the_same_bits_and_where_one_does(tmp_path):
    run_on_ranks(Path(__file__).with_name("padam_on_a_rank.py"), tmp_path, str(tmp_path))
    ends = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    model = network()
    trained(model, *examples())
    for way in ("loop", "blocked", "foreach", "rounded"):
        for name, mine in ends[0][way].items():
            assert torch.equal(mine, ends[1][way][name])
            if way != "rounded":
                torch.testing.assert_close(mine, model.state_dict()[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("factor", [0, 2])
def test_its_state_follows_an_edit_of_the_network(factor):
    """Widened: moments of produced rows times the share and its square. Narrowed: the kept rows."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    opt = Padam(model.parameters(), 0.01)
    x = torch.randn(5, 3, dtype=torch.float64)
    for _ in range(3):
        opt.zero_grad()
        model(x).square().sum().backward()
        opt.step()
    before = {key: value.clone() for key, value in opt.state[model[0].weight].items()}
    graph = linnet.ChannelGraph(model, x)
    (name,) = [name for name, found in graph.classes.items() if found.size == 4]
    new = linnet.resize(model, graph, {name: [1, factor, 1, 1]}, optimizer=opt)
    held = opt.state[new[0].weight]
    assert held["step"].item() == 3
    for power, key in ((1, "exp_avg"), (2, "exp_avg_sq"), (2, "max_exp_avg_sq")):
        old = before[key]
        rows = [old[:1], old[2:]] if factor == 0 else [old[:1], *[old[1:2] * 0.5**power] * 2, old[2:]]
        torch.testing.assert_close(held[key], torch.cat(rows), rtol=1e-12, atol=0)
    assert opt.param_groups[0]["params"][0] is new[0].weight
    start = new[0].weight.detach().clone()
    opt.zero_grad()
    new(x).square().sum().backward()
    opt.step()
    assert not torch.equal(start, new[0].weight)
