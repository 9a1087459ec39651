"""Graphs and edits of published networks, beside torch-pruning and one copy of the weights."""

from __future__ import annotations

import copy
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import networks
from benchmarks.goal import bounded, compared, missing, time_ratio
from benchmarks.peak_memory import allocated
from benchmarks.sidebyside import Side, compare, unchecked
from linnet.core import ChannelGraph, resize
from linnet.core.edit.edit_plan import plan
from linnet.core.edit.resizing import apply
from linnet.results import Record
from tests.zoo.exported import record_export

_WALKED = "the plan walks 320 axes in Python; copying by index is slower than copying a block"


def builds(*, quick: bool) -> list[Record]:
    """Graph builds beside torch-pruning and torch.export."""
    pairs = 3 if quick else 15
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peer's own
        return [*_builds(pairs, quick=quick), _export(pairs)]


def edits(*, quick: bool) -> list[Record]:
    """Edits: their time, memory and optimizer state."""
    return [*_optimizer(), *_memory(), *_halves(3 if quick else 15)]


def _builds(pairs: int, *, quick: bool) -> list[Record]:
    try:
        import torch_pruning
    except ImportError as error:
        what = "graph build, ResNet-50, 224 x 224"
        return [missing("core.graph.resnet50.224", what, goal=0.3, beside="torch-pruning", reason=str(error))]

    def theirs(model: nn.Module, x: Tensor) -> object:
        graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=x)
        return list(graph.get_all_groups(root_module_types=[nn.Conv2d, nn.ConvTranspose2d, nn.Linear]))

    found = []
    for make, channels, at_most in (
        (networks.resnet50, 3, 15),
        (networks.mobilenet_v2, 3, 15),
        (networks.densenet121, 3, 5),
        (networks.unet, 1, 5),
    ):
        for side in (64,) if quick else (224, 64):
            model, x = make().eval(), torch.zeros(1, channels, side, side)
            sides = (
                Side("linnet", lambda m=model, x=x: ChannelGraph(m, x), unchecked),
                Side("torch-pruning", lambda m=model, x=x: theirs(m, x), unchecked),
            )
            what = f"graph build, {make.__name__}, {side} x {side}, against build + all groups"
            name, turns = f"core.graph.{make.__name__}.{side}", min(pairs, at_most)
            found.append(time_ratio(name, what, *sides, goal=0.3, pairs=turns, reason=_BUILD))
    return found


_BUILD = (
    "a graph takes the same time at any image size, mostly Python of one recording; the peer's real forward gets "
    "cheaper with small images and few channels"
)


def _export(pairs: int) -> Record:
    model, x = networks.resnet50().eval(), torch.zeros(1, 3, 64, 64)
    sides = (
        Side("linnet", lambda: ChannelGraph(model, x), unchecked),
        Side("torch.export", lambda: record_export(model, x), unchecked),
    )
    what = "graph build, resnet50, 64 x 64, against torch.export's trace alone"
    return time_ratio("core.graph.export", what, *sides, goal=1.0, pairs=min(pairs, 5))


def _half(graph: ChannelGraph) -> dict[str, Any]:
    return {c.name: np.arange(c.size) % 2 for c in graph.classes.values() if c.frozen is None}


def _halves(pairs: int) -> list[Record]:
    """Narrowing ResNet-50 to half: the edit, the copy beside it, the recorded plan and the proof, in ms."""
    model = networks.resnet50().eval()
    graph = ChannelGraph(model, torch.zeros(1, 3, 64, 64))
    half = _half(graph)
    kept = list(apply(model, plan(model, graph, half)).parameters())
    probe = torch.randn(2, 3, 64, 64)
    copied = Side("one copy of the kept weights", lambda: [p.detach().clone() for p in kept], unchecked)
    ways: dict[str, tuple[str, Callable[[], object]]] = {
        "resize": ("proof apart", lambda: apply(model, plan(model, graph, half))),
        "resize_recorded": ("recorded anew, proof apart", lambda: apply(model, plan(model, graph, half, again=True))),
        "resize_proved": ("proof included, two 64 x 64 images", lambda: resize(model, graph, half, probe=probe)),
    }
    found = []
    for name, (words, way) in ways.items():
        result = compare(Side("linnet", way, unchecked), copied, pairs=pairs)
        copy_s = 1e3 * result.median_s[1]
        lo, hi = (1e3 * seconds for seconds in result.extra_interval_s)
        context = {
            "what": f"resize ResNet-50 to half beyond one copy ({copy_s:.1f} ms): {words}", "beside": copied.name,
            "goal": "<= 50 ms" if name == "resize" else "none, listed apart", "threads": torch.get_num_threads(),
            **({"bound": 50.0} if name == "resize" else {}),
        }  # fmt: skip
        facts = {"unit": "ms", "context": context, "reason": _WALKED}
        found.append(compared(f"core.{name}", result, 1e3 * result.extra_s, (lo, hi), **facts))
    return found


