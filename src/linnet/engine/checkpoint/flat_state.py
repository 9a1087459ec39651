"""Nested state (of an optimizer, a listener) as flat tensors and JSON, and back, exactly. So no pickle is needed."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from linnet.errors import CheckpointError


def flatten(state: Any, prefix: str) -> tuple[dict[str, Tensor], Any]:
    """Splits nested state into its tensors and a JSON value that says where they go.

    Args:
        state: Tensors, numbers, strings, None, and dicts, lists and tuples of such. Dict keys are strings or integers.
        prefix: Of the tensors' names: "optimizer" gives "optimizer.0", "optimizer.1", ...

    Returns:
        (tensors by name, skeleton). The skeleton is plain JSON; what JSON lacks is written as `{"tuple": [...]}`,
        `{"map": [[key, value], ...]}`, `{"float": "nan"}`, `{"tensor": name}`; `{"strided": [name, strides]}` is a
        tensor whose memory isn't in the order of its axes: products of it round otherwise than those of a copy that is.

    Raises:
        CheckpointError: the state holds a value of another type; its type is named.
    """
    tensors: dict[str, Tensor] = {}

    def walk(value: Any) -> Any:
        if isinstance(value, Tensor):
            name = f"{prefix}.{len(tensors)}"
            tensors[name] = value.detach()
            return {"tensor": name} if _plainly_laid(value) else {"strided": [name, list(value.stride())]}
        if isinstance(value, Mapping):
            return {"map": [[walk(key), walk(item)] for key, item in value.items()]}
        if isinstance(value, tuple):
            return {"tuple": [walk(item) for item in value]}
        if isinstance(value, list):
            return [walk(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": repr(value)}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise CheckpointError(
            f"The state of `{prefix}` must hold tensors, numbers, strings, None, and dicts, lists and tuples of "
            f"them (got a {type(value).__name__})."
        )

    return tensors, walk(state)


def unflatten(skeleton: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The nested state that `flatten` took apart.

    Args:
        skeleton: The JSON value.
        tensors: The tensors by name; more than needed may be in it.

    Raises:
        CheckpointError: the skeleton names a tensor that isn't there, or `flatten` didn't make it.
    """
    if isinstance(skeleton, list):
        return [unflatten(item, tensors) for item in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    try:
        ((kind, content),) = skeleton.items()
        return _REBUILD[kind](content, tensors)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"The checkpoint's state {str(skeleton)[:60]} can't be read: {error!r}.") from error


def _plainly_laid(tensor: Tensor) -> bool:
    """Whether a file keeps the layout: tensors with gaps or overlaps (slices, expanded ones) become plain."""
    return tensor.is_contiguous() or not torch.ops.aten.is_non_overlapping_and_dense(tensor)


def _laid_out(tensor: Tensor, strides: list[int]) -> Tensor:
    return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype, device=tensor.device).copy_(tensor)


_REBUILD = {
    "tensor": lambda name, tensors: tensors[name],
    "strided": lambda content, tensors: _laid_out(tensors[content[0]], content[1]),
    "map": lambda pairs, tensors: {unflatten(k, tensors): unflatten(v, tensors) for k, v in pairs},
    "tuple": lambda items, tensors: tuple(unflatten(item, tensors) for item in items),
    "float": lambda text, tensors: float(text),
}


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Loads an optimizer's state and keeps the dtype of every state tensor.

    torch's own `load_state_dict` casts floating state to the parameter's dtype, so that float32 moments of bfloat16
    weights would lose bits on resume.

    Args:
        optimizer: Over the same parameters in the same order.
        state: What its `state_dict` gave.

    Raises:
        CheckpointError: the state doesn't fit the optimizer.
    """
    try:
        optimizer.load_state_dict(state)
    except (ValueError, KeyError) as error:
        raise CheckpointError(
            f"The optimizer's state must be that of this {type(optimizer).__name__}: {error}."
        ) from error
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, saved in state["state"].items():
        loaded = optimizer.state[parameters[index]]
        for key, value in saved.items():
            if isinstance(value, Tensor) and value.dtype != loaded[key].dtype:
                loaded[key] = value.to(loaded[key].device)
