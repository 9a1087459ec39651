"""Masking: the option value and the keywords of Pruner are two ways to say the same thing."""

from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from linnet.errors import InputError
from linnet.prune import Budget, Masking, Pruner

OTHERS = {
    "warmup": 1,
    "freeze": 7,
    "every": 1,
    "memory": "evaporate",
    "normalise": "max",
    "retire": 3,
    "regrow": True,
}


def _states(**options):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.Flatten(), nn.Linear(96, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    pruner = Pruner(net, torch.zeros(1, 3, 8, 8), Budget(macs=0.6), align=1, steps=10, **options)
    draw = torch.Generator().manual_seed(1)
    for _ in range(5):
        optimizer.zero_grad()
        net(torch.randn(4, 3, 8, 8, generator=draw)).pow(2).mean().backward()
        optimizer.step()
        pruner.step(optimizer)
    return net.state_dict(), pruner.state_dict()


def _assert_same(a, b):
    for left, right in zip(tree_leaves(a), tree_leaves(b), strict=True):
        assert torch.equal(left, right) if isinstance(left, torch.Tensor) else repr(left) == repr(right)


def test_the_option_value_and_the_keywords_prune_alike():
    by_keywords = _states(**OTHERS)
    _assert_same(by_keywords, _states(masking=Masking(**OTHERS)))
    _assert_same(by_keywords, _states(masking=Masking(**OTHERS), **OTHERS))
    with pytest.raises((AssertionError, ValueError)):
        _assert_same(by_keywords, _states())


def test_the_defaults_are_those_of_the_option_value():
    _assert_same(_states(), _states(masking=Masking()))
    _assert_same(_states(), _states(**asdict(Masking())))


@pytest.mark.parametrize("field", OTHERS)
def test_a_keyword_that_disagrees_with_the_option_value_is_refused(field):
    default = getattr(Masking(), field)
    for options, keyword in ((Masking(), OTHERS[field]), (Masking(**OTHERS), default)):
        with pytest.raises(InputError, match=rf"`{field}`.*`masking`"):
            _states(masking=options, **{field: keyword})


def test_a_step_and_a_fraction_disagree():
    with pytest.raises(InputError, match=r"`warmup`.*`masking`"):
        _states(masking=Masking(warmup=1), warmup=1.0)


def test_an_option_value_is_checked_as_the_keywords_are():
    with pytest.raises(InputError, match="`every`"):
        _states(masking=Masking(every=0))
    with pytest.raises(InputError, match=r"`masking`.*Masking"):
        _states(masking={"every": 1})
