"""How the learning rate goes with p: the ridge of the map, the fitted rule, and the one that the gradients predict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from linnet.optim import padam_lr
from papers.chen2020_padam.plan import map_trials, scale_trial
from papers.chen2020_padam.scales import Scale
from papers.study import Finished

FACTOR_ALLOWED = 3.0
"""`linnet.optim.padam_lr` is offered only if the rule's largest error on the second set is within this factor."""


@dataclass(frozen=True)
class Peak:
    """The best learning rate at one p.

    Attributes:
        p: Partial adaptivity.
        lr: Where the parabola through the best learning rate and its neighbours, over log lr, has its top.
        accuracy: Of the best run, on the validation images.
        on_edge: The best run has the smallest or the largest learning rate tried, so that the top may lie beyond.
    """

    p: float
    lr: float
    accuracy: float
    on_edge: bool


@dataclass(frozen=True)
class Rule:
    """lr(p) = lr(1/2) r^(1 - 2p): a straight line of log lr over p.

    Attributes:
        lr_half: lr(1/2).
        r: What a step of p from 1/2 to 0 multiplies the learning rate with.
    """

    lr_half: float
    r: float

    def lr(self, p: float) -> float:
        """The rule's learning rate at p."""
        return self.lr_half * self.r ** (1 - 2 * p)


@dataclass(frozen=True)
class RuleTest:
    """The rule on the second set: from the best learning rate at p = 1/2 there to the one at p.

    Attributes:
        p: Partial adaptivity.
        found: Best learning rate.
        predicted: By the gradients' size there, measured in one epoch of Adam.
        fitted: By the r that was fitted to the first set's ridge.
    """

    p: float
    found: float
    predicted: float
    fitted: float

    @property
    def factor(self) -> float:
        """By what factor the prediction is off, 1 or more."""
        return max(self.predicted / self.found, self.found / self.predicted)


def accuracies(finished: Finished, scale: Scale, stage: str = "map") -> dict[tuple[float, float], float | None]:
    """Accuracy at each (p, lr) of a finished map; None where training diverged; empty while runs are missing."""
    p = scale.map_p if stage == "map" else scale.second_p
    trials = map_trials(scale, stage, p)
    if not trials or any(trial.key not in finished for trial in trials):
        return {}
    return {(float(trial.settings["p"]), float(trial.settings["lr"])): finished[trial.key].value for trial in trials}


def ridge(found: Mapping[tuple[float, float], float | None]) -> list[Peak]:
    """The best learning rate at each p of a map, p rising."""
    peaks = []
    for p in sorted({p for p, _ in found}):
        column = {lr: value for (at, lr), value in sorted(found.items()) if at == p and value is not None}
        if column:
            peaks.append(_peak(p, list(column), list(column.values())))
    return peaks


def _peak(p: float, lrs: Sequence[float], values: Sequence[float]) -> Peak:
    best = max(range(len(values)), key=lambda index: values[index])
    if best in (0, len(values) - 1):
        return Peak(p, lrs[best], values[best], on_edge=True)
    x = np.log(lrs[best - 1 : best + 2])
    a, b, _ = np.polyfit(x, values[best - 1 : best + 2], 2)
    top = float(np.clip(-b / (2 * a), x[0], x[2])) if a < 0 else float(x[1])
    return Peak(p, math.exp(top), values[best], on_edge=False)


def fit_rule(peaks: Sequence[Peak]) -> Rule | None:
    """The straight line of log lr over 1 - 2p that is nearest to the ridge; None for fewer than two peaks."""
    if len(peaks) < 2:
        return None
    slope, offset = np.polyfit([1 - 2 * peak.p for peak in peaks], np.log([peak.lr for peak in peaks]), 1)
    return Rule(math.exp(offset), math.exp(slope))


def gradient_size(finished: Finished, stage: str = "gradient scale") -> float | None:
    """The measured size of a gradient; None before it was."""
    record = finished.get(scale_trial(stage).key)
    return None if record is None or record.value is None else float(record.context["gradient_scale"])


def rule_on_second(finished: Finished, scale: Scale) -> list[RuleTest]:
    """The rule's predictions on the second set, for every p but the reference 1/2; empty while runs are missing."""
    peaks = {peak.p: peak for peak in ridge(accuracies(finished, scale, "second map"))}
    size, first = gradient_size(finished, "second gradient scale"), fit_rule(ridge(accuracies(finished, scale)))
    if size is None or first is None or 0.5 not in peaks:
        return []
    half = peaks.pop(0.5).lr
    fitted = Rule(half, first.r)
    return [RuleTest(p, peak.lr, padam_lr(half, 0.5, p, size), fitted.lr(p)) for p, peak in peaks.items()]
