"""theta <- (1 - eta wd) theta - eta m, m <- mu m + Delta / alpha."""

import torch

from linnet.optim.natural.update import apply_update


def test_two_steps_by_hand():
    p, still = (torch.nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64)) for _ in range(2))
    optimizer = torch.optim.SGD([p, still], lr=0.1, weight_decay=0.5)
    x, m = torch.tensor([1.0, 2.0], dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    for delta in (torch.tensor([4.0, 8.0]).double(), torch.tensor([2.0, -2.0]).double()):
        given = delta.clone()
        apply_update(optimizer, {id(p): given}, scale=0.25, momentum=0.9, in_functions=False)
        m = 0.9 * m + 0.25 * delta
        x = (1 - 0.5 * 0.1 * 0.25) * x - 0.1 * m
        assert torch.equal(given, delta)
    torch.testing.assert_close(p.detach(), x)
    assert still.tolist() == [1.0, 2.0]


def test_function_space_keeps_the_direction():
    p = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([p], lr=1.0)
    apply_update(optimizer, {id(p): torch.ones(2)}, scale=0.5, momentum=0.9, in_functions=True)
    assert optimizer.state[p]["previous"].tolist() == [1.0, 1.0]
    assert p.tolist() == [-0.5, -0.5]
