"""Records of a classifier, counted by hand."""

import math

import numpy as np
import pytest

from linnet.errors import InputError
from linnet.results import classification_records, share_interval

LOGITS = np.log([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]])
LABELS = np.array([0, 1, 1, 2])


def test_every_number_is_that_of_the_definition():
    facts = {"split": "test", "method": "mine", "context": {"set": "four"}}
    found = classification_records(LOGITS + 3.0, LABELS, classes=["a", "b", "c"], bins=2, facts=facts)
    assert {(r.split, r.method, r.context["set"]) for r in found} == {("test", "mine", "four")}
    by = {(r.name, r.context.get("class"), r.context.get("bin")): r for r in found}
    accuracy = by["accuracy", None, None]
    assert (accuracy.value, accuracy.n, accuracy.interval) == (0.75, 4, share_interval(3, 4))
    nll = -(math.log(0.7) + math.log(0.8) + math.log(0.3) + math.log(0.6)) / 4
    assert by["nll", None, None].value == pytest.approx(nll, abs=1e-12)
    assert [by["accuracy in class", name, None].value for name in "abc"] == [1.0, 0.5, 1.0]
    low, high = by["reliability", None, 0], by["reliability", None, 1]
    assert (low.value, low.context["confidence"]) == (0.5, pytest.approx(0.55))  # 0.5 wrong, 0.6 right
    assert (high.value, high.context["confidence"]) == (1.0, pytest.approx(0.75))
    assert by["ece", None, None].value == pytest.approx(0.5 * 0.05 + 0.5 * 0.25)


def test_logits_of_any_size_and_a_class_without_examples():
    found = {
        (r.name, r.context.get("class")): r.value
        for r in classification_records(np.array([[1e4, 0.0, 0.0], [0.0, 1e4, 0.0]]), np.array([0, 1]))
    }
    assert found["nll", None] == 0.0
    assert found["accuracy in class", "2"] is None


@pytest.mark.parametrize(
    ("logits", "labels", "said"),
    [
        (LOGITS[0], LABELS, r"`logits`.*\(3,\)"),
        (LOGITS, LABELS[:2], r"`labels`.*\(2,\)"),
        (LOGITS, np.array([0, 1, 1, 3]), "`labels`"),
        (LOGITS, np.array([0.0, 1.0, 1.0, 2.0]), "`labels`"),
        (LOGITS * np.nan, LABELS, "`logits`.*NaN"),
    ],
)
def test_what_can_not_be_judged_is_refused(logits, labels, said):
    with pytest.raises(InputError, match=said):
        classification_records(logits, labels)
