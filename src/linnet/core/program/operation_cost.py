"""What one sample costs: parameters, multiply-accumulates, bytes and peak activation memory, from the recorded program.

Nothing is computed: the program was recorded on empty tensors.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from linnet.core.program.operators import operator_of
from linnet.core.program.peak_memory import activation_profile
from linnet.core.program.program import Node, Program
from linnet.core.program.recorder import record


@dataclass(frozen=True)
class Share:
    """A part of the cost.

    Attributes:
        params: Parameter elements.
        macs: Multiply-accumulates of one sample.
    """

    params: int
    macs: int


@dataclass(frozen=True)
class Cost:
    """The cost of one sample. Two costs are equal when their four totals are.

    Attributes:
        params: Unique parameter elements.
        macs: Multiply-accumulates; FLOPs are twice as many.
        bytes: Unique parameters and buffers.
        peak_activation_bytes: Most bytes of activations alive at once; parameters and workspace aside.
        by_module: Module path -> its share, everything inside it included; "" is the whole network.
        by_class: Channel class -> what would go with its channels, so neighbours overlap. Filled by
            `ChannelGraph.cost`; empty from `linnet.cost`, which builds no graph.
        peak_at: Module path and source line of the operator with the most memory.
    """

    params: int
    macs: int
    bytes: int
    peak_activation_bytes: int
    by_module: Mapping[str, Share] = field(default_factory=dict, compare=False, repr=False)
    by_class: Mapping[str, Share] = field(default_factory=dict, compare=False, repr=False)
    peak_at: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return (
            f"{self.params:,} parameters, {self.macs:,} MACs, {self.bytes:,} bytes of weights, "
            f"{self.peak_activation_bytes:,} bytes of activations at the peak"
        )


def cost(model: nn.Module, example: Any) -> Cost:
    """Parameters, MACs, bytes and peak activation memory of one sample, in eval mode.

    Args:
        model: Any module; it isn't changed and nothing is computed with its weights.
        example: A tensor, a tuple of arguments or a dict of keyword arguments; every tensor's leading axis is cut to 1.

    Returns:
        The cost.

    Raises:
        GraphError: the model can't run on the example.

    Source:
        ours; MACs equal half of FlopCounterMode's count but for what torch counts as 0 (bilinear layers,
        matrix-vector products, fused attention and recurrent kernels on the CPU).

    Example:
        >>> import torch
        >>> from linnet.core import cost
        >>> cost(torch.nn.Conv2d(3, 8, 3, padding=1), torch.zeros(4, 3, 10, 10))
        Cost(params=224, macs=21600, bytes=896, peak_activation_bytes=4400)
    """
    return program_cost(record(model, example))


def program_cost(program: Program, held: Mapping[str, Mapping[str, int]] | None = None) -> Cost:
    """The cost of a recorded program.

    A program that could only be recorded with several samples is divided by their number, rounded up.

    Args:
        program: From `record`, possibly with other sizes.
        held: Channel class -> tensor -> elements that would go with the class; gives `by_class`.

    Returns:
        The cost of one sample.
    """
    work = [macs_of(program, node) for node in program.nodes]
    sizes = {name: math.prod(program.shape(value)) for name, value in program.parameters.items()}
    profile = activation_profile(program)
    place = program.nodes[profile.node] if profile.node >= 0 else None
    return Cost(
        params=sum(sizes.values()),
        macs=-(-sum(work) // program.samples),
        bytes=sum(_bytes(program, value) for value in program.tensors.values()),
        peak_activation_bytes=-(-profile.peak // program.samples),
        by_module=_by_module(program, work, sizes),
        by_class=_by_class(program, work, sizes, held or {}),
        peak_at="" if place is None else f"`{place.module}` {place.op} ({place.source})",
    )


def _bytes(program: Program, value: int) -> int:
    tensor = program.values[value]
    return math.prod(tensor.shape) * tensor.dtype.itemsize


def _by_module(program: Program, work: list[int], sizes: Mapping[str, int]) -> dict[str, Share]:
    """Totals of every module that ran an operator or holds a parameter, and of all modules around it."""
    macs: dict[str, int] = {"": 0}
    params: dict[str, int] = {"": 0}
    for node, count in zip(program.nodes, work, strict=True):
        for path in _around(node.module):
            macs[path] = macs.get(path, 0) + count
    for name, size in sizes.items():
        for path in _around(name.rpartition(".")[0]):
            params[path] = params.get(path, 0) + size
    paths = dict.fromkeys([*macs, *params])
    return {path: Share(params.get(path, 0), -(-macs.get(path, 0) // program.samples)) for path in paths}


def _around(path: str) -> list[str]:
    """ "", "a", "a.b" for "a.b"."""
    parts = path.split(".") if path else []
    return ["", *(".".join(parts[: n + 1]) for n in range(len(parts)))]


def _by_class(
    program: Program, work: list[int], sizes: Mapping[str, int], held: Mapping[str, Mapping[str, int]]
) -> dict[str, Share]:
    """The part of every weight, and of the work done with it, that a class takes part in."""
    done: dict[str, int] = {}
    owners = _owners(program)
    for node, count in zip(program.nodes, work, strict=True):
        weight = _weight(program, node, owners) if count else None
        if weight is not None:
            done[weight] = done.get(weight, 0) + count
    shares = {}
    for name, tensors in held.items():
        elements = {tensor: count for tensor, count in tensors.items() if tensor in sizes}
        macs = sum(done.get(tensor, 0) * count // max(sizes[tensor], 1) for tensor, count in elements.items())
        shares[name] = Share(sum(elements.values()), -(-macs // program.samples))
    return shares


def _owners(program: Program) -> dict[int, str]:
    """Storage -> the parameter that lies in it: views of a weight share its storage."""
    return {program.values[value].storage: name for name, value in program.parameters.items()}


def _weight(program: Program, node: Node, owners: Mapping[int, str]) -> str | None:
    """The parameter that a product multiplies with: the last one that has more than one axis."""
    found = None
    for value in node.inputs:
        name = owners.get(program.values[value].storage)
        if name is not None and len(program.shape(program.parameters[name])) > 1:
            found = name
    return found


def macs_of(program: Program, node: Node) -> int:
    """MACs of a node: products of matrices and convolutions; everything else counts 0.

    Args:
        program: What the node is part of.
        node: Any node.

    Returns:
        convolution: positions * O * I / groups * kernel, over output positions (transposed: input positions);
        matrix products: the product of the three sizes; attention: B h T_q T_k (d + d_v).

    Source:
        ours, equal to half of torch's FlopCounterMode but for what torch counts as 0: bilinear layers,
        matrix-vector products, and attention and recurrent layers where a fused kernel runs them on the CPU.
    """
    rule = operator_of(node).macs
    return 0 if rule is None else rule(program, node)
