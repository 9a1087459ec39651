"""Time to target: `python -m benchmarks.time_to_target --scale smoke|cpu|gpu [--data DIR] [--minutes M]`; resumable.

Every rival gets the same number of drawn settings, each tried with one seed for a short run; the one that ends with the
highest accuracy on held-out training images is trained with every seed of the final stage. The target is read on the
held-out images too; test images are looked at once, after the last step.

Steps and accuracies come from the study, which may run beside other work. Seconds don't: `--times` measures the mean
step of every rival with its chosen settings, in turns in one process, and a run's seconds are its steps times that.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.rivals import DIVERGED, RANGES, Fact, draw, missing, updates
from benchmarks.step_times import measure
from benchmarks.target_table import as_markdown
from benchmarks.targets import PROBLEMS, SCALES, Images, Scale, images
from linnet.results import Record, read_records, write_records
from papers.study import Finished, Trial, carry_out

Scales = dict[str, Scale]
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


def main(arguments: list[str] | None = None) -> int:
    """Does what is left of the study, or measures the steps, and prints the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.time_to_target", description=__doc__)
    parser.add_argument("--scale", choices=tuple(SCALES), default="smoke")
    parser.add_argument("--data", type=Path, help="folder with fashion_mnist and cifar10_jpeg; smoke needs none")
    parser.add_argument("--minutes", type=float, help="begin no run after so much time")
    parser.add_argument("--out", type=Path, default=Path("runs/time_to_target"), help="folder of the records")
    parser.add_argument("--times", action="store_true", help="the study is done: measure the rivals' steps")
    asked = parser.parse_args(arguments)
    scales = dict(SCALES[asked.scale])
    study, times = asked.out / f"{asked.scale}.jsonl", asked.out / f"{asked.scale}_times.jsonl"
    loaded = {name: images(name, scale, asked.data) for name, scale in scales.items()}
    outcome = carry_out(
        study,
        partial(next_trials, scales=scales),
        partial(run_trial, scales=scales, loaded=loaded),
        workers=0,
        minutes=0.0 if asked.times else asked.minutes,
        told=lambda record, count: print(f"{count:4} {record.value:.4f}  {record.context['trial']}", flush=True),
    )
    if asked.times:
        chosen = chosen_settings(outcome.finished, scales)
        write_records(times, measure(chosen, scales, loaded, f"{COMMAND} --times"))
    print(as_markdown(outcome.finished, read_records(times) if times.exists() else [], scales))
    print(f"{outcome.done_now} runs now; {len(outcome.left)} are left: the same command goes on.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
