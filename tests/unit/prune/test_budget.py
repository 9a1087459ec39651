import math

import numpy as np
import pytest

from linnet.errors import BudgetError
from linnet.prune import Budget
from linnet.prune.budget import within


def test_fractions_and_amounts_become_whole_limits():
    limits = Budget(macs=0.5, params=120, bytes=1.0).limits({"macs": 1001, "params": 999, "bytes": 7})
    assert limits == {"macs": 500, "params": 120, "bytes": 7}


def test_the_words_tell_fractions_from_amounts():
    assert str(Budget(macs=0.238, params=50_000)) == "macs <= 0.238 of the given network's, params <= 50,000"


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "0.5"])
def test_a_limit_that_is_no_positive_number_is_refused(value):
    with pytest.raises(BudgetError, match="`macs`"):
        Budget(macs=value)


def test_a_budget_without_a_limit_is_refused():
    with pytest.raises(BudgetError, match="`macs`, `params`, `bytes`, `peak_activation_bytes`"):
        Budget()


def test_within_needs_every_limit():
    totals = np.array([[10, 5, 0, 0], [10, 6, 0, 0], [11, 5, 0, 0]])
    assert within(totals, {"macs": 10, "params": 5}).tolist() == [True, False, False]


def test_milliseconds_are_absolute_and_not_counted():
    budget = Budget(macs=0.5, latency_ms=0.8, batch=4, threads=2, runtime="torch")
    assert budget.limits({"macs": 10}) == {"macs": 5}
    assert budget.given() == {"macs": 0.5, "latency_ms": 0.8}
    assert str(budget) == "macs <= 0.5 of the given network's, latency_ms <= 0.8 (torch, batch 4, 2 threads)"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"latency_ms": 0}, "`latency_ms`"),
        ({"latency_ms": 1, "batch": 0}, "`batch`"),
        ({"latency_ms": 1, "threads": 1.5}, "`threads`"),
        ({"latency_ms": 1, "runtime": "tflite"}, "`runtime`"),
    ],
)
def test_what_can_not_be_timed_is_refused(options, words):
    with pytest.raises(BudgetError, match=words):
        Budget(**options)
