"""Multiply-accumulates of one operator, from the sizes of its tensors."""

from __future__ import annotations

import math
from collections.abc import Callable

from linnet.core.program.program import Node, Program, Ref

Macs = Callable[[Program, Node], int]


def convolution_macs(program: Program, node: Node) -> int:
    """Each output element (transposed: input element) meets one filter."""
    weight = math.prod(_shape(program, node, 1)[1:])
    walked = _shape(program, node, 0) if node.argument(6, "transposed", False) else _out(program, node)
    return math.prod(walked) * weight


def product_macs(first: int) -> Macs:
    """`... @ ...` whose left factor is the argument `first`: every output element sums over the inner axis."""
    return lambda program, node: math.prod(_out(program, node)) * _shape(program, node, first)[-1]


def summed_product_macs(program: Program, node: Node) -> int:
    """addbmm: the products of a batch, added up."""
    batch, rows, inner = _shape(program, node, 1)
    return batch * rows * inner * _shape(program, node, 2)[2]


def inner_product_macs(program: Program, node: Node) -> int:
    """One for each element."""
    return math.prod(_shape(program, node, 0))


def trilinear_macs(program: Program, node: Node) -> int:
    """nn.Bilinear: batch * O * I * J."""
    return math.prod(_out(program, node)) * math.prod(_shape(program, node, 1)[1:])


def attention_macs(program: Program, node: Node) -> int:
    """B h T_q T_k (d + d_v)."""
    query, key, value = (_shape(program, node, place) for place in range(3))
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def _shape(program: Program, node: Node, position: int) -> tuple[int, ...]:
    """Size of the tensor argument at `position`."""
    argument = node.args[position]
    assert isinstance(argument, Ref)
    return program.shape(argument.value)


def _out(program: Program, node: Node) -> tuple[int, ...]:
    return program.shape(node.outputs[0])
