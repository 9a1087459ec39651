"""Outputs of networks: their sizes, whether those of all members are equal, and whether they fit a task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.program.example import Example
from linnet.core.program.recorder import leaves
from linnet.ensemble.arguments import running
from linnet.errors import InputError

Sizes = Mapping[str, tuple[int, ...]]
"""Name -> sizes of each output tensor: {"output": (1, 10)}, or {"output[0]": ..., "output[1]": ...} of a pair."""


def sizes_of(output: Any) -> dict[str, tuple[int, ...]]:
    """Sizes of every tensor of an output, by name."""
    return {name: tuple(leaf.shape) for name, leaf in leaves(output, "output")}


def require_equal(outputs: Sequence[Any]) -> None:
    """Refuses outputs of members that differ in their sizes.

    Args:
        outputs: What each member gives on the same inputs.

    Raises:
        InputError: two of them differ; both members are named.
    """
    require_equal_sizes([sizes_of(one) for one in outputs])


def require_equal_sizes(sizes: Sequence[Sizes]) -> None:
    """As `require_equal`, of sizes that are known already."""
    other = next((k for k, one in enumerate(sizes) if one != sizes[0]), None)
    if other is not None:
        raise InputError(
            f"`members` must have equal outputs, tensors of the same shape (members[0] gives {_shown(sizes[0])}, "
            f"members[{other}] {_shown(sizes[other])}). Give networks with the same number of outputs."
        )


def require_fitting(argument: str, sizes: Sizes, task: str) -> None:
    """Refuses outputs that an ensemble of this task can't pool.

    Args:
        argument: The network's name, for the error.
        sizes: Of its outputs.
        task: "classification", "regression" or "dense".

    Raises:
        InputError: they are no logits, or for a regression neither values nor a pair (mean, log variance).
    """
    shapes = list(sizes.values())
    if task == "regression":
        pair = set(sizes) == {"output[0]", "output[1]"} and shapes[0] == shapes[1]
        if set(sizes) != {"output"} and not pair:
            raise InputError(
                f"`{argument}` must give one tensor, or a pair (mean, log variance) of equal sizes (got "
                f"{_shown(sizes)}). Wrap it in a module that does."
            )
        return
    if set(sizes) != {"output"}:
        raise InputError(
            f"`{argument}` must give one tensor of logits (got {_shown(sizes)}). Wrap it in a module that returns the "
            'logits alone, or say task="regression" for a pair (mean, log variance).'
        )
    shape: tuple[int, ...] = sizes["output"]
    if len(shape) > 2 and task == "classification":
        raise InputError(f"`task` must be 'dense' for logits of shape {shape} (got 'classification').")
    if len(shape) < (3 if task == "dense" else 2) or sizes["output"][1] < 2:
        wanted = "(samples, classes, height, width)" if task == "dense" else "(samples, classes)"
        raise InputError(
            f"`{argument}` must give logits of shape {wanted}, of 2 classes or more (got {shape}). Give the `task` "
            "that it was trained for, or a two-class network two logits."
        )


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Eval mode inside, every module's own mode afterwards; what is no module is left alone."""
    modes = {module: module.training for module in model.modules()} if isinstance(model, nn.Module) else {}
    try:
        if modes:
            model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def require_members(members: Sequence[nn.Module], example: Any, task: str) -> None:
    """Refuses members that can't run on an example, whose outputs differ, or that don't fit the task.

    Args:
        members: Asked in eval mode, without gradients; their modes are restored.
        example: A tensor, a tuple of arguments or a dict of keyword arguments.
        task: Of the ensemble.

    Raises:
        InputError: one of these.
    """
    given = Example.of(example)
    sizes = []
    for member in members:
        with evaluating(member), torch.no_grad(), running("example", member, example):
            sizes.append(sizes_of(member(*given.args, **given.kwargs)))
    require_equal_sizes(sizes)
    require_fitting("members[0]", sizes[0], task)


def require_networks(members: Any) -> list[nn.Module]:
    """The members as a list.

    Raises:
        InputError: they are no networks, one network whose layers would be taken for members, or one network twice.
    """
    if isinstance(members, nn.Module) and not isinstance(members, nn.ModuleList):
        raise InputError(
            f"`members` must be a list of networks (got one {type(members).__name__}). Give [network] for an ensemble "
            "of one, or make members of it: linnet.ensemble.hatch(network, example, members=5)."
        )
    if not isinstance(members, Iterable) or isinstance(members, (str, Mapping)):
        raise InputError(f"`members` must be a list of networks (got {members!r}).")
    networks = list(members)
    if not networks or not all(isinstance(member, nn.Module) for member in networks):
        raise InputError(f"`members` must be one torch.nn.Module or more (got {len(networks)} items).")
    for place, network in enumerate(networks):
        first = next(k for k, other in enumerate(networks) if other is network)
        if first != place:
            raise InputError(
                f"`members` must be different networks (members[{first}] and members[{place}] are one "
                f"{type(network).__name__} object). Give each member weights of its own: train "
                "copy.deepcopy(network) on, or use linnet.ensemble.hatch(network, example)."
            )
    return networks


def _shown(sizes: Sizes) -> str:
    """The sizes alone where there is one output, else each with its name."""
    if set(sizes) == {"output"}:
        return str(sizes["output"])
    return ", ".join(f"{name} {shape}" for name, shape in sizes.items()) or "no tensor"


def joined(outputs: Sequence[Any]) -> Any:
    """(M, N, ...): outputs of members along a new first axis; of pairs, each part.

    Raises:
        InputError: their sizes differ.
    """
    require_equal(outputs)
    if isinstance(outputs[0], Tensor):
        return torch.stack(list(outputs))
    return tuple(torch.stack(parts) for parts in zip(*outputs, strict=True))
