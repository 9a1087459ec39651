"""What a pruned network gains in onnxruntime on one thread, and how well a target in milliseconds is met."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.goal import missing, reached
from benchmarks.prune.budget import HEADLINE
from benchmarks.sidebyside import bootstrap, in_turns
from linnet import ChannelGraph, resize
from linnet.engine.compute.timing import Latency, Timing, on_threads, timed
from linnet.engine.onnx.runtime import onnx_call, runtime_name
from linnet.errors import MissingExtra
from linnet.models import create
from linnet.prune import Budget, export, extract, plan
from linnet.results import Record

EXAMPLE = torch.zeros(1, 3, 32, 32)
TARGETS = {"vgg16": (0.6, 0.45, 0.3, 0.2, 0.15), "resnet20": (0.85, 0.75, 0.65, 0.55, 0.45)}
"""Shares of the whole network's milliseconds."""


def speed(*, quick: bool) -> list[Record]:
    """Speed-ups beside the ratio of multiply-accumulates, and of widths that are multiples of 8."""
    what = "onnxruntime, 1 thread, batch 1, speed-up over the MAC ratio"
    try:
        runtime_name("onnxruntime")
    except MissingExtra as error:
        return [missing("prune.runtime", what, goal=1.3, beside="the whole network", reason=str(error))]
    return [*_vgg(what, quick=quick), *_resnet(what, quick=quick)]


def _vgg(what: str, *, quick: bool) -> list[Record]:
    name = "vgg" if quick else "vgg16"
    net = create(name)
    made = plan(net, EXAMPLE, Budget(macs=0.24) if quick else HEADLINE, criterion="random")
    small = extract(net, made)
    odd = {key: [*row[:-1]] for key, row in made.kept.items()}  # one channel less in every layer
    narrower = resize(net, ChannelGraph(net, EXAMPLE), {k: _mult(row, made.dense[k]) for k, row in odd.items()})
    dense_t, small_t, odd_t = measured([net, small, narrower])
    ratio = made.before["macs"] / made.after["macs"]
    return [
        _speed_row(f"prune.runtime.{name}", f"{what}: {name} at the headline", dense_t, small_t, ratio, least=1.3),
        _times(
            f"prune.runtime.{name}.align", f"onnxruntime, 1 thread, batch 1: {name}, widths of multiples of 8",
            [b / a for a, b in zip(small_t, odd_t, strict=True)], least=1.3, goal=">= 1.3x as fast",
            beside="one channel less in every layer",
            reason="odd widths cost less on this processor than where the goal was set",
        ),
    ]  # fmt: skip


def _resnet(what: str, *, quick: bool) -> list[Record]:
    found = []
    for name in ("resnet20",) if quick else ("resnet20", "resnet56"):
        net = create(name)
        made = plan(net, EXAMPLE, Budget(macs=0.5), criterion="random")
        dense_t, small_t = measured([net, extract(net, made)])
        ratio = made.before["macs"] / made.after["macs"]
        words = f"{what}: {name} at 50 % of the MACs"
        found.append(_speed_row(f"prune.runtime.{name}", words, dense_t, small_t, ratio, least=0.8))
    return found


def _mult(kept: Sequence[int], size: int) -> list[int]:
    return np.bincount(np.array(kept), minlength=size).tolist()


def measured(networks: Sequence[nn.Module], *, repeats: int = 61) -> list[list[float]]:
    """Seconds of each run of exported networks, in turns, on one pinned thread."""
    calls = {place: exported(network) for place, network in enumerate(networks)}
    with on_threads(1):
        return list(in_turns(calls, repeats).values())


def exported(network: nn.Module) -> Callable[[], object]:
    """A call of the network's own ONNX file."""
    with tempfile.TemporaryDirectory() as folder:
        written = export(network, Path(folder) / "network.onnx", EXAMPLE).read_bytes()
    return onnx_call(written, [np.random.default_rng(0).standard_normal((1, 3, 32, 32), dtype=np.float32)])


def _speed_row(name: str, what: str, dense: list[float], small: list[float], macs: float, *, least: float) -> Record:
    faster = [a / b for a, b in zip(dense, small, strict=True)]
    words = f"{what} ({macs:.2f}); {np.median(faster):.2f} times as fast"
    reason = "memory traffic and the calls of each operator don't shrink with the multiply-accumulates"
    context: dict[str, Any] = {"dense_ms": 1e3 * float(np.median(dense)), "small_ms": 1e3 * float(np.median(small))}
    context["with"] = runtime_name("onnxruntime")
    return _times(
        name, words, [f / macs for f in faster], least=least, goal=f">= {least:g}x", beside="the whole network",
        reason=reason, context=context,
    )  # fmt: skip


def _times(name: str, what: str, ratios: list[float], *, least: float, **facts: Any) -> Record:
    """A row of paired ratios: their median and its bootstrap interval."""
    facts |= {"n": len(ratios), "interval": bootstrap(ratios), "level": 0.95}
    return reached(name, what, float(np.median(ratios)), least=least, unit="x", **facts)


def targets(*, quick: bool) -> list[Record]:
    """Five targets for each network: the exported file's own milliseconds, measured anew, over the target."""
    found = []
    for name, shares in TARGETS.items():
        try:
            found += _targets(name, shares[:1] if quick else shares)
        except MissingExtra as error:
            what = f"latency targets, {name}"
            found.append(missing(f"prune.latency.{name}", what, goal=1.0, beside="", reason=str(error)))
    return found


def _targets(name: str, shares: Sequence[float]) -> list[Record]:
    torch.manual_seed(0)
    net = create(name)
    whole = exported(net)
    (dense,) = timed(whole, repeats=61)
    found = []
    for share in shares:
        target_ms = share * dense.best_s * 1e3
        made = plan(net, EXAMPLE, Budget(latency_ms=target_ms), criterion="random")
        small, _ = timed(exported(extract(net, made)), whole, repeats=61)
        assert made.latency is not None
        found.append(_target_row(name, target_ms, small, made.latency))
    return found


def _target_row(name: str, target_ms: float, small: Timing, chosen: Latency) -> Record:
    ratio = small.best_s * 1e3 / target_ms
    noisy = f"; noisy: p95 / p50 was {small.noise:.2f}" if small.noise > 1.2 else ""
    words = f"{name}, latency target {target_ms:.3g} ms: measured over target ({small.best_s * 1e3:.3g} ms)"
    context: dict[str, Any] = {
        "bound": 1.0,
        "networks measured": chosen.networks,
        "load": round(os.getloadavg()[0], 1),
        "p50_ms": small.p50_s * 1e3,
        "p95_ms": small.p95_s * 1e3,
    }
    context["with"] = runtime_name("onnxruntime")
    if not 0.95 <= ratio <= 1:
        first = f"{chosen.after_ms / target_ms:.3g} when it was chosen"
        context["reason"] = f"{first}; a second measurement, of the file, differs{noisy}"
    return reached(
        f"prune.latency.{name}.{target_ms:.3g}", words, ratio, least=0.95, goal="0.95 to 1", beside="the target",
        n=small.runs, context=context,
    )  # fmt: skip
