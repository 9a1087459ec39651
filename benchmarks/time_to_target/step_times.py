"""What a mean step of each rival takes, in turns in one process: the seconds of the time-to-target tables."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch

from benchmarks.goal import machine_state
from benchmarks.time_to_target.problems import PROBLEMS, Images, Scale
from benchmarks.time_to_target.rivals import DIVERGED, Fact, Update, updates
from linnet.results import Record

BLOCK = 10  # steps in a row: the period of K-FAC's factors and of SOAP's eigenvectors
BLOCKS = 10  # 100 steps together: the period of K-FAC's inverses


def measure(
    chosen: Mapping[str, Mapping[str, Mapping[str, Fact]]],
    scales: Mapping[str, Scale],
    loaded: Mapping[str, Images],
    command: str,
) -> list[Record]:
    """Seconds of a step: the mean over a whole period of 100 steps, so that rare refreshes are in it.

    Each rival makes 10 steps before the clock runs (the first refresh and every first-time cost), then all make 10
    steps in turns, ten times.

    Args:
        chosen: Problem -> rival -> its settings.
        scales: Problem -> batch.
        loaded: Problem -> images.
        command: What to type for it.
    """
    records: list[Record] = []
    for problem, rivals in chosen.items():
        times = _blocks(problem, rivals, scales[problem].batch, loaded[problem])
        for name, seconds in times.items():
            if not len(seconds):
                continue
            context: dict[str, Fact] = {
                "problem": problem,
                "times_sgdm": float(seconds.mean() / times["sgdm"].mean()),
                "batch": scales[problem].batch,
                **machine_state(),
            }
            draws = np.random.default_rng(0).choice(seconds, (2000, len(seconds))).mean(1)
            lo, hi = (float(q) for q in np.quantile(draws, (0.025, 0.975)))
            records.append(
                Record.measured(
                    "natural.step_time", float(seconds.mean()), unit="s", n=BLOCK * BLOCKS, interval=(lo, hi),
                    level=0.95, rng_seed=0, method=name, context=context, command=command,
                )
            )  # fmt: skip
    return records


def _blocks(problem: str, rivals: Mapping[str, Mapping[str, Fact]], batch: int, data: Images) -> dict[str, np.ndarray]:
    """Mean seconds of a step in each block, by rival."""
    x, y = data.train
    order = torch.Generator().manual_seed(0)
    batches = [torch.randint(0, len(x), (batch,), generator=order) for _ in range(BLOCK)]

    def begun(name: str) -> Update:
        torch.manual_seed(1000)
        return updates(name, PROBLEMS[problem].model(), rivals[name])

    steps = {name: begun(name) for name in rivals}
    times: dict[str, list[float]] = {name: [] for name in rivals}
    for number in range(1 + BLOCKS):
        for name in steps:
            begin = time.perf_counter()
            try:
                for chosen in batches:
                    steps[name](x[chosen], y[chosen])
            except DIVERGED:  # the block doesn't count; the next one begins anew
                steps[name] = begun(name)
                continue
            if number:
                times[name].append((time.perf_counter() - begin) / BLOCK)
    return {name: np.asarray(seconds) for name, seconds in times.items()}
