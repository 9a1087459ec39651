"""`python -m benchmarks core --zoo`: every zoo network widened and narrowed at random, with the measured error.

The peer gets the documented call and the same channels to remove; what comes out is compared with the masked network.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.subject import Subject
from linnet.core import ChannelGraph, resize
from linnet.engine.compute.timing import on_threads
from linnet.errors import LinnetError
from linnet.results import Record
from tests.zoo import ZOO, Entry
from tests.zoo.check import difference, draw, masked

BOUNDS = {torch.float64: 1e-10, torch.float32: 1e-5}
EDITS = 100
DIRECTIONS = {"widen": (1, 2, 3, 4), "narrow": (0, 1)}


def measure(*, quick: bool) -> list[Record]:
    """One record per graph, direction, mode and type.

    Args:
        quick: One edit of each kind.
    """
    with on_threads(1):  # more are slower for networks of this size
        return _measured(1 if quick else EDITS // 4)


def _measured(edits: int) -> list[Record]:
    found = [record for entry in ZOO.values() for record in _of_graph(entry, edits)]
    if not torch.cuda.is_available():
        context = {"what": "the same on CUDA", "reason": "torch sees no CUDA device"}
        found.append(Record.measured("core_zoo.cuda", None, context=context))
    return found


def _of_graph(entry: Entry, edits: int) -> list[Record]:
    found = []
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        for dtype, bound in BOUNDS.items():
            for direction, numbers in DIRECTIONS.items():
                errors, refused = _errors(entry, edits, numbers, dtype, device)
                peer = _peer(entry) if (direction, dtype, device) == ("narrow", torch.float64, "cpu") else ""
                for mode, values in errors.items():
                    context = {
                        "graph": entry.name, "direction": direction, "mode": mode, "dtype": str(dtype)[6:],
                        "device": device, "edits": edits, "refused": refused, "bound": bound,
                        "verdict": _verdict(values, bound, refused), **({"peer": peer} if peer else {}),
                    }  # fmt: skip
                    name = f"core_zoo.{entry.name}.{direction}.{mode}.{context['dtype']}.{device}"
                    found.append(
                        Record.measured(name, max(values, default=None), n=len(values) or None, context=context)
                    )
    return found


def _verdict(values: Sequence[float], bound: float, refused: int) -> str:
    if not values:
        return "refused" if refused else "nothing may be edited"
    return "right" if max(values) <= bound else "wrong"


def _errors(
    entry: Entry, edits: int, numbers: tuple[int, ...], dtype: torch.dtype, device: str
) -> tuple[dict[str, list[float]], int]:
    """Largest relative difference of every edit, in eval and train mode; edits refused by name."""
    model, x = entry.model(dtype=dtype).to(device), entry.example(4, dtype=dtype).to(device)
    graph = ChannelGraph(model, x)
    generator = np.random.default_rng(0)
    errors: dict[str, list[float]] = {"eval": [], "train": []}
    refused = 0
    for place in range(edits):
        drawn = draw(graph, entry, generator, numbers)
        if not drawn:
            break
        try:
            new = resize(model, graph, drawn, split=("even", "random")[place % 2], rng_seed=place)
        except LinnetError:
            refused += 1
            continue
        old = masked(model, graph, drawn)
        for mode, values in errors.items():
            values.append(difference(old, new, x, training=mode == "train"))
    return errors, refused


def _peer(entry: Entry) -> str:
    """What torch-pruning makes of one narrowing: right, refused, crash, or silently wrong with its error."""
    try:
        import torch_pruning
    except ImportError:
        return "not installed"
    model, x = entry.model(dtype=torch.float64), entry.example(4, dtype=torch.float64)
    graph = ChannelGraph(model, x)
    drawn = draw(graph, entry, np.random.default_rng(0), DIRECTIONS["narrow"])
    drawn = {name: numbers for name, numbers in drawn.items() if _roots(model, graph, {name: numbers})}
    roots = _roots(model, graph, drawn)
    if not roots:
        return "nothing to remove"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _pruned(torch_pruning, copy.deepcopy(model), roots, masked(model, graph, drawn), x)
        except Exception as error:  # whatever the peer raises is its verdict
            return f"crash: {type(error).__name__}"


def _roots(model: nn.Module, graph: ChannelGraph, drawn: dict[str, Any]) -> dict[str, list[int]]:
    """The layer that makes each class first -> its output channels that go."""
    layers = dict(model.named_modules())
    roots: dict[str, list[int]] = {}
    for name, numbers in drawn.items():
        gone = np.flatnonzero(np.asarray(numbers) == 0)
        for slot in graph.classes[name].slots if len(gone) else ():
            path = slot.tensor.removesuffix(".weight")
            layer = layers.get(path)
            axis = 1 if isinstance(layer, (nn.modules.conv._ConvTransposeNd, nn.Embedding)) else 0
            made = (
                isinstance(layer, (nn.modules.conv._ConvNd, nn.Linear, nn.Embedding))
                and slot.role == "produce"
                and slot.axis == axis
            )
            if made and path != slot.tensor:
                roots.setdefault(path, []).extend(int(p) for p in slot.index[gone].ravel())
                break
    return roots


def _pruned(peer: Any, model: nn.Module, roots: dict[str, list[int]], expected: nn.Module, x: torch.Tensor) -> str:
    graph = peer.DependencyGraph().build_dependency(model, example_inputs=x)
    for path, gone in roots.items():
        layer = model.get_submodule(path)
        kind = {nn.Linear: "linear", nn.Embedding: "embedding"}.get(type(layer), "conv")
        way = getattr(peer, f"prune_{kind}_out_channels")
        group = graph.get_pruning_group(layer, way, idxs=sorted(set(gone)))
        if not graph.check_pruning_group(group):
            return "refused"
        group.prune()
    error = difference(expected, model, x, training=False)
    return "right" if error <= BOUNDS[torch.float64] else f"silently wrong, {error:.2g}"


def as_markdown(records: Sequence[Record]) -> str:
    """One row per graph: the largest errors, our verdict, the peer's."""
    rows = [
        "| graph | widen, float64 | widen, float32 | narrow, float64 | narrow, float32 | edits | linnet | the peer |",
        "|---|---|---|---|---|---|---|---|",
    ]
    graphs: dict[str, list[Record]] = {}
    for record in records:
        if record.context.get("device") == "cpu":
            graphs.setdefault(str(record.context["graph"]), []).append(record)
    rows += [_row(name, own) for name, own in graphs.items()]
    left_out = [str(r.context["reason"]) for r in records if "reason" in r.context]
    return "\n".join([*rows, *(f"\nOn CUDA: not measured, {reason}." for reason in left_out)])


def _row(name: str, own: Sequence[Record]) -> str:
    cells = [name]
    for direction in DIRECTIONS:
        for dtype in ("float64", "float32"):
            values = [
                r.value
                for r in own
                if (r.context["direction"], r.context["dtype"]) == (direction, dtype) and r.value is not None
            ]
            cells.append(f"{max(values):.1e}" if values else "-")
    done = sum(r.n or 0 for r in own) // 2
    refused = sum(int(r.context["refused"]) for r in own) // 2
    verdicts = {str(r.context["verdict"]) for r in own}
    ours = next((word for word in ("wrong", "right", "refused") if word in verdicts), "nothing may be edited")
    peer = next((str(r.context["peer"]) for r in own if "peer" in r.context), "")
    return f"| {' | '.join([*cells, f'{done}' + (f' ({refused} refused)' if refused else ''), ours, peer])} |"


SUBJECT = Subject({"zoo": measure}, as_markdown)
