"""Peak activation memory of a recorded forward pass, by walking its nodes."""

import math
from dataclasses import dataclass

from linnet.core.program.operators import operator_of
from linnet.core.program.program import Node, Program


@dataclass(frozen=True)
class Profile:
    """Bytes of activations that are alive during each node.

    Attributes:
        alive: One number for each of the program's nodes.
        peak: Their maximum; of a program without nodes its examples and outputs.
        node: Index of the first node with the maximum, -1 without nodes.
    """

    alive: tuple[int, ...]
    peak: int
    node: int


def activation_profile(program: Program) -> Profile:
    """Bytes alive during every node, its inputs and outputs included.

    A storage lives from the node that makes it to its last use; views share it; an in-place operator makes none; an
    example lives to its last use and outputs to the end. Parameters, buffers and the operators' own workspace don't
    count.

    Args:
        program: From `record`.

    Returns:
        The profile, for as many samples as the program was recorded with.

    Source:
        ours.
    """
    sizes = storage_bytes(program)
    born, dies = lifetimes(program)
    steps = len(program.nodes)
    change = [0] * (steps + 1)
    for storage, start in born.items():
        change[start] += sizes[storage]
        change[min(dies[storage], steps - 1) + 1 if steps else 0] -= sizes[storage]
    alive: list[int] = []
    now = 0
    for step in range(steps):
        now += change[step]
        alive.append(now)
    if not alive:
        return Profile((), sum(sizes[storage] for storage in born), -1)
    peak = max(alive)
    return Profile(tuple(alive), peak, alive.index(peak))


def storage_bytes(program: Program) -> dict[int, int]:
    """Storage number -> bytes, as its first value needs them."""
    sizes: dict[int, int] = {}
    for value in program.values:
        sizes.setdefault(value.storage, math.prod(value.shape) * value.dtype.itemsize)
    return sizes


def lifetimes(program: Program) -> tuple[dict[int, int], dict[int, int]]:
    """Storage -> node that makes it (examples: 0), and storage -> node that uses it last."""
    values = program.values
    held = {values[number].storage for number in program.tensors.values()}
    born = {values[number].storage: 0 for _, number in program.inputs if values[number].storage not in held}
    dies = dict.fromkeys(born, 0)
    for node in program.nodes:
        for number in _made(node):
            storage = values[number].storage
            if storage not in held and storage not in born:
                born[storage] = node.index
        for number in (*node.inputs, *_made(node)):
            if values[number].storage in born:
                dies[values[number].storage] = node.index
    for _, number in program.outputs:
        if values[number].storage in born:
            dies[values[number].storage] = len(program.nodes) - 1
    return born, dies


def _made(node: Node) -> tuple[int, ...]:
    """Values that a node really returns; batch statistics, which the recorder sees, aren't kept in eval mode."""
    outputs = node.outputs[:1] if operator_of(node).one_output else node.outputs
    return tuple(number for number in outputs if number >= 0)
