"""`freeze`: a trained network as an exact integer program, proved on an example."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.program import module_copy
from linnet.core.program.recorder import record
from linnet.errors import FreezeError, InputError
from linnet.jet.freezing.agreement import compare
from linnet.jet.freezing.norm import scores_of
from linnet.jet.freezing.operators import Reading, read_node
from linnet.jet.freezing.pixels import Pixels, pixels_of, whole_pixels
from linnet.jet.freezing.stand_ins import jet_layers, with_stand_ins
from linnet.jet.freezing.values import SIGN_AFTER_SUM, Builder, Call, Known, described_sum
from linnet.jet.integer.graph import IntegerGraph, made_node
from linnet.jet.integer.nodes import Input, Node
from linnet.jet.program import Facts, Program


def freeze(
    net: nn.Module,
    example: Tensor,
    pixels: tuple[float, float] = (1.0, 0.0),
    input_range: tuple[int, int] = (0, 255),
) -> Program:
    """The integers that a trained network computes, as a program that other machines can run.

    The forward is recorded, so any way of writing it will do. A batch norm and the sign after it become one integer
    threshold a channel, found in exact rationals. The example runs through both, the network in float64, and every
    layer is compared.

    Args:
        net: A network of `linnet.jet` layers with batch norm, Sign, pooling, flatten, add and cat. It stays as it is.
        example: A batch that the network takes, (N, C, H, W) or (N, F): its prepared floats, or whole pixels as
            integers.
        pixels: (scale, shift) of the preparation: the network sees scale * pixel + shift.
        input_range: Smallest and largest pixel.

    Returns:
        The program; `run` takes whole pixels.

    Raises:
        FreezeError: something in the network has no exact integer form; layer, reason and remedy are named.
        InputError: an argument can't be used.

    Source:
        Thresholds in place of batch norm are usual for binarized networks; their exactness and the proof are
        linnet's choice.

    Example:
        >>> from linnet.jet import BinaryLinear, JetConv2d, Sign
        >>> net = nn.Sequential(JetConv2d(1, 4), nn.BatchNorm2d(4), Sign(), nn.Flatten(), BinaryLinear(144, 3)).eval()
        >>> freeze(net, torch.zeros(1, 1, 8, 8)).run(torch.zeros(1, 1, 8, 8, dtype=torch.uint8)).shape
        torch.Size([1, 3])
    """
    seen = pixels_of(pixels, input_range)
    net = _network(net)
    if not isinstance(example, Tensor) or example.ndim not in (2, 4) or example.numel() == 0:
        what = tuple(example.shape) if isinstance(example, Tensor) else type(example).__name__
        raise InputError(f"`example` must be a tensor (N, C, H, W) or (N, F) (got {what}). Give one batch of images.")
    whole = whole_pixels(example, seen)
    builder, known = _read(net, whole, seen)
    graph, calls = _finished(builder, known)
    ties, close = compare(net, seen.seen(whole), whole, graph, calls)
    return Program(graph, Facts(examples=len(whole), ties=ties, close_rows=close))


def _network(net: Any) -> nn.Module:
    if not isinstance(net, nn.Module):
        raise InputError(f"`net` must be a torch.nn.Module (got a {type(net).__name__}).")
    net = module_copy.unwrap(net)
    for name, tensor in itertools.chain(net.named_parameters(), net.named_buffers()):
        if tensor.is_meta:
            raise InputError(
                f"`net` must hold values (got `{name}` on the meta device, which keeps no values). Load weights first."
            )
    for name, module in net.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.training and module.p > 0:
            raise FreezeError(
                f"`{name}` ({type(module).__name__}) is in training mode, where it drops values at random. Call "
                "net.eval() first, or remove it."
            )
    return net


def _read(net: nn.Module, whole: Tensor, seen: Pixels) -> tuple[Builder, Known]:
    """The program of the recorded forward, and what is known of its output."""
    dtype = next((p.dtype for p in net.parameters() if p.is_floating_point()), torch.float32)
    recording = record(with_stand_ins(net), torch.zeros(whole.shape, dtype=dtype))
    builder = Builder(tuple(whole.shape[1:]))
    first = builder.add("input", Input(seen.low, seen.high, seen.scale, seen.shift))
    tensors = dict(net.named_parameters()) | dict(net.named_buffers())
    known = {recording.inputs[0][1]: Known(first, seen.scale, (seen.shift,) * whole.shape[1])}
    reading = Reading(builder, recording, jet_layers(net), tensors, known, recording.samples)
    for node in recording.nodes:
        read_node(reading, node)
    if len(recording.outputs) != 1 or recording.outputs[0][1] not in known:
        raise FreezeError(
            f"`{type(net).__name__}` returns {len(recording.outputs)} tensors, and a program has one output that "
            "depends on the input. Return one tensor."
        )
    return builder, known[recording.outputs[0][1]]


def _finished(builder: Builder, known: Known) -> tuple[IntegerGraph, list[Call]]:
    """The graph of what the output needs, with its scores; the calls to be compared, numbered alike."""
    if known.addend is not None:
        raise FreezeError(f"the output is {described_sum(known)}. {SIGN_AFTER_SUM}")
    known = builder.pooled(known, "the output")
    last = builder.nodes[known.node]
    if known.node == 0:
        raise FreezeError("`net` returns its input: there is nothing to compute. Freeze a network with layers.")
    if known.norm is not None:
        scores = scores_of(last.low, last.high, known.scale, known.shifts, known.norm)
        known = dataclasses.replace(known, node=builder.add("scores", scores, known.node))
    nodes, numbers = _needed(builder.nodes, known.node, builder.shape)
    calls = [dataclasses.replace(c, node=numbers[c.node]) for c in builder.calls if c.node in numbers]
    return IntegerGraph(nodes, known.scale, known.shifts), calls


def _needed(nodes: Sequence[Node], last: int, shape: tuple[int, ...]) -> tuple[tuple[Node, ...], dict[int, int]]:
    """The nodes that the last one reads, directly or not, and their new numbers."""
    needed, waiting = {0}, [last]
    while waiting:
        number = waiting.pop()
        if number not in needed or number == last:
            needed.add(number)
            waiting.extend(s for s in nodes[number].sources if s not in needed)
    numbers = {old: new for new, old in enumerate(sorted(needed))}
    made: list[Node] = []
    for old in sorted(needed):
        node = nodes[old]
        made.append(made_node(node.name, node.operation, [numbers[s] for s in node.sources], made, shape))
    return tuple(made), numbers
