"""The trials of the time-to-target study.

Every rival gets the same number of drawn settings, each tried with one seed for a short run; the one that ends with the
highest accuracy on held-out training images is trained with every seed of the final stage. The target is read on the
held-out images too; test images are looked at once, after the last step.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from benchmarks.time_to_target.problems import PROBLEMS, Images, Scale
from benchmarks.time_to_target.rivals import DIVERGED, RANGES, Fact, draw, missing, updates
from linnet.results import Record
from papers.study import Finished, Trial

Scales = Mapping[str, Scale]
COMMAND = "python -m benchmarks.time_to_target --scale cpu --data DATA --out benchmarks/records/time_to_target"


def next_trials(finished: Finished, *, scales: Scales) -> list[Trial]:
    """All trials of settings first, in turns over the rivals, then the final runs; one problem after the other."""
    trials: list[Trial] = []
    rivals = [name for name in RANGES if missing(name) is None]
    for problem, scale in scales.items():
        tuning = [_tuning(problem, name, k) for k in range(scale.draws) for name in rivals]
        trials += tuning
        if any(trial.key not in finished for trial in tuning):
            return trials
        trials += [
            Trial("final", {"problem": problem, "rival": name, "draw": best_draw(finished, problem, name, scale)}
                  | {"seed": seed})
            for seed in range(scale.seeds) for name in rivals
        ]  # fmt: skip
        if any(trial.key not in finished for trial in trials):
            return trials
    return trials


def best_draw(finished: Finished, problem: str, rival: str, scale: Scale) -> int:
    """The draw that ended highest on held-out images."""
    scores = [finished[_tuning(problem, rival, k).key].value or 0.0 for k in range(scale.draws)]
    return int(np.argmax(scores))


def _tuning(problem: str, rival: str, number: int) -> Trial:
    return Trial("tune", {"problem": problem, "rival": rival, "draw": number})


def run_trial(trial: Trial, *, scales: Scales, loaded: dict[str, Images]) -> Record:
    """One training; its value is the held-out accuracy after the last step, 0 where it diverged."""
    problem, name = str(trial.settings["problem"]), str(trial.settings["rival"])
    seed, scale, data = int(trial.settings.get("seed", 0)), scales[problem], loaded[problem]
    settings = draw(name, int(trial.settings["draw"]))
    torch.manual_seed(1000 + seed)
    model = PROBLEMS[problem].model()
    tuning = trial.stage == "tune"
    steps = scale.tune_steps if tuning else scale.steps
    update, order = updates(name, model, settings), torch.Generator().manual_seed(seed)
    now, reached, x, y = 0.0, -1, *data.train
    for step in range(1, steps + 1):
        chosen = torch.randint(0, len(x), (scale.batch,), generator=order)
        try:
            update(x[chosen], y[chosen])
        except DIVERGED:
            now = 0.0
            break
        if step == steps or (not tuning and step % scale.every == 0):
            now = accuracy(model, data.held_out)
            reached = step if reached < 0 and now >= scale.target else reached
    context: dict[str, Fact] = {"problem": problem, "steps_to_target": reached, "target": scale.target, "steps": steps}
    if not tuning:
        context["test_accuracy"] = accuracy(model, data.test)
    context["settings"] = " ".join(f"{key}={value:g}" for key, value in settings.items())
    return Record.measured(
        f"natural.time_to_target.{trial.stage}", now, n=1, rng_seed=seed, method=name, split="val", context=context,
        command=COMMAND,
    )  # fmt: skip


@torch.no_grad()
def accuracy(model: torch.nn.Module, pair: tuple[Tensor, Tensor]) -> float:
    """Share of images that get their class."""
    right = [int((model(x).argmax(1) == y).sum()) for x, y in zip(*(p.split(500) for p in pair), strict=True)]
    return sum(right) / len(pair[1])


def chosen_settings(finished: Finished, scales: Scales) -> dict[str, dict[str, dict[str, Fact]]]:
    """Problem -> rival -> the settings of its best draw."""
    rivals = [name for name in RANGES if missing(name) is None]
    return {
        problem: {name: draw(name, best_draw(finished, problem, name, scale)) for name in rivals}
        for problem, scale in scales.items()
    }
