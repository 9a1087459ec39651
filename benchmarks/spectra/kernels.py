"""The whole kernel beside nngeometry and beside a contraction of torch.func Jacobians, and the memory of both."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.goal import about, bounded, compared, machine_state, missing, reached
from benchmarks.process import own_process
from benchmarks.sidebyside import Side, compare, in_turns
from benchmarks.small_networks import batch, mlp3
from linnet.models import ResNet
from linnet.results import Record
from linnet.spectra import ntk

CLASSES = 10
NETS: dict[str, tuple[Callable[[bool], nn.Module], tuple[int, ...]]] = {
    "wide MLP (2 x 4096)": (lambda quick: mlp3(64 if quick else 4096), (784,)),
    "small ResNet": (lambda quick: ResNet(classes=CLASSES, depth=8, width=8).eval(), (3, 32, 32)),
}
_GOALS = {"wide MLP (2 x 4096)": 100.0, "small ResNet": 5.0}
_SAMPLES = {"wide MLP (2 x 4096)": 4, "small ResNet": 8}  # the slower ways take minutes beyond
_BLOCK = 2  # samples of a chunk of Jacobians: 20 rows of 20 million entries take 1.6 GB
_PEER = "nngeometry GramMatrix"


def measure(*, quick: bool) -> list[Record]:
    """Both networks beside both peers, and the peak memory of the wide one."""
    records = []
    for name, (make, shape) in NETS.items():
        torch.manual_seed(0)
        model = make(quick)
        samples = 4 if quick else _SAMPLES[name]
        records += _beside_jacrev(name, model, batch(shape, samples)[0], quick=quick)
        records.append(_beside_nngeometry(name, model, batch(shape, 4 if quick else 5 * _SAMPLES[name])[0]))
    return [*records, _memory(quick=quick)]


def jacobian_contraction(model: nn.Module, x: Tensor, block: int = _BLOCK) -> Tensor:
    """J J^T from torch.func Jacobians of blocks of samples, every pair of blocks once."""
    values = {name: p.detach() for name, p in model.named_parameters()}

    def one(p: dict[str, Tensor], sample: Tensor) -> Tensor:
        return torch.func.functional_call(model, p, (sample.unsqueeze(0),))[0]

    def rows(part: Tensor) -> Tensor:
        found = torch.func.vmap(torch.func.jacrev(one), (None, 0))(values, part)
        return torch.cat([j.flatten(2).flatten(0, 1) for j in found.values()], dim=1)

    outputs = model(x[:1]).shape[1]
    result = x.new_empty(len(x) * outputs, len(x) * outputs)
    starts = range(0, len(x), block)
    for a in starts:
        left = rows(x[a : a + block])
        for b in range(a, len(x), block):
            right = left if a == b else rows(x[b : b + block])
            part = left @ right.T
            ours, theirs = slice(a * outputs, (a + block) * outputs), slice(b * outputs, (b + block) * outputs)
            result[ours, theirs], result[theirs, ours] = part, part.T
    return result


def agreed(found: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    """Refuses to time two ways that don't agree."""
    error = float((found - expected).abs().max() / expected.abs().max())
    assert error < tolerance, error


def _beside_jacrev(name: str, model: nn.Module, x: Tensor, *, quick: bool) -> list[Record]:
    agreed(ntk(model, x), jacobian_contraction(model, x))
    found = compare(
        Side("linnet", lambda: ntk(model, x), lambda k: k.shape),  # pyright: ignore[reportAttributeAccessIssue]
        Side("torch.func", lambda: jacobian_contraction(model, x), lambda k: k.shape),  # pyright: ignore[reportAttributeAccessIssue]
        pairs=3,
    )
    goal = _GOALS[name]
    what = f"eNTK, {name}, N = {len(x)}, C = {CLASSES}"
    context = about(what, "torch.func vmap(jacrev) in chunks", f">= {goal:g}x faster", goal)
    context = {key: value for key, value in context.items() if key != "bound"} | {"least": goal} | machine_state()
    row = compared(f"spectra.jacrev.{_key(name)}", found, found.speed_ratio, found.interval, context=context)
    return [row, _extrapolated(name, model, x, found.median_s, quick=quick)]


