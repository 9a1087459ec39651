"""How long one evaluation takes beside the members' own forward passes."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import Tensor

from benchmarks.goal import bounded, machine_state
from linnet.ensemble import evaluate
from linnet.results import Record

_MEMBERS, _CLASSES = 5, 10


class Given:
    """An ensemble whose outputs are at hand."""

    task = "classification"
    temperature = 1.3

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def member_outputs(self, x: Tensor) -> Tensor:
        """The logits of the samples that `x` numbers."""
        return self.logits[:, x]


def measure(*, quick: bool) -> list[Record]:
    """Seconds of all clean measures of 10,000 samples, 10 classes and 5 members."""
    samples = 500 if quick else 10_000
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(_MEMBERS, samples, _CLASSES, generator=generator) * 3
    labels = torch.randint(_CLASSES, (samples,), generator=generator)
    found = []
    for _ in range(2 if quick else 11):
        start = time.perf_counter()
        evaluate(Given(logits), (torch.arange(samples), labels))
        found.append(time.perf_counter() - start)
    what = f"evaluate, {samples:,} samples, {_CLASSES} classes, {_MEMBERS} members, outputs at hand"
    return [
        bounded(
            "ensemble.evaluate",
            what,
            float(np.median(found)),
            bound=1.0,
            goal="<= 1 s",
            beside="-",
            unit="s",
            n=len(found),
            context=machine_state(),
        )
    ]
