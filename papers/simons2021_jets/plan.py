"""Which trainings follow from those that are finished: rates first, then seeds with the best rate of each."""

from __future__ import annotations

from papers.simons2021_jets.networks import KINDS
from papers.simons2021_jets.scales import Scale
from papers.study import Finished, Trial

RATE_SEED = 1000  # of no training that is compared


def next_trials(finished: Finished, scale: Scale) -> list[Trial]:
    """All rates of all types and widths; once a type's are there, its seeds. Seed by seed, so that pairs are whole."""
    rates = [
        Trial("rate", {"kind": kind, "width": width, "lr": lr, "seed": RATE_SEED})
        for width in scale.widths
        for kind in KINDS
        for lr in scale.rates_of(kind)
    ]
    seeds = [
        Trial("seeds", {"kind": kind, "width": width, "lr": lr, "seed": seed})
        for seed in range(scale.seeds)
        for width in scale.widths
        for kind in KINDS
        if (lr := best_rate(finished, scale, kind, width)) is not None
    ]
    return [*rates, *seeds]


def best_rate(finished: Finished, scale: Scale, kind: str, width: int) -> float | None:
    """The rate with the best held-out accuracy, the lower one of equals; None until all were tried."""
    tried = {}
    for lr in scale.rates_of(kind):
        record = finished.get(Trial("rate", {"kind": kind, "width": width, "lr": lr, "seed": RATE_SEED}).key)
        if record is None:
            return None
        tried[lr] = -1.0 if record.value is None else record.value
    return max(tried, key=lambda lr: (tried[lr], -lr))
