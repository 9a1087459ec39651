"""An integer program in one safetensors file, without a pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linnet.engine.files.tensor_file import Kind, read_tensors, write_tensors
from linnet.errors import CheckpointError, LinnetError
from linnet.jet.integer import nodes as operations
from linnet.jet.integer.graph import IntegerGraph, made_node, operation_as_plain
from linnet.jet.integer.nodes import Node, Operation

PROGRAM = Kind("integer program")
"""What `write_graph` writes; for `linnet.engine.files.tensor_file.read_tensors`."""

_OPERATIONS = ("Input", "Conv", "Threshold", "Pool", "Flatten", "Linear", "Add", "WeightedAdd", "Concat", "Scores")
_FRACTIONS, _TUPLES = ("scale", "shift"), ("window", "stride")


def write_graph(graph: IntegerGraph, path: str | os.PathLike[str], facts: Mapping[str, Any]) -> Path:
    """Writes the graph, its hash and some plain facts beside them.

    Args:
        graph: Any.
        path: The file; its folder must exist.
        facts: JSON values, given back by `read_graph`.

    Returns:
        The path.

    Raises:
        CheckpointError: it can't be written.
    """
    tensors: dict[str, Tensor] = {}
    listed = []
    for number, node in enumerate(graph.nodes):
        plain, arrays = operation_as_plain(node.operation)
        tensors |= {f"{number}.{key}": torch.from_numpy(np.ascontiguousarray(a)) for key, a in arrays.items()}
        listed.append({"name": node.name, "sources": node.sources, "shape": node.shape, **plain})
    fractions = [[str(f.numerator), str(f.denominator)] for f in (graph.scale, *graph.shifts)]
    content = {"nodes": listed, "output": fractions, "hash": graph.hash, "facts": dict(facts)}
    return write_tensors(path, tensors, content, PROGRAM)


def read_graph(path: str | os.PathLike[str]) -> tuple[IntegerGraph, dict[str, Any]]:
    """The graph and the facts that `write_graph` wrote, with shapes and ranges proven anew.

    Raises:
        CheckpointError: the file isn't whole, is of another kind or of a newer version, or its hash isn't that of its
            content.
    """
    tensors, content = read_tensors(path, PROGRAM)
    try:
        nodes: list[Node] = []
        for number, listed in enumerate(content["nodes"]):
            operation = _operation(listed, {k: v.numpy() for k, v in _own(tensors, number).items()})
            nodes.append(made_node(listed["name"], operation, listed["sources"], nodes, tuple(listed["shape"])))
        scale, *shifts = (Fraction(int(a), int(b)) for a, b in content["output"])
        graph = IntegerGraph(tuple(nodes), scale, tuple(shifts))
        found, facts = content["hash"], content["facts"]
    except (KeyError, TypeError, ValueError, IndexError, LinnetError) as error:
        raise CheckpointError(f"{path}: holds no integer program that can be read ({error}). Save it again.") from error
    if graph.hash != found:
        raise CheckpointError(
            f"{path}: its program has the hash {graph.hash[:12]}, and the file says {found[:12]}. The file was "
            "changed, or written by another version: freeze the network and save it again."
        )
    return graph, facts


def _own(tensors: Mapping[str, Tensor], number: int) -> dict[str, Tensor]:
    start = f"{number}."
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _operation(listed: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Operation:
    if listed["operation"] not in _OPERATIONS:
        raise ValueError(f"unknown operation {listed['operation']!r}")
    values = {k: v for k, v in listed.items() if k not in ("name", "sources", "shape", "operation")}
    kind = getattr(operations, listed["operation"])
    if kind is operations.Input:
        values |= {name: Fraction(*map(int, values[name])) for name in _FRACTIONS}
    elif kind is operations.Pool:
        values |= {name: tuple(values[name]) for name in _TUPLES}
    elif kind is operations.Scores:
        values["error"] = float.fromhex(values["error"])
    return kind(**{**values, **arrays})
