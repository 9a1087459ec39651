"""Parts that a step can't do without, timed in turns beside a whole reference step: the reasons of missed goals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.goal import missed
from linnet.results import Record


def passes(model: nn.Module, x: Tensor, count: int) -> Callable[[], None]:
    """A forward, and backward passes from single outputs to the outputs of linear layers and convolutions alone."""
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]

    def run() -> None:
        outputs: list[Tensor] = []

        def keep(_module: nn.Module, _inputs: object, output: Any) -> None:
            outputs.append(output)

        handles = [m.register_forward_hook(keep) for m in layers]
        f = model(x)
        for handle in handles:
            handle.remove()
        for number in range(count):
            torch.autograd.grad(f[:, number].sum(), outputs, retain_graph=number + 1 < count)

    return run


def shares(times: Mapping[str, list[float]], reference: str) -> dict[str, float]:
    """Each side's time over the reference's, the median over rounds."""
    base = np.asarray(times[reference])
    return {name: float(np.median(np.asarray(seconds) / base)) for name, seconds in times.items() if name != reference}


def explained(record: Record, parts: Mapping[str, float], beside: str, more: str = "") -> Record:
    """The record with its reason, where it misses its goal: what the parts alone take."""
    if not missed(record):
        return record
    told = ", ".join(f"{name} {share:.2g}x" for name, share in parts.items())
    reason = f"alone, as bare torch calls timed beside: {told} {beside}, together {sum(parts.values()):.2g}x{more}"
    return replace(record, context={**record.context, "reason": reason} | {f"x {k}": v for k, v in parts.items()})
