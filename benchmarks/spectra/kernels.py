"""The whole kernel beside nngeometry and beside a contraction of torch.func Jacobians, and the memory of both."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.goal import bounded, compared, machine_state, missing, reached
from benchmarks.process import own_process
from benchmarks.sidebyside import Side, compare, in_turns
from benchmarks.small_networks import batch, mlp3
from linnet.core.jacobian.linearisation import Linearisation
from linnet.models import ResNet
from linnet.results import Record
from linnet.spectra import ntk
from linnet.spectra.rows.jacobian_rows import JacobianRows, every_output

CLASSES = 10
NETS: dict[str, tuple[Callable[[bool], nn.Module], tuple[int, ...]]] = {
    "wide MLP (2 x 4096)": (lambda quick: mlp3(64 if quick else 4096), (784,)),
    "small ResNet": (lambda quick: ResNet(classes=CLASSES, depth=8, width=8).eval(), (3, 32, 32)),
}
_GOALS = {"wide MLP (2 x 4096)": 100.0, "small ResNet": 5.0}
_BESIDE_JACREV = {"wide MLP (2 x 4096)": 10, "small ResNet": 200}  # the wide one's chunks take minutes beyond
_BESIDE_NNGEOMETRY = {"wide MLP (2 x 4096)": 200, "small ResNet": 50}
_SAMPLES = 200  # cpu scale
_BLOCK_BYTES = 1_700_000_000  # of a chunk of Jacobians; two of them and their making fit in 8 GB
_MEMORY = 2**32  # of linnet, where the peer takes 7 GB
_PEER = "nngeometry GramMatrix"


def jacrev(*, quick: bool) -> list[Record]:
    """Both networks beside a contraction of torch.func Jacobians."""
    records = []
    for name in NETS:
        model, x = _network(name, 4 if quick else _BESIDE_JACREV[name], quick=quick)
        records += _beside_jacrev(name, model, x, quick=quick)
    return records


def nngeometry(*, quick: bool) -> list[Record]:
    """Both networks beside nngeometry, all samples in one batch, which takes it the fewest passes."""
    records = []
    for name in NETS:
        model, x = _network(name, 4 if quick else _BESIDE_NNGEOMETRY[name], quick=quick)
        records.append(_beside_nngeometry(name, model, x, len(x)))
    return records


def batches(*, quick: bool) -> list[Record]:
    """The wide network beside nngeometry with a loader of four batches, as a data set comes that isn't one batch."""
    name = next(iter(NETS))
    model, x = _network(name, 4 if quick else _SAMPLES, quick=quick)
    return [_beside_nngeometry(name, model, x, len(x) // 4)]


def _network(name: str, samples: int, *, quick: bool) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    make, shape = NETS[name]
    return make(quick), batch(shape, samples)[0]


def jacobian_contraction(model: nn.Module, x: Tensor, block: int | None = None) -> Tensor:
    """J J^T from torch.func Jacobians of blocks of samples, every pair of blocks once.

    Args:
        model: The network.
        x: Inputs.
        block: Samples of a block; None: as many as 1.7 GB of Jacobian hold.
    """
    values = {name: p.detach() for name, p in model.named_parameters()}

    def one(p: dict[str, Tensor], sample: Tensor) -> Tensor:
        return torch.func.functional_call(model, p, (sample.unsqueeze(0),))[0]

    def rows(part: Tensor) -> Tensor:
        found = torch.func.vmap(torch.func.jacrev(one), (None, 0), chunk_size=20)(values, part)
        return torch.cat([j.flatten(2).flatten(0, 1) for j in found.values()], dim=1)

    outputs = model(x[:1]).shape[1]
    if block is None:
        block = max(1, _BLOCK_BYTES // (4 * outputs * sum(map(Tensor.numel, values.values()))))
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
    def ours() -> Tensor:
        return ntk(model, x, memory=_MEMORY)

    agreed(ours(), jacobian_contraction(model, x))
    found = compare(
        Side("linnet", ours, lambda k: k.shape),  # pyright: ignore[reportAttributeAccessIssue]
        Side("torch.func", lambda: jacobian_contraction(model, x), lambda k: k.shape),  # pyright: ignore[reportAttributeAccessIssue]
        pairs=3 if len(x) < _SAMPLES else 9,
    )
    goal = _GOALS[name]
    context = {
        "what": f"eNTK, {name}, N = {len(x)}, C = {CLASSES}",
        "beside": "torch.func vmap(jacrev) in chunks",
        "goal": f">= {goal:g}x faster",
        "least": goal,
    }
    row = compared(
        f"spectra.jacrev.{_key(name)}",
        found,
        found.speed_ratio,
        found.interval,
        context=context | machine_state(),
        reason=_shares(model, x),
    )
    return [row] if len(x) >= _SAMPLES else [row, _extrapolated(name, model, x, found.median_s, quick=quick)]


def _shares(model: nn.Module, x: Tensor) -> str:
    """What linnet's time goes to."""
    begin = time.perf_counter()
    with JacobianRows(model, x, memory=_MEMORY) as rows:
        captured = time.perf_counter() - begin
        rows.kernel()
        whole = time.perf_counter() - begin
        size = rows.rows * rows.parameters * 4 / 1e6
    return (
        f"its whole Jacobian takes {size:,.0f} MB and is multiplied once, as linnet's is by layers; of linnet's "
        f"{whole:.1f} s {captured / whole:.0%} are the forward and C backward passes (measured)"
    )


def _extrapolated(name: str, model: nn.Module, x: Tensor, seconds: tuple[float, float], *, quick: bool) -> Record:
    """At N = 200: ours measured, the contraction's pairs of blocks scaled by N^2."""
    many = _SAMPLES if not quick else 2 * len(x)
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


def _beside_nngeometry(name: str, model: nn.Module, x: Tensor, size: int) -> Record:
    what = f"eNTK, {name}, N = {len(x)}, C = {CLASSES}"
    beside = f"{_PEER}, {'one batch' if size == len(x) else f'batches of {size}'}"
    record = f"spectra.nngeometry.{_key(name)}" + ("" if size == len(x) else ".batches")
    if find_spec("nngeometry") is None:
        return missing(record, what, goal=20, beside=beside, reason="not installed")
    try:
        agreed(ntk(model, x), _nngeometry(model, x, size))
    except (NotImplementedError, AssertionError, KeyError, RuntimeError) as error:
        reason = f"it can't do this network ({type(error).__name__}: {str(error)[:60]})"
        return missing(record, what, goal=20, beside=beside, reason=reason)
    found = compare(
        Side("linnet", lambda: ntk(model, x), lambda k: k.shape),  # pyright: ignore[reportAttributeAccessIssue]
        Side("nngeometry", lambda: _nngeometry(model, x, size), lambda k: k.shape),  # pyright: ignore[reportAttributeAccessIssue]
        pairs=3,
    )
    context = {"what": what, "beside": beside, "goal": ">= 20x faster", "least": 20.0} | machine_state()
    return compared(record, found, found.speed_ratio, found.interval, context=context, reason=_passes(model, x))


def _passes(model: nn.Module, x: Tensor) -> str:
    """How much of our time is the C backward passes that any way needs."""
    with Linearisation(model) as linear:
        f = linear.forward(x)
        passes = min(in_turns({0: lambda: linear.rows(every_output(f.detach()))}, 1, warmups=0)[0])
    whole = min(in_turns({0: lambda: ntk(model, x)}, 1)[0])
    return (
        f"in one batch it makes C^2 = {CLASSES**2} backward passes; the C = {CLASSES} that are needed take "
        f"{passes / whole:.0%} of linnet's time (measured)"
    )


def _nngeometry(model: nn.Module, x: Tensor, size: int) -> Tensor:
    from nngeometry.gram import GramMatrix

    loader = DataLoader(TensorDataset(x, torch.zeros(len(x), dtype=torch.int64)), batch_size=size)
    gram: Any = GramMatrix(model, loader)
    c, n = gram.data.shape[:2]
    return gram.data.permute(1, 0, 3, 2).reshape(c * n, c * n)


def memory(*, quick: bool) -> list[Record]:
    """Peaks beyond what was there before, each way in a process of its own."""
    samples = {"wide MLP (2 x 4096)": 4, "small ResNet": 4 if quick else _SAMPLES}
    return [_memory(name, samples[name], quick=quick) for name in NETS]


def _memory(name: str, samples: int, *, quick: bool) -> Record:
    ours = own_process(kernel_call, "linnet", name, samples, int(quick), peak="process")
    theirs = own_process(kernel_call, "torch.func", name, samples, int(quick), peak="process")
    return bounded(
        f"spectra.memory.{_key(name)}",
        f"peak memory of the eNTK, {name}, N = {samples}: linnet {ours.extra_bytes / 2**20:.0f} MiB, contraction of "
        f"whole Jacobians {theirs.extra_bytes / 2**20:.0f} MiB",
        ours.extra_bytes / max(theirs.extra_bytes, 1),
        bound=0.1,
        goal="<= 0.1x",
        beside="torch.func jacrev",
        unit="x",
        reason="a Jacobian of so few parameters is small itself; linnet was given 64 MiB, and the kernel comes on top",
    )


def kernel_call(way: str, name: str, samples: int, quick: int) -> Callable[[], object]:
    """The kernel with 64 MiB of captured tensors and work; for the peer without chunks, as its users write it."""
    model, x = _network(name, samples, quick=bool(quick))

    def run() -> None:
        ntk(model, x, memory=2**26) if way == "linnet" else jacobian_contraction(model, x, len(x))

    return run


def _key(name: str) -> str:
    return name.split(" (")[0].replace(" ", "_").lower()