def _memory() -> list[Record]:
    """Bytes of weights that a graph keeps, and tensors alive during an edit beyond the old and the new network."""
    model, x = networks.resnet50().eval(), torch.zeros(1, 3, 64, 64)
    alive = [weakref.ref(p) for p in model.parameters()]
    graph = ChannelGraph(model, x)
    half = _half(graph)
    largest = max(p.nbytes for p in model.parameters())
    old = sum(t.nbytes for t in [*model.parameters(), *model.buffers()])
    peak, new = allocated(lambda: apply(model, plan(model, graph, half)))
    made = sum(t.nbytes for t in [*new.parameters(), *new.buffers()])
    del model, new
    kept = sum(reference() is not None for reference in alive)
    return [
        bounded(
            "core.graph_holds", "weights that a graph keeps alive", kept, bound=0, goal="0", beside="the model deleted",
            unit="tensor",
        ),
        bounded(
            "core.resize_peak", "resize, proof apart: most bytes alive, as a part of old + new + largest tensor",
            (old + peak) / (old + made + largest), bound=1.0, goal="<= 1", beside="torch's allocations", unit="x",
        ),
    ]  # fmt: skip


def _optimizer() -> list[Record]:
    """Optimizer state that is carried, beside the state that the other network collects itself; float64, Adam."""
    torch.manual_seed(0)
    body = nn.Conv2d(2, 6, 3), nn.Tanh(), nn.Conv2d(6, 8, 3), nn.Tanh()
    net = nn.Sequential(*body, nn.Flatten(), nn.Linear(128, 3)).double()
    x = torch.randn(20, 8, 2, 8, 8, dtype=torch.float64)
    graph = ChannelGraph(net, x[0])
    wider = {name: [1 + i % 3 for i in range(graph.classes[name].size)] for name in ("0", "2")}
    still = torch.optim.Adam(net.parameters(), lr=0.0, amsgrad=True)
    twin = resize(net, graph, wider)
    collected = torch.optim.Adam(twin.parameters(), lr=0.0, amsgrad=True)
    for batch in x:
        _step(net, still, batch)
        _step(twin, collected, batch)
    widened = resize(net, graph, wider, optimizer=still)
    worst = _worst(still, widened, collected, twin)
    narrow = {name: [i % 2 for i in range(graph.classes[name].size)] for name in ("0", "2")}
    facts = {"bound": 1e-7, "goal": "<= 1e-7"}
    after = _narrowed(net, graph, narrow, x)
    return [
        bounded(
            "core.optimizer_widen", "optimizer, widened at lr 0, Adam's state", worst, beside="trained widened", **facts
        ),
        bounded(
            "core.optimizer_narrow", "optimizer, 20 steps after narrowing, outputs", after,
            beside="masked and trained on", **facts,
        ),
    ]  # fmt: skip


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Tensor) -> None:
    optimizer.zero_grad()
    model(batch).square().sum().backward()
    optimizer.step()


def _worst(left: Any, left_model: nn.Module, right: Any, right_model: nn.Module) -> float:
    pairs = zip(left_model.parameters(), right_model.parameters(), strict=True)
    both = [
        (left.state[a][key], right.state[b][key])
        for a, b in pairs
        for key in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    ]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in both)


def _narrowed(net: nn.Module, graph: ChannelGraph, narrow: dict[str, Any], x: Tensor) -> float:
    """Difference of outputs after 20 more steps of both; the masked columns are set back to 0 after each."""
    from tests.zoo.check import masked

    big = masked(net, graph, narrow)
    optimizer = torch.optim.Adam(big.parameters(), lr=1e-3, amsgrad=True)
    for batch in x:
        _step(big, optimizer, batch)
        big = _remasked(big, masked(big, graph, narrow))
    carried = torch.optim.Adam(big.parameters(), lr=1e-3, amsgrad=True)
    carried.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    small = resize(big, graph, narrow, optimizer=carried)
    for batch in x:
        _step(big, optimizer, batch)
        _remasked(big, masked(big, graph, narrow))
        _step(small, carried, batch)
    expected = big(x[0])
    return float((small(x[0]) - expected).detach().abs().max() / expected.detach().abs().max())


def _remasked(model: nn.Module, zeroed: nn.Module) -> nn.Module:
    with torch.no_grad():
        for own, other in zip(model.parameters(), zeroed.parameters(), strict=True):
            own.copy_(other)
    return model
