"""The program against the network in float64, layer by layer, on the example."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from linnet.core.program import module_copy
from linnet.errors import FreezeError
from linnet.jet.freezing.stand_ins import jet_layers
from linnet.jet.freezing.values import Call
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.integer.nodes import Scores
from linnet.jet.layers import Sign
from linnet.jet.reference.torch_reference import trace_torch

TIE = 1e-9  # a float64 value that near to zero, relative to what was added up, has no sign that counts


def compare(
    net: nn.Module, images: Tensor, pixels: Tensor, graph: IntegerGraph, calls: Sequence[Call]
) -> tuple[int, int]:
    """Runs both and compares every jet layer and the output.

    Each sign of the float64 network is replaced by the program's, so that a tie in one layer isn't met again as a
    difference in the next.

    Args:
        net: The trained network; it stays as it is.
        images: float64 of what it sees.
        pixels: The same as whole pixels.
        graph: The program.
        calls: The layers' results, in order.

    Returns:
        (ties, rows whose two best scores are so near that the rounding of scores could swap them).

    Raises:
        FreezeError: a layer differs beyond a tie.
    """
    integers = trace_torch(graph, pixels)
    copy = module_copy.rebuild(net, lambda _, t: t.detach().cpu().double() if t.is_floating_point() else t.detach())
    copy.eval()
    waiting: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        waiting[call.path].append(call)
    ties = [0]

    def check(path: str, layer: nn.Module, arguments: Any, output: Tensor) -> Tensor | None:
        if not waiting[path]:
            return None  # a branch that the output doesn't read
        call = waiting[path].pop(0)
        found = integers[call.node]
        if isinstance(layer, Sign):
            ties[0] += _compare_signs(call, arguments[0], output, found)
            return found.double()
        _compare_sums(call, output, found)
        return None

    for path, layer in jet_layers(copy).items():
        layer.register_forward_hook(partial(check, path))
    with torch.no_grad():
        logits = copy(images)
    return ties[0], _compare_output(graph, logits, integers[-1])


def _compare_signs(call: Call, before: Tensor, signs: Tensor, found: Tensor) -> int:
    """How many signs differ at a tie."""
    differ = signs != found
    if not differ.any():
        return 0
    assert call.terms is not None
    limit = TIE * torch.from_numpy(call.terms).reshape(-1, *[1] * (before.ndim - 2))
    beyond = differ & (before.abs() > limit)
    if beyond.any():
        _differ(call.path, beyond, before, found)
    return int(differ.sum())


def _compare_sums(call: Call, output: Tensor, found: Tensor) -> None:
    expected = found.double() * call.scale + torch.from_numpy(call.shifts).reshape(-1, *[1] * (found.ndim - 2))
    beyond = (output - expected).abs() > TIE * (output.abs().max() + expected.abs().max() + 1)
    if beyond.any():
        _differ(call.path, beyond, output, expected)


def _differ(path: str, beyond: Tensor, given: Tensor, found: Tensor) -> None:
    place = tuple(torch.nonzero(beyond)[0].tolist())
    raise FreezeError(
        f"`{path}`: the float64 network gives {float(given[place]):.12g} at {place} of the example and the program "
        f"{float(found[place]):.12g}. The layer computes something that its recorded operators don't show (a hook or a "
        "subclass): write it with plain layers, or report this network."
    )


def _compare_output(graph: IntegerGraph, logits: Tensor, found: Tensor) -> int:
    operation = graph.output.operation
    if not isinstance(operation, Scores):
        if graph.output.kind == "sign":
            return 0
        shifts = np.array([float(s) for s in graph.shifts])
        _compare_sums(Call("output", -1, float(graph.scale), shifts), logits, found)
        return 0
    step = 2.0**-operation.shift
    beyond = (found.double() * step - logits).abs() > operation.error + TIE * (logits.abs().max() + 1)
    if beyond.any():
        _differ("output", beyond, logits, found.double() * step)
    if logits.shape[1] < 2:
        return 0
    best = found.double().topk(2, 1).values * step
    return int((best[:, 0] - best[:, 1] <= 2 * operation.error).reshape(len(found), -1).any(1).sum())
