"""The example that a model is recorded on: its tensors, whatever way they are passed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

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
                "`example` must be a tensor, a tuple of arguments or a dict of keyword arguments, e.g. "
                f"torch.zeros(1, 3, 224, 224) (got a {type(example).__name__})."
            )
        if not any(True for _ in made.tensors()):
            raise GraphError("`example` must hold at least one tensor, e.g. torch.zeros(1, 3, 224, 224) (got none).")
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

    def twice(self) -> Example:
        """Every tensor twice along its leading axis."""
        return self.map(lambda t: torch.cat([t, t]) if t.ndim else t)

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


MAX_STORED = 1 << 20  # integer examples (tokens) are kept as they are, up to this many elements


def example_to_dict(example: Example) -> dict[str, Any]:
    """An example as plain data: sizes and types of float tensors, the elements of integer ones."""
    return {
        "args": [_encode(item) for item in example.args],
        "kwargs": {k: _encode(v) for k, v in example.kwargs.items()},
    }


def _zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    return torch.zeros(shape, dtype=dtype)


def example_from_dict(
    stored: Mapping[str, Any], draw: Callable[[tuple[int, ...], torch.dtype], Tensor] = _zeros
) -> Example:
    """An example like the stored one.

    Args:
        stored: What `example_to_dict` wrote.
        draw: Makes a float tensor from size and type; zeros unless told otherwise.
    """
    args = tuple(_decode(item, draw) for item in stored["args"])
    return Example(args, {k: _decode(v, draw) for k, v in stored["kwargs"].items()})


def _encode(item: Any) -> Any:
    if isinstance(item, Tensor):
        stored: dict[str, Any] = {"shape": list(item.shape), "dtype": str(item.dtype)[6:]}
        if not item.is_floating_point() and not item.is_complex() and item.numel() <= MAX_STORED:
            stored["elements"] = item.detach().cpu().flatten().tolist()
        return {"tensor": stored}
    if isinstance(item, Mapping):
        return {"dict": {key: _encode(value) for key, value in item.items()}}
    if isinstance(item, tuple):
        return {"tuple": [_encode(value) for value in item]}
    if isinstance(item, list):
        return {"list": [_encode(value) for value in item]}
    if item is None or isinstance(item, (bool, int, float, str)):
        return {"plain": item}
    raise GraphError(
        f"`example` must hold tensors, numbers, strings and nested lists of them (got a {type(item).__name__})."
    )


def _decode(stored: Any, draw: Callable[[tuple[int, ...], torch.dtype], Tensor]) -> Any:
    ((kind, item),) = stored.items()
    if kind == "tensor":
        shape, dtype = tuple(item["shape"]), getattr(torch, item["dtype"])
        if "elements" in item:
            return torch.tensor(item["elements"], dtype=dtype).reshape(shape)
        return draw(shape, dtype)
    if kind == "dict":
        return {key: _decode(value, draw) for key, value in item.items()}
    if kind == "tuple":
        return tuple(_decode(value, draw) for value in item)
    if kind == "list":
        return [_decode(value, draw) for value in item]
    return item


def what_it_takes(model: nn.Module, example: Example) -> str:
    """What a model needs instead of an example that it can't run on, as sentences for an error.

    Args:
        model: Its first layer with a weight, in the order of registration, says what it takes.
        example: What it couldn't run on; of several tensors nothing is known.
    """
    name, layer = next(((n, m) for n, m in model.named_modules() if "weight" in m._parameters), ("", model))
    tensors = [tensor for _, tensor in example.tensors()]
    given = tensors[0] if len(tensors) == 1 else None
    weight = layer._parameters.get("weight")
    if given is None or weight is None:
        return "Give inputs as the model takes them."
    dtype = str(weight.dtype)[6:]
    called = f"`{name}` ({type(layer).__name__})" if name else f"`{type(layer).__name__}`"
    wrong = given.dtype != weight.dtype
    if isinstance(layer, nn.modules.conv._ConvNd):
        shape = (2, layer.in_channels, *(given.shape[-weight.ndim + 2 :] if given.ndim >= weight.ndim - 1 else ()))
        sizes = ", ".join(map(str, shape[2:])) or ", ".join(("height", "width", "depth")[: weight.ndim - 2])
        takes = f"(N, {layer.in_channels}, {', '.join(('D', 'H', 'W')[5 - weight.ndim :])}) {dtype}"
        give = f"torch.zeros(2, {layer.in_channels}, {sizes}, dtype={weight.dtype})"
        wrong = wrong or given.ndim != weight.ndim or given.shape[1] != layer.in_channels
    elif isinstance(layer, nn.Linear):
        takes = f"(N, ..., {layer.in_features}) {dtype}"
        give = f"torch.zeros(2, {layer.in_features}, dtype={weight.dtype})"
        wrong = wrong or given.shape[-1:] != (layer.in_features,)
    elif isinstance(layer, nn.Embedding):
        takes = f"whole numbers from 0 to {layer.num_embeddings - 1}"
        give = f"torch.zeros({', '.join(map(str, given.shape))}, dtype=torch.int64)"
        wrong = given.dtype not in (torch.int64, torch.int32)
    else:
        return "Give inputs as the model takes them."
    if not wrong:
        return "Give inputs of the size and type that the model was made for."
    return f"Its first layer, {called}, takes {takes}. Give such inputs: {give}."
