"""KroneckerOptions: the option value and the keywords of NaturalGradient are two ways to say the same thing."""

from dataclasses import asdict

import pytest
import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from linnet.errors import InputError
from linnet.optim import KroneckerOptions, NaturalGradient

OTHERS = {
    "factor_every": 1,
    "inverse_every": 2,
    "ema": 0.5,
    "dense_start": False,
    "adapt_damping": True,
    "compute_dtype": torch.float32,
    "sharing": "reduce",
    "max_side": 2,
    "sample_positions": False,
    "half_products": False,
}


def _trained(**options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    opt = NaturalGradient(model, approx="kfac", damping=0.1, **options)
    draw = torch.Generator().manual_seed(1)
    for _ in range(6):
        opt.step(torch.randn(5, 3, generator=draw).double(), torch.randn(5, 2, generator=draw).double())
    return model, opt


def _assert_same(a, b):
    for left, right in zip(a[0].parameters(), b[0].parameters(), strict=True):
        assert torch.equal(left, right)
    for left, right in zip(tree_leaves(a[1].state_dict()), tree_leaves(b[1].state_dict()), strict=True):
        assert torch.equal(left, right) if isinstance(left, torch.Tensor) else repr(left) == repr(right)


def test_the_option_value_and_the_keywords_train_alike():
    by_keywords = _trained(**OTHERS)
    _assert_same(by_keywords, _trained(kronecker=KroneckerOptions(**OTHERS)))
    _assert_same(by_keywords, _trained(kronecker=KroneckerOptions(**OTHERS), **OTHERS))
    with pytest.raises(AssertionError):
        _assert_same(by_keywords, _trained())


def test_the_defaults_are_those_of_the_option_value():
    _assert_same(_trained(), _trained(kronecker=KroneckerOptions()))
    _assert_same(_trained(), _trained(**asdict(KroneckerOptions())))


@pytest.mark.parametrize("field", OTHERS)
def test_a_keyword_that_disagrees_with_the_option_value_is_refused(field):
    default = getattr(KroneckerOptions(), field)
    for options, keyword in ((KroneckerOptions(), OTHERS[field]), (KroneckerOptions(**OTHERS), default)):
        with pytest.raises(InputError, match=rf"`{field}`.*`kronecker`"):
            _trained(kronecker=options, **{field: keyword})


def test_an_option_value_is_checked_as_the_keywords_are():
    with pytest.raises(InputError, match="`ema`"):
        _trained(kronecker=KroneckerOptions(ema=1.0))
    with pytest.raises(InputError, match=r"`kronecker`.*KroneckerOptions"):
        _trained(kronecker={"ema": 0.9})
