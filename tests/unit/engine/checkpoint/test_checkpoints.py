"""Checkpoints of a run as one value, beside the keywords of `fit`."""

import inspect
from dataclasses import asdict

import pytest
import torch

from linnet.engine import Checkpoints, fit
from linnet.errors import InputError
from linnet.option_values import UNSET
from tests.unit.engine.small import train

KEYWORDS = {"folder": "folder", "every": "checkpoint_every", "keep": "keep", "resume": "resume"}


def test_the_value_and_the_keywords_keep_the_same_files(tmp_path):
    train(tmp_path / "a", epochs=2, checkpoint_every=3, keep=3)
    train(UNSET, epochs=2, checkpoints=Checkpoints(tmp_path / "b", every=3, keep=3))
    names = [sorted(path.name for path in (tmp_path / one).iterdir()) for one in "ab"]
    assert names[0] == names[1]
    assert len(names[0]) == 3


def test_a_run_goes_on_or_starts_anew_as_the_value_says(tmp_path):
    value = Checkpoints(tmp_path)
    train(UNSET, epochs=1, checkpoints=value)
    assert len(train(UNSET, epochs=2, checkpoints=value).history) == 2
    assert train(UNSET, epochs=2, checkpoints=value).steps == train(epochs=2).steps
    again = train(UNSET, epochs=1, checkpoints=Checkpoints(tmp_path, resume=False))
    assert len(again.history) == 1


def test_each_keyword_has_its_field_and_no_default_of_its_own():
    parameters = inspect.signature(fit).parameters
    assert set(asdict(Checkpoints())) == set(KEYWORDS)
    assert all(parameters[name].default is UNSET for name in KEYWORDS.values())


@pytest.mark.parametrize(("field", "other"), [("folder", "elsewhere"), ("every", 4), ("keep", 9), ("resume", False)])
def test_a_keyword_that_disagrees_with_the_value_is_refused(field, other, tmp_path):
    with pytest.raises(InputError, match=f"`{KEYWORDS[field]}`.*`checkpoints`"):
        train(**{"folder": UNSET, KEYWORDS[field]: other}, checkpoints=Checkpoints(tmp_path, every=3))


@pytest.mark.parametrize("wrong", [Checkpoints(every=0), Checkpoints(keep=0), "runs/a"])
def test_a_value_that_cannot_be_used_is_refused(wrong):
    with pytest.raises(InputError, match=r"`(every|keep|checkpoints)`"):
        train(UNSET, checkpoints=wrong)


def test_the_keywords_may_repeat_the_value(tmp_path):
    result = train(str(tmp_path), epochs=1, checkpoints=Checkpoints(tmp_path, every=3), checkpoint_every=3)
    assert torch.isfinite(torch.tensor(result.history[0].loss))
