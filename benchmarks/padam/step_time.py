"""One step of Padam and of its rivals, in turns in one process, beside a memory stream measured in the same turns."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.goal import about, compared
from benchmarks.sidebyside import Comparison, in_turns
from linnet.optim import Padam
from linnet.optim.padam.implementation import compiler
from linnet.results import Record

WORDS = 9  # read x, g, m, v, u; write x, m, v, u
STREAM_WORDS = 3  # read two, write one
Way = Callable[[list[nn.Parameter], float], Any]
OURS: dict[str, Way] = {
    f"Padam {impl}": lambda params, p, impl=impl: Padam(params, 1e-5, p=p, impl=impl)
    for impl in ("loop", "blocked", "foreach", "compiled")
}
RIVALS: dict[str, Way] = {
    "Adam(amsgrad) loop": lambda params, p: torch.optim.Adam(params, 1e-5, amsgrad=True, foreach=False),
    "Adam(amsgrad) foreach": lambda params, p: torch.optim.Adam(params, 1e-5, amsgrad=True, foreach=True),
    "Adam(amsgrad) fused": lambda params, p: torch.optim.Adam(params, 1e-5, amsgrad=True, fused=True),
    "Adam default": lambda params, p: torch.optim.Adam(params, 1e-5),
    "pytorch-optimizer PAdam": lambda params, p: _peer()(params, lr=1e-5, partial=p, foreach=False),
    "pytorch-optimizer PAdam foreach": lambda params, p: _peer()(params, lr=1e-5, partial=p, foreach=True),
}
WHY = {
    "loop": "a plain loop reads memory anew for each of its nine operations",
    "blocked": "eager operations run one after another: roots and divisions don't overlap with the stream",
    "power": "a logarithm and an exponential for each element take longer than the stream",
    "compiled": "a call for each tensor, and three roots and a division for each element beside the stream",
    "call": "the calls of Python for each tensor count, not memory",
}


def shapes(model: str) -> list[tuple[int, ...]]:
    """Shapes of the parameters of a model of the benchmark."""
    if model == "resnet18":
        return resnet18()
    count, size = {"tiny": (20, 3_000), "many": (200, 5_000), "large": (10, 3_000_000)}[model]
    return [(size,)] * count


def resnet18() -> list[tuple[int, ...]]:
    """The 62 parameters of a ResNet-18 with 10 classes: 11.2 M."""
    found: list[tuple[int, ...]] = [(64, 3, 7, 7), (64,), (64,)]
    for before, width in pairwise((64, 64, 128, 256, 512)):
        for block, inputs in enumerate((before, width)):
            found += [(width, inputs, 3, 3), (width,), (width,), (width, width, 3, 3), (width,), (width,)]
            if block == 0 and before != width:
                found += [(width, before, 1, 1), (width,), (width,)]
    return [*found, (10, 512), (10,)]


def records(*, quick: bool) -> list[Record]:
    """All rows of this part."""
    rounds = 3 if quick else 15
    cells = [("tiny", 0.125)] if quick else [("tiny", 0.125), ("many", 0.125), ("resnet18", 0.125), ("resnet18", 0.4)]
    cells += [] if quick else [("large", 0.125)]
    found: list[Record] = []
    for model, p in cells:
        seconds, skipped = timed(model, p, rounds=rounds, compiling=not quick)
        found += [_step(model, p, way, seconds) for way in seconds if way != "stream"]
        found += [_skipped(model, p, way, reason) for way, reason in skipped.items()]
        found += _goals(model, p, seconds)
    return found


def timed(model: str, p: float, *, rounds: int, compiling: bool) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds of one step of each way, in turns, and why a way is missing.

    Args:
        model: "tiny", "many", "resnet18" or "large".
        p: Partial adaptivity.
        rounds: How often each way has its turn.
        compiling: Whether to compile.
    """
    skipped = _missing(compiling=compiling)
    steps: dict[str, Callable[[], object]] = {"stream": _stream(shapes(model))}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peers' own
        for name, make in (OURS | RIVALS).items():
            if name not in skipped:
                steps[name] = make(parameters(shapes(model)), p).step
        return in_turns(steps, rounds, warmups=2), skipped


