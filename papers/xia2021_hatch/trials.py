"""The trials of the study: dials chosen on validation images, then every arm on every seed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from torch import nn

from linnet.ensemble import evaluate
from linnet.results import Record
from papers.study import Fact, Finished, Trial
from papers.xia2021_hatch.arms import ARMS, SAME_DIALS, whole
from papers.xia2021_hatch.problems import Problem, problem
from papers.xia2021_hatch.scales import MEMBERS, Scale
from papers.xia2021_hatch.training import Trainer

SEARCH_SEED = 1000  # no seed of the comparison
MEASURES = ("accuracy", "nll", "calibrated_nll", "brier", "ece", "aurc", "disagreement")


def arms_of(scale: Scale) -> tuple[str, ...]:
    """The arms that a scale compares."""
    return scale.arms or tuple(ARMS)


def searches(scale: Scale, name: str) -> list[Trial]:
    """All trials that choose the dials on a set."""
    own = {SAME_DIALS.get(arm, arm): None for arm in arms_of(scale)}
    return [
        Trial("search", {"set": name, "arm": arm, "candidate": number})
        for arm in own
        for number in range(len(ARMS[arm][1]))
    ]


def next_trials(finished: Finished, *, scale: Scale) -> list[Trial]:
    """All trials that can be done now: a set's search, and once that is whole, its arms, seed by seed."""
    trials: list[Trial] = []
    for name in scale.sets:
        search = searches(scale, name) if scale.searched else []
        trials += search
        if all(trial.key in finished for trial in search):
            trials += [
                Trial("run", {"set": name, "arm": arm, "seed": seed, "candidate": chosen(finished, scale, name, arm)})
                for seed in range(scale.seeds)
                for arm in arms_of(scale)
            ]
    return trials


def chosen(finished: Finished, scale: Scale, name: str, arm: str) -> int:
    """The candidate with the best validation score; the first where nothing was searched."""
    own = SAME_DIALS.get(arm, arm)
    scores = {
        trial.settings["candidate"]: finished[trial.key].value
        for trial in searches(scale, name)
        if trial.settings["arm"] == own and trial.key in finished
    }
    best = min(scores, key=lambda candidate: scores[candidate] or float("inf"), default=0)
    return int(best)


def run_trial(trial: Trial, *, scale: Scale, root: Path | None) -> Record:
    """Does one trial."""
    settings: dict[str, Any] = dict(trial.settings)
    given = problem(settings["set"], scale, root)
    train, candidates = ARMS[settings["arm"]]
    seed = settings.get("seed", SEARCH_SEED)
    dials = dict(candidates[settings["candidate"]])
    began, trainer = time.perf_counter(), Trainer(given, seed)
    ensemble = train(trainer, scale, whole(scale), dials)
    spent = trainer.spent
    facts: dict[str, Fact] = {**dials, "macs_train": spent.macs, "train_s": round(spent.cpu_s, 2)}
    facts |= {f"macs_{part}": macs for part, macs in spent.parts.items()}
    facts |= {"macs_inference": float(_inference(trainer, ensemble)), "scale": scale.name, "set": settings["set"]}
    value, measured = (_validated if trial.stage == "search" else _tested)(ensemble, given)
    where = "" if scale.name == "smoke" else " --data DATA"
    return Record.measured(
        f"hatch.{trial.stage}",
        value,
        unit="nat",
        n=len(given.validation[1] if trial.stage == "search" else given.test[1]),
        rng_seed=seed,
        method=settings["arm"],
        context={**facts, **measured, "wall_s": round(time.perf_counter() - began, 2)},
        command=f"python papers/xia2021_hatch/run.py --scale {scale.name}{where}",
    )


def _inference(trainer: Trainer, ensemble: Any) -> int:
    """MACs of one image's answer."""
    if hasattr(ensemble, "members"):
        return sum(trainer.macs(member) for member in ensemble.members)
    return MEMBERS * trainer.macs(ensemble.net)


def _validated(ensemble: nn.Module, given: Problem) -> tuple[float, dict[str, Fact]]:
    """Calibrated NLL on clean validation images and on shifted ones, added; the temperature is of the clean ones."""
    pair = given.validation
    report = evaluate(ensemble, pair, given.validation_shift, validation=(pair[0], pair[1]))
    clean, shifted = report.metrics["clean"]["calibrated_nll"], report.metrics["shifted"]["calibrated_nll"]
    return clean + shifted, {"clean": clean, "shifted": shifted}


def _tested(ensemble: nn.Module, given: Problem) -> tuple[float, dict[str, Fact]]:
    """Calibrated NLL on clean test images, and all else as facts."""
    report = evaluate(ensemble, given.test, given.shift, ood=given.outside, validation=given.validation)
    facts: dict[str, Fact] = {name: report.metrics["clean"][name] for name in MEASURES}
    facts |= {f"shifted_{name}": report.metrics["shifted"][name] for name in MEASURES}
    if given.outside is not None:
        facts |= {f"ood_{name}": value for name, value in report.metrics["ood"].items()}
    facts["temperature"] = report.temperature
    return report.metrics["clean"]["calibrated_nll"], facts
