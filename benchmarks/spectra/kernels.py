"""The whole kernel beside nngeometry and beside a contraction of torch.func Jacobians, and the memory of both."""

from __future__ import annotations

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
from linnet.core.capture.gram import add_rows_gram
from linnet.core.jacobian.linearisation import Linearisation
from linnet.models import ResNet
from linnet.results import Record
from linnet.spectra import ntk
from linnet.spectra.rows.jacobian_rows import every_output

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
_LITTLE = 2**24  # of linnet, where its memory is measured
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
        f"spectra.jacrev.{key_of(name)}",
        found,
        found.speed_ratio,
        found.interval,
        context=context | machine_state(),
        reason=_least(model, x) if len(x) >= _SAMPLES else "",
    )
    return [row] if len(x) >= _SAMPLES else [row, _extrapolated(name, model, x, found.median_s, quick=quick)]


def _least(model: nn.Module, x: Tensor) -> str:
    """What remains of any way that multiplies rows: bare passes, and one product without its mirror image."""
    leaf = x.clone().requires_grad_()

    def passes() -> None:
        f = model(leaf)
        for number in range(CLASSES):
            torch.autograd.grad(f[:, number].sum(), leaf, retain_graph=True)

    rows = torch.randn(1, len(x) * CLASSES, sum(p.numel() for p in model.parameters()))
    total = torch.zeros(rows.shape[1], rows.shape[1])
    ways = {
        "passes": passes,
        "product": lambda: add_rows_gram(total, rows, None),
        "linnet": lambda: ntk(model, x, memory=_MEMORY),
        "peer": lambda: jacobian_contraction(model, x),
    }
    best = {name: min(times) for name, times in in_turns(ways, 3).items()}
    floor = best["passes"] + best["product"]
    return (
        f"C bare backward passes to the inputs take {best['passes']:.2f} s and one product of {rows.shape[2]:,} "
        f"columns without its mirror image {best['product']:.2f} s, linnet {best['linnet']:.2f} s, the contraction "
        f"{best['peer']:.2f} s: at most {best['peer'] / floor:.1f}x by rows and products (measured)"
    )


def _extrapolated(name: str, model: nn.Module, x: Tensor, seconds: tuple[float, float], *, quick: bool) -> Record:
    """At N = 200: ours measured, the contraction's pairs of blocks scaled by N^2."""
    many = _SAMPLES if not quick else 2 * len(x)
    big = batch(tuple(x.shape[1:]), many)[0]
    ours = min(in_turns({0: lambda: ntk(model, big)}, 1)[0])
    theirs = seconds[1] * (many / len(x)) ** 2
    goal = _GOALS[name]
    return reached(
        f"spectra.jacrev.{key_of(name)}.extrapolated",
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
    record = f"spectra.nngeometry.{key_of(name)}" + ("" if size == len(x) else ".batches")
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
    """Peaks beyond what a kernel of one sample has loaded, each way in a process of its own."""
    samples = {"wide MLP (2 x 4096)": 4, "small ResNet": 4 if quick else _SAMPLES}
    return [_memory(name, samples[name], quick=quick) for name in NETS]


def _memory(name: str, samples: int, *, quick: bool) -> Record:
    ours = own_process(kernel_call, "linnet", name, samples, int(quick), peak="process")
    theirs = own_process(kernel_call, "torch.func", name, samples, int(quick), peak="process")
    return bounded(
        f"spectra.memory.{key_of(name)}",
        f"peak memory of the eNTK, {name}, N = {samples}: linnet {ours.extra_bytes / 2**20:.0f} MiB in "
        f"{ours.wall_s:.1f} s, contraction of whole Jacobians {theirs.extra_bytes / 2**20:.0f} MiB in "
        f"{theirs.wall_s:.1f} s",
        ours.extra_bytes / max(theirs.extra_bytes, 1),
        bound=0.1,
        goal="<= 0.1x",
        beside="torch.func jacrev",
        unit="x",
        reason=f"linnet was given {_LITTLE // 2**20} MiB; the kernel comes on top, and what torch keeps",
    )


def kernel_call(way: str, name: str, samples: int, quick: int) -> Callable[[], object]:
    """The kernel with 16 MiB of captured tensors and work; for the peer without chunks, as its users write it."""
    model, x = _network(name, samples, quick=bool(quick))

    def run(x: Tensor = x) -> None:
        ntk(model, x, memory=_LITTLE) if way == "linnet" else jacobian_contraction(model, x, len(x))

    run(x[:1])  # what libraries load at their first call is memory of neither way
    return run


def key_of(name: str) -> str:
    """A network's name in the names of records."""
    return name.split(" (")[0].replace(" ", "_").lower()
