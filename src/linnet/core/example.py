"""The example that a model is recorded on: its tensors, whatever way they are passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from linnet.errors import GraphError


@dataclass(frozen=True)
class Example:
    """Arguments of one forward call.

    Attributes:
        args: Positional arguments; tensors may be nested in tuples, lists and dicts.
        kwargs: Keyword arguments.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @classmethod
    def of(cls, example: Any) -> Example:
        """From what a user gives: a tensor, a tuple (or list) of positional arguments or a dict of keyword arguments.

        Raises:
            GraphError: there is no tensor in it.
        """
        if isinstance(example, Example):
            return example
        if isinstance(example, Tensor):
            made = cls((example,), {})
        elif isinstance(example, Mapping):
            made = cls((), dict(example))
        elif isinstance(example, (tuple, list)):
            made = cls(tuple(example), {})
        else:
            raise GraphError(
                f"`example` is a {type(example).__name__}; a tensor, a tuple of arguments or a dict of keyword "
                "arguments is needed, e.g. torch.zeros(1, 3, 224, 224)."
            )
        if not any(True for _ in made.tensors()):
            raise GraphError("`example` holds no tensor; at least one is needed, e.g. torch.zeros(1, 3, 224, 224).")
        return made

    @property
    def samples(self) -> int:
        """Size of the leading axis of the first tensor that has one; 1 if none has."""
        return next((tensor.shape[0] for _, tensor in self.tensors() if tensor.ndim), 1)

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """(name, tensor) of every tensor: "input", "input[1]", "mask" ..."""
        single = len(self.args) == 1
        for place, item in enumerate(self.args):
            yield from _tensors(item, "input" if single else f"input[{place}]")
        for key, item in self.kwargs.items():
            yield from _tensors(item, key)

    def map(self, change: Callable[[Tensor], Tensor]) -> Example:
        """The same arguments with every tensor changed."""
        return Example(_map(self.args, change), _map(self.kwargs, change))

    def first_sample(self) -> Example:
        """The leading axis of every tensor cut to 1."""
        return self.map(lambda t: t[:1] if t.ndim else t)

    def on_meta(self) -> Example:
        """Without elements: shapes and element types only."""
        return self.map(lambda t: torch.empty(t.shape, dtype=t.dtype, device="meta"))

    def on_cpu(self) -> Example:
        """Detached copies on the CPU."""
        return self.map(lambda t: t.detach().to("cpu", copy=True))

    def __str__(self) -> str:
        return ", ".join(f"{name} {tuple(t.shape)} {str(t.dtype)[6:]}" for name, t in self.tensors())


def _tensors(tree: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(tree, Tensor):
        yield name, tree
    elif isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from _tensors(item, f"{name}[{key!r}]")
    elif isinstance(tree, (tuple, list)):
        for place, item in enumerate(tree):
            yield from _tensors(item, f"{name}[{place}]")


def _map(tree: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(tree, Tensor):
        return change(tree)
    if isinstance(tree, Mapping):
        return {key: _map(item, change) for key, item in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_map(item, change) for item in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(_map(item, change) for item in tree)
    return tree
