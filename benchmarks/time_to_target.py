"""Time to target: `python -m benchmarks.time_to_target --scale smoke|cpu|gpu [--data DIR] [--minutes M]`; resumable.

Every rival gets the same number of drawn settings, each tried with one seed for a short run; the one that reaches the
highest validation accuracy is trained with every seed of the final stage. Accuracy is on held-out training images.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.natural_nets import small_cnn
from benchmarks.rivals import RANGES, draw, missing, updates
from linnet.data import fashion_mnist
from linnet.results import Record
from papers.study import Finished, Trial, carry_out


@dataclass(frozen=True)
class Scale:
    """How large the study is.

    Attributes:
        images: Training images; 2,000 more are held out.
        target: Accuracy to reach.
        tune_steps: Steps of a trial of settings.
        steps: Steps of a final run at most.
        draws: Settings of each rival.
        seeds: Final runs of each rival.
        batch: Images of a step.
        every: Steps between looks at the accuracy.
    """

    images: int
    target: float
    tune_steps: int
    steps: int
    draws: int
    seeds: int
    batch: int = 128
    every: int = 20


SCALES = {
    "smoke": Scale(images=512, target=0.5, tune_steps=8, steps=16, draws=1, seeds=1, batch=64, every=4),
    "cpu": Scale(images=20_000, target=0.85, tune_steps=60, steps=300, draws=12, seeds=5),
    "gpu": Scale(images=58_000, target=0.90, tune_steps=450, steps=4_500, draws=12, seeds=5, every=50),
}
HELD_OUT = 2_000


def next_trials(finished: Finished, *, scale: Scale) -> list[Trial]:
    """All trials of settings first, in turns over the rivals, then the final runs."""
    rivals = [name for name in RANGES if missing(name) is None]
    tuning = [Trial("tune", {"rival": name, "draw": k}) for k in range(scale.draws) for name in rivals]
    if any(trial.key not in finished for trial in tuning):
        return tuning
    final = []
    for seed in range(scale.seeds):
        for name in rivals:
            scores = [finished[Trial("tune", {"rival": name, "draw": k}).key].value or 0.0 for k in range(scale.draws)]
            final.append(Trial("final", {"rival": name, "draw": int(np.argmax(scores)), "seed": seed}))
    return [*tuning, *final]


def run_trial(trial: Trial, *, scale: Scale, data: Path | None) -> Record:
    """One training; its value is the best accuracy seen."""
    name, seed = str(trial.settings["rival"]), int(trial.settings.get("seed", 0))
    settings = draw(name, int(trial.settings["draw"]))
    torch.manual_seed(1000 + seed)
    model = small_cnn()
    (x, y), (held_x, held_y) = images(scale, data)
    steps = scale.tune_steps if trial.stage == "tune" else scale.steps
    update, order = updates(name, model, settings), torch.Generator().manual_seed(seed)
    best, reached, reached_s, spent = 0.0, -1, -1.0, 0.0
    for step in range(1, steps + 1):
        chosen = torch.randint(0, len(x), (scale.batch,), generator=order)
        begin = time.perf_counter()
        try:
            update(x[chosen], y[chosen])
        except ArithmeticError:  # diverged: ten steps in a row weren't finite
            break
        spent += time.perf_counter() - begin
        if step % scale.every == 0 or step == steps:
            best = max(best, accuracy(model, held_x, held_y))
            if reached < 0 and best >= scale.target:
                reached, reached_s = step, spent
    context = {"steps_to_target": reached, "seconds_to_target": reached_s, "train_s": spent, "target": scale.target}
    told = " ".join(f"{key}={value:g}" for key, value in settings.items())
    key = f"natural.time_to_target.{trial.stage}"
    return Record.measured(
        key, best, n=1, rng_seed=seed, method=name, split="val", context=context | {"settings": told}
    )


@torch.no_grad()
def accuracy(model: torch.nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of held-out images that get their class."""
    return float((model(x).argmax(1) == y).double().mean())


def images(scale: Scale, data: Path | None) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Training and held-out images; without data ten made patterns under noise."""
    if data is None:
        generator = torch.Generator().manual_seed(0)
        y = torch.arange(scale.images + 500) % 10
        x = torch.randn(10, 1, 28, 28, generator=generator)[y] + torch.randn(len(y), 1, 28, 28, generator=generator)
        return (x[: scale.images], y[: scale.images]), (x[scale.images :], y[scale.images :])
    whole = fashion_mnist("train", root=data / "fashion_mnist")
    x, y = (whole.images.float() / 255 - 0.286) / 0.353, whole.labels  # mean and deviation of the training images
    return (x[: scale.images], y[: scale.images]), (x[-HELD_OUT:], y[-HELD_OUT:])


def as_markdown(finished: Finished) -> str:
    """One row per rival: final runs, how many arrived, median steps and seconds, median best accuracy."""
    rows = ["| rival | runs | arrived | steps | seconds | best accuracy | settings |", "|---|---|---|---|---|---|---|"]
    for name in RANGES:
        if missing(name) is not None:
            rows.append(f"| {name} | not installed: {missing(name)} | | | | | |")
            continue
        runs = [r for r in finished.values() if r.method == name and r.context["stage"] == "final"]
        if not runs:
            continue
        there = [r for r in runs if int(r.context["steps_to_target"]) >= 0]
        middle: Callable[[str], str] = lambda key, there=there, runs=runs: (  # noqa: E731
            _span([float(r.context[key]) for r in there]) if 2 * len(there) > len(runs) else "not by most"
        )
        accuracies = _span([r.value or math.nan for r in runs])
        rows.append(
            f"| {name} | {len(runs)} | {len(there)} | {middle('steps_to_target')} | {middle('seconds_to_target')} | "
            f"{accuracies} | {runs[0].context['settings']} |"
        )
    return "\n".join(rows)


def _span(values: list[float]) -> str:
    return f"{np.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"


def main(arguments: list[str] | None = None) -> int:
    """Does what is left of the study and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.time_to_target", description=__doc__)
    parser.add_argument("--scale", choices=tuple(SCALES), default="smoke")
    parser.add_argument("--data", type=Path, help="folder that holds fashion_mnist; smoke needs none")
    parser.add_argument("--minutes", type=float, help="begin no run after so much time")
    parser.add_argument("--out", type=Path, default=Path("runs/time_to_target"), help="folder of the records")
    asked = parser.parse_args(arguments)
    scale = SCALES[asked.scale]
    outcome = carry_out(
        asked.out / f"{asked.scale}.jsonl",
        partial(next_trials, scale=scale),
        partial(run_trial, scale=scale, data=asked.data),
        workers=0,
        minutes=asked.minutes,
        told=lambda record, count: print(f"{count:4} {record.value:.4f}  {record.context['trial']}", flush=True),
    )
    print(as_markdown(outcome.finished))
    print(f"{outcome.done_now} runs now; {len(outcome.left)} are left: the same command goes on.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
