"""Which trainings follow from those that are finished: rates first, then seeds with the best rate of each."""

from __future__ import annotations

from papers.simons2021_jets.maps import BOARDS
from papers.simons2021_jets.networks import FROZEN, KINDS
from papers.simons2021_jets.scales import Scale
from papers.study import Finished, Trial

RATE_SEED = 1000  # of no training that is compared


def next_trials(finished: Finished, scale: Scale) -> list[Trial]:
    """All rates of all sets, types and widths; once a type's are there, its seeds, then the LUTs of the first of these.

    Last come the feature maps of one network.

    Seed by seed, so that pairs are whole.
    """
    cells = [(data, width, kind) for data in scale.sets for width in scale.widths for kind in KINDS]
    rates = [_rate(*cell, lr) for cell in cells for lr in scale.rates_of(cell[2])]
    chosen = {cell: best_rate(finished, scale, *cell) for cell in cells}
    ready = {cell: lr for cell, lr in chosen.items() if lr is not None}
    seeds = [_trial("seeds", *cell, lr, seed) for seed in range(scale.seeds) for cell, lr in ready.items()]
    areas = [
        _trial("area", *cell, lr, seed)
        for seed in range(scale.mapped)
        for cell, lr in ready.items()
        if cell[2] in FROZEN
    ]
    shown = [_trial("maps", *cell, ready[cell], 0) for cell in mapped_cells(scale) if cell in ready]
    return [*rates, *seeds, *areas, *shown]


def mapped_cells(scale: Scale) -> list[tuple[str, int, str]]:
    """(set, width, type) of the network whose feature maps are shown: free jets on circuit boards, the widest."""
    return [(BOARDS, scale.widths[-1], "jet_free")] if BOARDS in scale.sets else []


def best_rate(finished: Finished, scale: Scale, data: str, width: int, kind: str) -> float | None:
    """The rate with the best held-out score, the lower one of equals; None until all were tried."""
    tried = {}
    for lr in scale.rates_of(kind):
        record = finished.get(_rate(data, width, kind, lr).key)
        if record is None:
            return None
        tried[lr] = -1.0 if record.value is None else record.value
    return max(tried, key=lambda lr: (tried[lr], -lr))


def _rate(data: str, width: int, kind: str, lr: float) -> Trial:
    return _trial("rate", data, width, kind, lr, RATE_SEED)


def _trial(stage: str, data: str, width: int, kind: str, lr: float, seed: int) -> Trial:
    return Trial(stage, {"data": data, "kind": kind, "width": width, "lr": lr, "seed": seed})
