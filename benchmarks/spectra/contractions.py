"""The cost model: for each layer of VGG, ResNet and U-Net the two contractions measured beside the choice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from benchmarks.goal import bounded
from benchmarks.small_networks import batch
from linnet.core.capture import gram
from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.core.jacobian.linearisation import Linearisation
from linnet.models import VGG, ResidualUNet, ResNet
from linnet.results import Record
from linnet.spectra.rows.jacobian_rows import every_output

_TOO_MUCH = 4e10  # weighted multiply-accumulates: a minute, where the other way is chosen by far


def measure(*, quick: bool) -> list[Record]:
    """For each network the largest loss by the choice over its layers, and a row for each layer."""
    unet = nn.Sequential(ResidualUNet(4 if quick else 8, in_channels=3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nets: dict[str, tuple[nn.Module, int, int]] = {
        "VGG": (VGG(classes=10), 32, 6),
        "ResNet": (ResNet(classes=10, depth=20), 32, 6),
        "U-Net": (unet, 32, 20),
    }
    if quick:
        nets = {"U-Net": (unet, 16, 2)}
    records: list[Record] = []
    for name, (model, side, samples) in nets.items():
        torch.manual_seed(0)
        records += _network(name, model.eval(), side, samples)
    return records


def _network(name: str, model: nn.Module, side: int, samples: int) -> list[Record]:
    x = batch((3, side, side), samples)[0]
    with Linearisation(model) as linear:
        f = linear.forward(x)
        layers = linear.rows(every_output(f.detach()))
    records, worst, where = [], 1.0, ""
    for layer in layers:
        plan = layer.plan()
        if plan is None:
            continue
        times = _times(layer, plan)
        loss = times[plan.way] / min(times.values())
        if loss > worst:
            worst, where = loss, f" (`{layer.name}`)"
        records.append(_layer(name, layer, plan, times, loss))
    best = bounded(
        f"spectra.contraction.{name}",
        f"cost model, {name}, N = {samples}: the chosen contraction's time over the best one's, worst of "
        f"{len(records)} layers{where}",
        worst,
        bound=1.2,
        goal="<= 1.2x",
        beside="the better of both",
        unit="x",
        reason="single measurements on a machine that runs other programs beside; see the layers' own rows",
    )
    return [best, *records]


def _times(layer: LayerJacobian, plan: gram.GramPlan) -> dict[str, float]:
    """Seconds of both ways; one that is predicted far beyond the other isn't run."""
    costs = {"positions": plan.positions_cost, "gradients": plan.gradients_cost}
    found = {}
    for way, cost in costs.items():
        if cost > _TOO_MUCH and cost > 3 * min(costs.values()):
            found[way] = float("inf")
            continue
        with _forced(way):
            found[way] = min(_timed(layer.gram) for _ in range(3))
    return found


@contextmanager
def _forced(way: str) -> Iterator[None]:
    before = gram.GramPlan.way
    gram.GramPlan.way = property(lambda _: way)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        gram.GramPlan.way = before  # pyright: ignore[reportAttributeAccessIssue]


def _timed(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _layer(name: str, layer: LayerJacobian, plan: gram.GramPlan, times: dict[str, float], loss: float) -> Record:
    finite = {way: value for way, value in times.items() if value < float("inf")}
    return Record.measured(
        f"spectra.contraction.{name}.{layer.name}",
        loss,
        unit="x",
        context={
            "layer": layer.name,
            "chosen": plan.way,
            "positions_cost": float(plan.positions_cost),
            "gradients_cost": float(plan.gradients_cost),
            **{f"{way}_s": round(value, 7) for way, value in finite.items()},
        },
    )
