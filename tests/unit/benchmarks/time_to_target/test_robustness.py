"""Rates, dampings and labels that are wrong: what is redrawn, and what the tables say."""

import math

import pytest
import torch

from benchmarks.time_to_target import robustness, wrong_labels
from linnet.results import Record


def test_a_share_of_the_labels_is_drawn_anew_the_same_at_every_call():
    y = torch.arange(5000) % 10
    for share in wrong_labels.SHARES:
        found = wrong_labels.redrawn(y, share)
        assert torch.equal(found, wrong_labels.redrawn(y, share))
        assert float((found != y).float().mean()) == pytest.approx(0.9 * share, abs=0.02)  # one in ten comes again


def test_every_method_of_the_tables_makes_its_steps():
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(16, 1, 28, 28, generator=draw), torch.arange(16) % 10
    for method, _ in wrong_labels.runs():
        torch.manual_seed(0)
        model = wrong_labels.network()
        before = [p.detach().clone() for p in model.parameters()]
        wrong_labels.step_of(method, model)(x, y)
        assert any(not torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True)), method


def test_the_table_of_wrong_labels_names_what_ends_worse_than_adams_best():
    def run(method, share, value):
        return Record("natural.wrong_labels", value, method=method, context={"share": share, "held_out": 0.5})

    found = [run(method, share, 1.0) for method, share in wrong_labels.runs()]
    assert wrong_labels.as_markdown(found).endswith("None ends worse than Adam's best.")
    found = [run("unit", r.context["share"], None) if r.method == "unit" else r for r in found]
    text = wrong_labels.as_markdown(found)
    assert "| unit | diverged | diverged | diverged | diverged |" in text
    assert text.endswith("Worse than Adam's best: unit at 0%, unit at 10%, unit at 30%, unit at 100%.")


def test_the_table_of_rates_counts_the_settings_that_train_and_those_that_diverge():
    def run(settings):
        lr = settings["lr"]
        value = 0.0 if lr == 0.3 else (robustness.TRAINS if lr == 0.1 else 0.5)
        return Record("natural.robustness", value, method=settings["method"], context={**settings, "train_loss": lr})

    text = robustness.as_markdown([run(settings) for settings in robustness.runs()])
    settings = len(robustness.RATES) * len(robustness.DAMPINGS)
    each = len(robustness.DAMPINGS)
    assert f"kl_clip=0.01: {each} of {settings} settings train, {each} diverge" in text
    assert "kl_clip=0.01 0.003" in text


def test_the_committed_records_hold_what_the_page_says():
    """No bounded setting over two decades of rate and damping diverges; the least loss is below SGD's and Adam's."""
    records = robustness.read_records(robustness_file())
    bounded = [r for r in records if r.method in robustness.CLIPS]
    assert len(bounded) == len(robustness.CLIPS) * len(robustness.RATES) * len(robustness.DAMPINGS)
    assert all(r.value > 0.7 for r in bounded)
    least = {m: robustness._least_loss(records, m) for m in (*robustness.CLIPS, *robustness.RIVALS)}
    assert least["kl_clip=0.01"] < min(least["sgd"], least["adam"])
    assert math.isfinite(least["sgd"])


def robustness_file():
    from benchmarks.natural.page import ROBUST

    return ROBUST
