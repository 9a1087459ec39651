"""Programs and channel classes as plain data (numbers, strings, lists, dicts) and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from linnet.core.channels.classes import ChannelClass
from linnet.core.channels.propagation_state import Frozen
from linnet.core.program.program import Node, Program, Ref, Value

DTYPES = {str(dtype): dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)}


def program_to_dict(program: Program) -> dict[str, Any]:
    """A program as plain data."""
    stored = {
        "nodes": [_node_to_list(node) for node in program.nodes],
        "values": [[list(v.shape), str(v.dtype), v.storage, v.storage_bytes] for v in program.values],
        "parameters": dict(program.parameters),
        "buffers": dict(program.buffers),
        "aliases": dict(program.aliases),
        "inputs": [list(item) for item in program.inputs],
        "outputs": [list(item) for item in program.outputs],
        "constants": {str(k): [str(v.dtype), list(v.shape), v.ravel().tolist()] for k, v in program.constants.items()},
        "samples": program.samples,
        "tracer": program.tracer,
    }
    more = {
        "observers": [list(key) for key in program.observers],
        "training": [_node_to_list(node) for node in program.training],
        "training_inputs": [list(item) for item in program.training_inputs],
        "training_outputs": [list(item) for item in program.training_outputs],
        "training_error": program.training_error,
    }
    return stored | {key: item for key, item in more.items() if item}


def program_from_dict(stored: Mapping[str, Any]) -> Program:
    """The program that `program_to_dict` wrote."""
    constants = {
        int(k): np.array(items, dtype=dtype).reshape(shape) for k, (dtype, shape, items) in stored["constants"].items()
    }
    training = enumerate(stored.get("training", ()), start=len(stored["nodes"]))
    return Program(
        tuple(_node_from_list(number, node) for number, node in enumerate(stored["nodes"])),
        tuple(Value(tuple(s), DTYPES[d], storage, size) for s, d, storage, size in stored["values"]),
        dict(stored["parameters"]),
        dict(stored["buffers"]),
        dict(stored["aliases"]),
        tuple((name, value) for name, value in stored["inputs"]),
        tuple((name, value) for name, value in stored["outputs"]),
        constants,
        stored["samples"],
        stored["tracer"],
        tuple((path, kind, place) for path, kind, place in stored.get("observers", ())),
        tuple(_node_from_list(number, node) for number, node in training),
        tuple((name, value) for name, value in stored.get("training_inputs", ())),
        tuple((name, value) for name, value in stored.get("training_outputs", ())),
        stored.get("training_error", ""),
    )


def _node_to_list(node: Node) -> list[Any]:
    return [
        node.op,
        [_encode(a) for a in node.args],
        {k: _encode(a) for k, a in node.kwargs.items()},
        list(node.outputs),
        list(node.mutates),
        node.module,
        node.source,
        node.caller,
        node.layer,
    ]


def _node_from_list(number: int, stored: list[Any]) -> Node:
    op, args, kwargs, outputs, mutates, module, source, caller, layer = stored
    return Node(
        number,
        op,
        tuple(_decode(a) for a in args),
        {k: _decode(a) for k, a in kwargs.items()},
        tuple(outputs),
        tuple(mutates),
        module,
        source,
        caller,
        layer,
    )


def _encode(item: Any) -> Any:
    if isinstance(item, Ref):
        return {"ref": item.value}
    if isinstance(item, (list, tuple)):
        return [_encode(i) for i in item]
    if isinstance(item, torch.dtype):
        return {"dtype": str(item)}
    if item is None or isinstance(item, (bool, int, float, str, dict)):
        return item
    return {"text": str(item)}  # layouts, devices, memory formats, generators: no rule reads them


def _decode(item: Any) -> Any:
    if isinstance(item, list):
        return [_decode(i) for i in item]
    if isinstance(item, dict):
        if "ref" in item:
            return Ref(item["ref"])
        return DTYPES[item["dtype"]] if "dtype" in item else item
    return item


def frozen_to_dict(frozen: Frozen) -> dict[str, Any]:
    """Freezes as plain data."""
    axes = [
        [name, axis, None if some is None else some.tolist(), reason]
        for (name, axis), entries in frozen.axes.items()
        for some, reason in entries
    ]
    return {"modules": list(frozen.modules), "axes": axes}


def frozen_from_dict(stored: Mapping[str, Any]) -> Frozen:
    """The freezes that `frozen_to_dict` wrote."""
    frozen = Frozen(tuple(stored["modules"]), {})
    for name, axis, some, reason in stored["axes"]:
        held = None if some is None else np.array(some, dtype=np.int64)
        frozen.axes.setdefault((name, axis), []).append((held, reason))
    return frozen


def class_to_dict(known: ChannelClass) -> dict[str, Any]:
    """A channel class as plain data (for reading: `from_dict` makes classes anew)."""
    return {
        "name": known.name,
        "size": known.size,
        "frozen": known.frozen,
        "uniform": known.uniform,
        "slots": [{"tensor": s.tensor, "axis": s.axis, "role": s.role, "index": s.index.tolist()} for s in known.slots],
    }
