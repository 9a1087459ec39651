"""Trimming: the useful members stay, found by trying every next one."""

import pytest
import torch

from linnet.ensemble import HatchEnsemble, trim
from linnet.ensemble.calibration.scaling import fit_temperature
from linnet.errors import InputError
from tests.unit.ensemble.evaluation.members import answers

X, Y = answers()
NOISE = torch.randn(4, *X.shape, generator=torch.Generator().manual_seed(0))
MEMBERS = torch.stack([X + 3 * NOISE[0], X, X + 3 * NOISE[1], X])  # 1 and 3 are equal and the best


def test_copies_add_nothing():
    found = trim(MEMBERS, Y, tolerance=0.0)
    assert found.kept[0] in (1, 3)
    assert len(found.kept) == 1  # the noisy ones make the pool worse than one alone
    assert found.nll[0] <= found.full_nll
    assert found.nll[0] == pytest.approx(fit_temperature(MEMBERS[1:2], Y).nll_after, abs=1e-9)
    assert found.full_nll == pytest.approx(fit_temperature(MEMBERS, Y).nll_after, abs=1e-9)


def test_members_that_differ_are_kept_until_they_are_as_good_as_all():
    unlike = X[None] + 1.5 * NOISE
    found = trim(unlike, Y, tolerance=0.0)
    assert sorted(found.kept) == [0, 1, 2, 3]
    assert found.nll[-1] == pytest.approx(found.full_nll, abs=1e-12)
    alone = [fit_temperature(unlike[k : k + 1], Y).nll_after for k in range(4)]
    assert found.kept[0] == alone.index(min(alone))
    assert len(trim(unlike, Y, tolerance=10).kept) == 1


class Off(torch.nn.Module):
    """Adds a fixed pattern to the logits."""

    def __init__(self, pattern):
        super().__init__()
        self.register_buffer("pattern", pattern)

    def forward(self, x):
        return x + self.pattern[: len(x)]


def test_an_ensemble_keeps_the_members_that_count_and_forgets_its_temperature():
    members = [Off(3 * NOISE[0]), Off(0 * NOISE[0]), Off(3 * NOISE[1])]
    ens = HatchEnsemble(members)
    ens.temperature = 2.0
    found = ens.trim([(X, Y)], tolerance=0.0)
    assert found.kept == (1,)
    assert list(ens.members) == [members[1]]
    assert ens.temperature is None
    assert ens(X).probs == pytest.approx(X.double().softmax(1), abs=1e-6)
    with pytest.raises(InputError, match="all 1 members"):
        ens.trim((MEMBERS, Y))
    with pytest.raises(InputError, match="regression"):
        HatchEnsemble(members, task="regression").trim([(X, X)])


def test_bad_input_is_refused():
    for tolerance in (-0.1, float("nan")):
        with pytest.raises(InputError, match="`tolerance`"):
            trim(MEMBERS, Y, tolerance=tolerance)
    with pytest.raises(InputError, match="must be logits"):
        trim(MEMBERS.softmax(2), Y)
    with pytest.raises(InputError, match="`labels`"):
        trim(MEMBERS, Y + 1)
