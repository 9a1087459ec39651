"""K-FAC beside SGD: the rows, what they say, and the networks' sizes."""

import torch

from benchmarks.natural import standard
from benchmarks.networks import ResNet18, ViTTiny
from benchmarks.small_networks import batch, mlp3


def test_the_networks_have_their_published_sizes():
    sizes = [sum(p.numel() for p in make().parameters()) for make in (ResNet18, ViTTiny)]
    assert sizes == [11_689_512, 5_717_416]


def test_each_pair_of_periods_has_a_row_that_says_what_it_is_made_of():
    torch.manual_seed(0)
    goals = {(10, 100): 1e-9, (1, 10): 1e9}
    model = mlp3(16)
    records, optimizer = standard.overheads("k", "net", model, batch((784,), 8), goals, rounds=1)
    assert [r.name for r in records] == ["natural.k.every_10_100", "natural.k.every_1_10"]
    assert "1/10 of the factors" in records[0].context["reason"]
    assert "reason" not in records[1].context
    held = standard._bytes(optimizer.state_dict())
    weights = sum(p.nbytes for p in model.parameters())
    assert held > weights  # momentum alone is as large
    assert standard._state("k", "net", model, optimizer).value == held / weights
