"""What K-FAC costs on two standard networks beside SGD: mean step at two pairs of periods, and the state it keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.goal import about, bounded, compared, machine_state
from benchmarks.natural.parts import shares
from benchmarks.networks import ResNet18, ViTTiny
from benchmarks.sidebyside import Comparison, in_turns
from benchmarks.small_networks import batch
from linnet.optim import NaturalGradient
from linnet.optim.natural.kronecker.block_products import times_all
from linnet.results import Record

GOALS: Mapping[tuple[int, int], float] = {(10, 100): 1.5, (1, 10): 2.5}
STATE = 3.0
KINDS: Mapping[str, tuple[int, int]] = {"plain": (10**9, 10**9), "factor": (1, 10**9), "inverse": (1, 1)}
NETWORKS: Mapping[str, tuple[str, Callable[[], nn.Module]]] = {
    "resnet18": ("ResNet-18 (torchvision's, 32 x 32 images)", ResNet18),
    "vit_tiny": ("ViT-tiny (timm's, 32 x 32 images in patches of 4)", partial(ViTTiny, 32, 4)),
}
SAMPLES = 32


def measure(*, quick: bool) -> list[Record]:
    """The rows of both networks; `quick`: of the first with two rounds."""
    records: list[Record] = []
    for key, (title, make) in list(NETWORKS.items())[: 1 if quick else None]:
        torch.manual_seed(0)
        model, data = make(), batch((3, 32, 32), SAMPLES, classes=1000)
        found, optimizer = overheads(f"standard.{key}", title, model, data, GOALS, rounds=2 if quick else 9)
        records += [*found, _state(key, _described(title, model, data), model, optimizer)]
    return records


def overheads(
    key: str,
    title: str,
    model: nn.Module,
    data: tuple[Tensor, Tensor],
    goals: Mapping[tuple[int, int], float],
    *,
    rounds: int,
) -> tuple[list[Record], NaturalGradient]:
    """Mean K-FAC step over SGD step at pairs of periods, from steps of each kind timed in turns; K-FAC's optimizer.

    Args:
        key: Of the records' names.
        title: What the rows call the network.
        model: The network.
        data: A batch.
        goals: (steps between factors, between inverses) -> at most so many SGD steps.
        rounds: How often each kind has its turn.
    """
    sgd = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    kfac = {
        kind: NaturalGradient(
            model, "cross_entropy", "kfac", "sampled", lr=1e-3, momentum=0.9, factor_every=factors,
            inverse_every=inverses, dense_start=False,
        )
        for kind, (factors, inverses) in KINDS.items()
    }  # fmt: skip
    step = partial(_step, model, data, list(kfac.values()))
    sides: dict[str, Callable[[], object]] = {"SGD": partial(step, sgd)}
    sides |= {kind: partial(step, optimizer) for kind, optimizer in kfac.items()}
    for run in sides.values():
        run()
    blocks: Any = kfac["plain"]._approximation
    gradients = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    sides["products"] = lambda: times_all(blocks.blocks, {}, gradients)
    kinds = in_turns(sides, rounds)
    what = _described(title, model, data)
    return [_time(key, what, kinds, periods, goal) for periods, goal in goals.items()], kfac["inverse"]


def _described(title: str, model: nn.Module, data: tuple[Tensor, Tensor]) -> str:
    return f"{title}, {sum(p.numel() for p in model.parameters()):,} parameters, batch {len(data[1])}"


def _step(
    model: nn.Module, data: tuple[Tensor, Tensor], all_kfac: list[NaturalGradient], optimizer: torch.optim.Optimizer
) -> None:
    x, y = data
    for other in all_kfac:
        other._approximation.listening = other is optimizer
    optimizer.zero_grad()
    cross_entropy(model(x), y).backward()
    optimizer.step()


def _time(key: str, what: str, kinds: dict[str, list[float]], periods: tuple[int, int], goal: float) -> Record:
    factor_every, inverse_every = periods
    means = [
        plain + (factor - plain) / factor_every + (inverse - factor) / inverse_every
        for plain, factor, inverse in zip(kinds["plain"], kinds["factor"], kinds["inverse"], strict=True)
    ]
    found = Comparison("K-FAC", "SGD", tuple(means), tuple(kinds["SGD"]))
    row = f"K-FAC step, {what}, factors every {factor_every}, inverses every {inverse_every}"
    context = about(row, "SGD with momentum", f"<= {goal:g}x", goal) | machine_state()
    name = f"natural.{key}.every_{factor_every}_{inverse_every}"
    part = shares(kinds, "SGD")
    parts = {
        "products with the inverses": part["products"],
        "the rest of a plain step beyond SGD": part["plain"] - 1 - part["products"],
        f"1/{factor_every} of the factors": (part["factor"] - part["plain"]) / factor_every,
        f"1/{inverse_every} of the inverses": (part["inverse"] - part["factor"]) / inverse_every,
    }
    told = ", ".join(f"{words} {share:.2g}x" for words, share in parts.items())
    reason = f"beyond the SGD step, in its units: {told}"
    return compared(name, found, found.time_ratio, found.time_interval, context=context, reason=reason)


def _state(key: str, what: str, model: nn.Module, optimizer: NaturalGradient) -> Record:
    """Everything that `state_dict` holds, momentum included, over the weights."""
    held, weights = _bytes(optimizer.state_dict()), sum(p.nbytes for p in model.parameters())
    return bounded(
        f"natural.standard.{key}.state", f"K-FAC's state with momentum, {what}", held / weights, bound=STATE,
        goal=f"<= {STATE:g}x", beside="the weights", unit="x",
    )  # fmt: skip


def _bytes(held: Any) -> int:
    if isinstance(held, Tensor):
        return held.nbytes
    if isinstance(held, dict):
        return sum(_bytes(value) for value in held.values())
    return sum(_bytes(value) for value in held) if isinstance(held, list | tuple) else 0