def _missing(*, compiling: bool) -> dict[str, str]:
    found = {"heavyball compiled": "not installed"}
    if not (compiling and compiler()):
        found["Padam compiled"] = "no compiler, or --quick"
    if find_spec("pytorch_optimizer") is None:
        found |= {name: "not installed (make peers)" for name in RIVALS if name.startswith("pytorch-optimizer")}
    return found


def parameters(sizes: Sequence[tuple[int, ...]]) -> list[nn.Parameter]:
    """Parameters of these shapes with gradients, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    found = [nn.Parameter(torch.randn(size, generator=generator)) for size in sizes]
    for x in found:
        x.grad = torch.randn(x.shape, generator=generator)
    return found


def _stream(sizes: Sequence[tuple[int, ...]]) -> Callable[[], Tensor]:
    elements = sum(math.prod(size) for size in sizes)
    a, b = torch.zeros(elements), torch.ones(elements)
    return lambda: a.add_(b)


def _peer() -> Any:
    from pytorch_optimizer import PAdam

    return PAdam


def _ratio(seconds: dict[str, list[float]], way: str, beside: str, *, factor: float = 1.0) -> Comparison:
    """`speed_ratio` of this is how many times as long `way` takes as `factor` times `beside`."""
    return Comparison(beside, way, tuple(factor * s for s in seconds[beside]), tuple(seconds[way]))


def _record(name: str, found: Comparison, context: dict[str, Any], **facts: Any) -> Record:
    context |= {"threads": torch.get_num_threads()}
    return compared(name, found, found.speed_ratio, found.interval, context=context, **facts)


def _step(model: str, p: float, way: str, seconds: dict[str, list[float]]) -> Record:
    found = _ratio(seconds, way, "stream", factor=WORDS / STREAM_WORDS)
    context = {"model": model, "p": p, "way": way, "median_ms": found.median_s[1] * 1e3}
    method = "linnet" if way in OURS else way
    return _record(f"padam.step.{model}.{p:g}.{way}", found, context, method=method)


def _skipped(model: str, p: float, way: str, reason: str) -> Record:
    context = {"model": model, "p": p, "way": way, "reason": reason}
    return Record.measured(f"padam.step.{model}.{p:g}.{way}", None, context=context)


def _goals(model: str, p: float, seconds: dict[str, list[float]]) -> list[Record]:
    """The rows with a goal: way, beside what, at most, factor of the stream, why it may be missed."""
    picked = f"Padam {Padam(parameters(shapes(model))).impl}"
    general = p not in (0.125, 0.25, 0.5)
    eager, compiled = (WHY["power"],) * 2 if general else (WHY["blocked"], WHY["compiled"])
    wanted = [(picked, "Padam loop", 1.02, WHY["call"])]
    if model == "tiny":
        wanted.append((picked, "Adam default", 1.2, WHY["call"]))
    if model in ("resnet18", "large"):
        wanted.append(("Padam blocked", "stream", 4.0 if general else 2.5, eager))
        wanted.append(("Padam compiled", "stream", 1.3 if general else 1.15, compiled))
    if model == "resnet18":
        wanted.append(("Padam compiled", "Adam(amsgrad) fused", 1.05, compiled))
        wanted.append(("Padam compiled", "pytorch-optimizer PAdam", 0.25, compiled))
        wanted.append(("Padam compiled", "Padam loop", 0.25, compiled))
        wanted.append(("Padam blocked", "Padam loop", 0.5, eager))
    rows = []
    for way, beside, bound, reason in wanted:
        if way in seconds and beside in seconds:
            found = _ratio(seconds, way, beside, factor=WORDS / STREAM_WORDS if beside == "stream" else 1.0)
            context = about(f"{way}, {model}, p = {p:g}", beside, f"<= {bound:g}x", bound)
            rows.append(_record(f"padam.goal.{model}.{p:g}.{way}.{beside}", found, context, reason=reason))
    return rows