def _extrapolated(name: str, model: nn.Module, x: Tensor, seconds: tuple[float, float], *, quick: bool) -> Record:
    """At N = 200: ours measured, the contraction's pairs of blocks scaled by N^2."""
    many = 200 if not quick else 2 * len(x)
    big = batch(tuple(x.shape[1:]), many)[0]
    ours = min(in_turns({0: lambda: ntk(model, big)}, 1)[0])
    theirs = seconds[1] * (many / len(x)) ** 2
    goal = _GOALS[name]
    return reached(
        f"spectra.jacrev.{_key(name)}.extrapolated",
        f"eNTK, {name}, N = {many}: linnet {ours:.2f} s measured, the contraction {theirs:.0f} s extrapolated by N^2",
        theirs / ours,
        least=goal,
        goal=f">= {goal:g}x faster (extrapolated)",
        beside="torch.func vmap(jacrev) in chunks",
        unit="x",
    )


def _beside_nngeometry(name: str, model: nn.Module, x: Tensor) -> Record:
    what, record = f"eNTK, {name}, N = {len(x)}, C = {CLASSES}", f"spectra.nngeometry.{_key(name)}"
    if find_spec("nngeometry") is None:
        return missing(record, what, goal=20, beside=_PEER, reason="not installed")
    try:
        agreed(ntk(model, x), _nngeometry(model, x))
    except (NotImplementedError, AssertionError, KeyError, RuntimeError) as error:
        reason = f"it can't do this network ({type(error).__name__}: {str(error)[:60]})"
        return missing(record, what, goal=20, beside=_PEER, reason=reason)
    found = compare(
        Side("linnet", lambda: ntk(model, x), lambda k: k.shape),  # pyright: ignore[reportAttributeAccessIssue]
        Side("nngeometry", lambda: _nngeometry(model, x), lambda k: k.shape),  # pyright: ignore[reportAttributeAccessIssue]
        pairs=3,
    )
    context = {"what": what, "beside": _PEER, "goal": ">= 20x faster", "least": 20.0} | machine_state()
    return compared(record, found, found.speed_ratio, found.interval, context=context)


def _nngeometry(model: nn.Module, x: Tensor) -> Tensor:
    from nngeometry.gram import GramMatrix

    loader = DataLoader(TensorDataset(x, torch.zeros(len(x), dtype=torch.int64)), batch_size=min(50, len(x)))
    gram: Any = GramMatrix(model, loader)
    c, n = gram.data.shape[:2]
    return gram.data.permute(1, 0, 3, 2).reshape(c * n, c * n)


def _memory(*, quick: bool) -> Record:
    """Peak beyond what was there before, each way in a process of its own."""
    ours = own_process(kernel_call, "linnet", int(quick), peak="process")
    theirs = own_process(kernel_call, "torch.func", int(quick), peak="process")
    return bounded(
        "spectra.memory.jacrev",
        f"peak memory of the eNTK, wide MLP, N = 4: linnet {ours.extra_bytes / 2**20:.0f} MiB, contraction of whole "
        f"Jacobians {theirs.extra_bytes / 2**20:.0f} MiB",
        ours.extra_bytes / max(theirs.extra_bytes, 1),
        bound=0.1,
        goal="<= 0.1x",
        beside="torch.func jacrev",
        unit="x",
    )


def kernel_call(way: str, quick: int) -> Callable[[], object]:
    """The kernel of the wide MLP; for the peer without chunks, as its users write it."""
    torch.manual_seed(0)
    model, x = mlp3(64 if quick else 4096), batch((784,), 4)[0]

    def run() -> None:
        ntk(model, x) if way == "linnet" else jacobian_contraction(model, x, len(x))

    return run


def _key(name: str) -> str:
    return name.split(" (")[0].replace(" ", "_").lower()
