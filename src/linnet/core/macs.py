"""Multiply-accumulates of one recorded operator; 1 MAC = 2 FLOPs."""

import math
from collections.abc import Callable

from linnet.core.program import Node, Program, Ref

Rule = Callable[[Program, Node], int]


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
    rule = _RULES.get(node.name)
    return 0 if rule is None else rule(program, node)


def _shape(program: Program, node: Node, position: int) -> tuple[int, ...]:
    """Size of the tensor argument at `position`."""
    argument = node.args[position]
    assert isinstance(argument, Ref)
    return program.shape(argument.value)


def _out(program: Program, node: Node) -> tuple[int, ...]:
    return program.shape(node.outputs[0])


def _convolution(program: Program, node: Node) -> int:
    weight = math.prod(_shape(program, node, 1)[1:])
    walked = _shape(program, node, 0) if node.argument(6, "transposed", False) else _out(program, node)
    return math.prod(walked) * weight


def _product(first: int) -> Rule:
    """`... @ ...` whose left factor is the argument `first`: every output element sums over the inner axis."""
    return lambda program, node: math.prod(_out(program, node)) * _shape(program, node, first)[-1]


def _summed_product(program: Program, node: Node) -> int:
    """addbmm: the products of a batch, added up."""
    batch, rows, inner = _shape(program, node, 1)
    return batch * rows * inner * _shape(program, node, 2)[2]


def _inner_product(program: Program, node: Node) -> int:
    return math.prod(_shape(program, node, 0))


def _trilinear(program: Program, node: Node) -> int:
    """nn.Bilinear: batch * O * I * J."""
    return math.prod(_out(program, node)) * math.prod(_shape(program, node, 1)[1:])


def _attention(program: Program, node: Node) -> int:
    query, key, value = (_shape(program, node, place) for place in range(3))
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


_RULES: dict[str, Rule] = {
    "convolution": _convolution,
    "mm": _product(0),
    "bmm": _product(0),
    "matmul": _product(0),
    "linear": _product(0),
    "mv": _product(0),
    "addmm": _product(1),
    "baddbmm": _product(1),
    "addmv": _product(1),
    "addbmm": _summed_product,
    "dot": _inner_product,
    "vdot": _inner_product,
    "_trilinear": _trilinear,
    "scaled_dot_product_attention": _attention,
}
