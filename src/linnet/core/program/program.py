"""A network as plain data: the operators that one forward pass ran, in order.

`record` makes a `Program`; the labels, the cost and `resize` read it. Nothing here holds a weight or a module.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor among an operator's arguments: the number of a `Value`."""

    value: int


@dataclass(frozen=True, slots=True)
class Value:
    """One tensor of the program.

    Attributes:
        shape: Sizes of its axes.
        dtype: Its element type.
        storage: Values with the same number share memory (views and in-place results).
        storage_bytes: Bytes of that memory.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    storage: int
    storage_bytes: int


@dataclass(frozen=True, slots=True)
class Node:
    """One operator call.

    Attributes:
        index: Its place in `Program.nodes`.
        op: Name with overload, `aten::add.Tensor`; composite ones kept whole are listed in `trace.WHOLE`.
        args: Positional arguments; a tensor is a `Ref`, lists keep their shape.
        kwargs: Keyword arguments, likewise.
        outputs: Value numbers of the tensors it returned, flattened; -1 where it returned none. An in-place operator
            returns a new value (same storage).
        mutates: Value numbers that it overwrote.
        module: Dotted path of the module whose forward was running, "" for the root.
        source: "file.py:12: the line", innermost line outside torch.
        caller: The function of torch that was called, `flatten` for a view that it made.
        layer: The torch.nn class that the module is (or inherits), "" for none.
        name: The operator without namespace, overload and in-place underscore: `add` for `aten::add_.Tensor`.
        inputs: Value numbers of all tensor arguments, in order.
    """

    index: int
    op: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    outputs: tuple[int, ...]
    mutates: tuple[int, ...]
    module: str
    source: str
    caller: str = ""
    layer: str = ""
    name: str = field(init=False, compare=False, repr=False)
    inputs: tuple[int, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", base_name(self.op))
        object.__setattr__(self, "inputs", tuple(ref.value for ref in refs((self.args, tuple(self.kwargs.values())))))

    def argument(self, position: int, keyword: str = "", default: Any = None) -> Any:
        """The argument at `position`, or named `keyword`, or `default`."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(keyword, default)


@dataclass(frozen=True)
class Program:
    """All operator calls of one forward pass in eval mode.

    Attributes:
        nodes: In order of execution.
        values: Every tensor, by number. Parameters and buffers come first, whether the pass reached them or not.
        parameters: Dotted name -> value number.
        buffers: Dotted name -> value number.
        aliases: Second name of a tied tensor -> its first name.
        inputs: (name, value number) of each example tensor.
        outputs: (name, value number) of each tensor of the nested output.
        constants: Value number -> its elements, for small integer tensors whose elements are known (index tables).
        samples: Size of the examples' leading axis while recording: 1 unless the model refused it.
        tracer: "meta" (no computation), "real" (one real CPU forward: valid for the path that it took) or "export".
        observers: Forward hooks that only look on: they are left out.
        training: What a pass in training mode runs, where it takes another way than one in eval mode; numbered on from
            `nodes`. It has no part in the cost.
        training_inputs: As `inputs`, of that pass.
        training_outputs: As `outputs`, of that pass.
        training_error: Why training mode couldn't be recorded.
    """

    nodes: tuple[Node, ...]
    values: tuple[Value, ...]
    parameters: Mapping[str, int]
    buffers: Mapping[str, int]
    aliases: Mapping[str, str]
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    constants: Mapping[int, np.ndarray]
    samples: int
    tracer: str
    observers: tuple[tuple[str, str, int], ...] = ()
    training: tuple[Node, ...] = ()
    training_inputs: tuple[tuple[str, int], ...] = ()
    training_outputs: tuple[tuple[str, int], ...] = ()
    training_error: str = ""

    @cached_property
    def all_nodes(self) -> tuple[Node, ...]:
        """What eval mode runs, and what training mode runs where that is another path."""
        return self.nodes + self.training

    @cached_property
    def tensors(self) -> dict[str, int]:
        """Parameters and buffers: dotted name -> value number."""
        return {**self.parameters, **self.buffers}

    @cached_property
    def names(self) -> dict[int, str]:
        """Value number -> dotted name, for parameters and buffers."""
        return {value: name for name, value in self.tensors.items()}

    def shape(self, value: int) -> tuple[int, ...]:
        """Sizes of one value's axes."""
        return self.values[value].shape

    def with_shapes(self, shapes: Mapping[int, tuple[int, ...]]) -> Program:
        """The same program with other sizes for some values; storage bytes follow their largest value."""
        values = [dataclasses.replace(v, shape=shapes.get(n, v.shape)) for n, v in enumerate(self.values)]
        grown: dict[int, int] = {}
        for new, old in zip(values, self.values, strict=True):
            if new.shape != old.shape:
                size = new.dtype.itemsize * int(np.prod(new.shape))
                grown[new.storage] = max(grown.get(new.storage, 0), size)
        values = [dataclasses.replace(v, storage_bytes=grown.get(v.storage, v.storage_bytes)) for v in values]
        return dataclasses.replace(self, values=tuple(values))


def base_name(op: str) -> str:
    """`add` for `aten::add_.Tensor`; operators of another namespace keep it: `mylib::add`."""
    space, _, rest = op.partition("::")
    name = rest.partition(".")[0]
    if name.endswith("_") and not name.endswith("__"):
        name = name[:-1]
    return name if space == "aten" else f"{space}::{name}"


def refs(tree: Any) -> Iterator[Ref]:
    """Every `Ref` in nested tuples, lists and dicts, in order."""
    if isinstance(tree, Ref):
        yield tree
    elif isinstance(tree, (tuple, list)):
        for item in tree:
            if type(item) is Ref:
                yield item
            elif not isinstance(item, (int, float)) and item is not None:
                yield from refs(item)
    elif isinstance(tree, Mapping):
        for item in tree.values():
            yield from refs(item)
