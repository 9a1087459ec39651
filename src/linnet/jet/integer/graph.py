"""The integer program as plain data: nodes in order of execution, with shapes and proven ranges."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from linnet.errors import FreezeError, InputError
from linnet.jet.integer.nodes import Input, Node, Operation, Pool, Scores
from linnet.jet.integer.shapes import result_of


@dataclass(frozen=True, eq=False)
class IntegerGraph:
    """What every backend reads: `nodes[0]` is the input, `nodes[-1]` the output.

    Attributes:
        nodes: In order of execution; a node's sources have smaller numbers.
        scale: The trained network's output is scale * integer + shifts[c], where it doesn't end in a batch norm.
        shifts: One for each output channel.
    """

    nodes: tuple[Node, ...]
    scale: Fraction = Fraction(1)
    shifts: tuple[Fraction, ...] = ()

    @property
    def input(self) -> Input:
        """Range and meaning of the pixels."""
        operation = self.nodes[0].operation
        assert isinstance(operation, Input)
        return operation

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one frame; (F,) for a network that takes vectors."""
        return self.nodes[0].shape  # pyright: ignore[reportReturnType]

    @property
    def output(self) -> Node:
        """The last node."""
        return self.nodes[-1]

    @cached_property
    def readers(self) -> tuple[tuple[int, ...], ...]:
        """For each node the numbers of those that read it."""
        found: list[list[int]] = [[] for _ in self.nodes]
        for number, node in enumerate(self.nodes):
            for source in node.sources:
                found[source].append(number)
        return tuple(map(tuple, found))

    @cached_property
    def hash(self) -> str:
        """SHA-256 over every operation, array, shape and connection, in hexadecimal."""
        digest = hashlib.sha256()
        for node in self.nodes:
            plain, arrays = operation_as_plain(node.operation)
            words = [node.name, node.sources, node.shape, plain]
            digest.update(json.dumps(words, sort_keys=True).encode())
            for name, array in sorted(arrays.items()):
                digest.update(f"{name}{array.dtype.str}{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def resized(self, height: int, width: int) -> IntegerGraph:
        """The same program for frames of another size, with shapes and ranges worked out anew.

        Args:
            height: Of a frame.
            width: Of a frame.

        Raises:
            InputError: a size isn't a whole number >= 1, or the network takes vectors.
            FreezeError: the maps get too small for a layer, or a linear layer fixes the size.
        """
        for name, value in (("height", height), ("width", width)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise InputError(f"`{name}` must be a whole number >= 1 (got {value!r}).")
        if len(self.input_shape) != 3:
            raise InputError(
                f"`height` and `width` mean nothing here: the network takes {self.input_shape[0]} numbers."
            )
        shape = (self.input_shape[0], height, width)
        nodes: list[Node] = []
        for node in self.nodes:
            _require_one_size(node, nodes, self.nodes)
            nodes.append(made_node(node.name, node.operation, node.sources, nodes, shape))
        return dataclasses.replace(self, nodes=tuple(nodes))


def made_node(
    name: str, operation: Operation, sources: Sequence[int], nodes: Sequence[Node], shape: tuple[int, ...] = ()
) -> Node:
    """A node with the shape, kind and range that follow from its sources.

    Args:
        name: Unique among `nodes`.
        operation: What it does.
        sources: Numbers of nodes among `nodes`.
        nodes: Those made before.
        shape: Of the input node.
    """
    found = result_of(name, operation, [nodes[s] for s in sources], shape)
    return Node(name, operation, tuple(sources), *found)


def _require_one_size(node: Node, made: Sequence[Node], before: Sequence[Node]) -> None:
    """Refuses a global average over another number of pixels, by which the thresholds after it were multiplied."""
    operation = node.operation
    if isinstance(operation, Pool) and operation.everything:
        old, new = (nodes[node.sources[0]].shape for nodes in (before, made))
        if old[1:] != new[1:]:
            raise FreezeError(
                f"`{node.name}` averages a whole map of {old[1]} x {old[2]}, which would have {new[1]} x {new[2]}, "
                "and the thresholds after it hold for the former. Freeze the network with an example of the other size."
            )


def operation_as_plain(operation: Operation) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """An operation as JSON values, with its arrays apart."""
    plain: dict[str, Any] = {"operation": type(operation).__name__}
    arrays: dict[str, np.ndarray] = {}
    for field in dataclasses.fields(operation):
        value = getattr(operation, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = value
        elif isinstance(value, Fraction):
            plain[field.name] = [str(value.numerator), str(value.denominator)]
        elif isinstance(value, tuple):
            plain[field.name] = list(value)
        elif isinstance(operation, Scores) and field.name == "error":
            plain[field.name] = value.hex()
        else:
            plain[field.name] = value
    return plain, arrays
