"""From the records of the study to what its tables say."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, median

from linnet.results import Record
from papers.chen2020_padam.optimizers import ROWS
from papers.chen2020_padam.plan import chosen, extensions_done, on_edge, tuning
from papers.chen2020_padam.scales import Scale
from papers.study import Finished
from papers.verdict import Paired, paired

REFERENCE = "sgdm"


@dataclass(frozen=True)
class Result:
    """One optimizer, tuned and run with fresh seeds.

    Attributes:
        row: Its key.
        trials: Runs spent on tuning.
        diverged: How many of them diverged.
        axes: The values tried.
        best: The chosen values.
        edges: Axes on whose edge the chosen value still lies.
        runs: Records of the fresh seeds, by seed.
    """

    row: str
    trials: int
    diverged: int
    axes: dict[str, tuple[float, ...]]
    best: dict[str, float]
    edges: tuple[str, ...]
    runs: dict[int, Record]

    @property
    def label(self) -> str:
        """As tables name it."""
        return ROWS[self.row].label

    def numbers(self, name: str, seeds: list[int] | None = None) -> list[float]:
        """A number of each seed's run, in the order of the seeds; those that diverged are left out."""
        picked = self.seeds() if seeds is None else seeds
        return [float(self.runs[seed].context[name]) for seed in picked]

    def seeds(self) -> list[int]:
        """The seeds whose run ended well."""
        return [seed for seed, record in sorted(self.runs.items()) if record.value is not None]

    def curves(self, name: str) -> list[list[float]]:
        """A curve over the epochs for each seed: "curve" (accuracy on validation images) or "loss_curve" (training)."""
        return [[float(value) for value in str(self.runs[seed].context[name]).split()] for seed in self.seeds()]

    def mean_loss(self, seeds: list[int]) -> list[float]:
        """Mean of the training loss over all epochs, by seed: small when training is fast."""
        return [fmean(float(v) for v in str(self.runs[seed].context["loss_curve"]).split()) for seed in seeds]


def results(finished: Finished, scale: Scale) -> dict[str, Result]:
    """Every optimizer that was tuned, in the order of the study."""
    found = {}
    extension = extensions_done(finished, scale)
    for row in scale.rows:
        best = chosen(row, finished, scale, extension) if _tuned(row, finished, scale, extension) else None
        if best is None:
            continue
        trials = tuning(row, finished, scale, extension)
        names = list(ROWS[row].grid)
        axes = {name: tuple(sorted({float(trial.settings[name]) for trial in trials})) for name in names}
        found[row] = Result(
            row,
            len(trials),
            sum(finished[trial.key].value is None for trial in trials),
            axes,
            {name: float(best.context[name]) for name in names},
            tuple(on_edge(row, finished, scale, extension)),
            {record.rng_seed or 0: record for record in finished.values() if _is_final(record, row)},
        )
    return found


def difference(ours: Result, theirs: Result, name: str = "test_accuracy") -> Paired | None:
    """The paired difference ours - theirs over the seeds that both have."""
    shared = sorted(set(ours.seeds()) & set(theirs.seeds()))
    return paired(ours.numbers(name, shared), theirs.numbers(name, shared))


def speed_difference(ours: Result, theirs: Result) -> Paired | None:
    """How much lower our training loss is, averaged over the epochs: theirs - ours, paired by seed."""
    shared = sorted(set(ours.seeds()) & set(theirs.seeds()))
    return paired(theirs.mean_loss(shared), ours.mean_loss(shared))


def epochs_to_reach(result: Result, accuracy: float) -> float:
    """Epochs until the validation accuracy is first so high: median over seeds, infinite if not reached."""
    reached = [
        next((epoch for epoch, value in enumerate(curve, start=1) if value >= accuracy), math.inf)
        for curve in result.curves("curve")
    ]
    return median(reached) if reached else math.inf


def final_accuracy(result: Result) -> float:
    """Mean validation accuracy after the last epoch; NaN without a run."""
    values = [record.value for seed, record in result.runs.items() if seed in result.seeds()]
    return fmean(value for value in values if value is not None) if values else math.nan


def _tuned(row: str, finished: Finished, scale: Scale, extension: int) -> bool:
    return all(trial.key in finished for trial in tuning(row, finished, scale, extension))


def _is_final(record: Record, row: str) -> bool:
    return record.context.get("stage") == "final" and record.context.get("row") == row
