"""A network in one file: its tensors and its edits. Loaded into a fresh instance of the same class.

The header keeps, for each tensor, the size it had before any edit, so that a file is only put into the network that it
was made from; the edits' plan gives the fresh instance the sizes and attributes of the saved one.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from linnet.core.edit.resizing import Resized
from linnet.core.program import module_copy
from linnet.engine.files.tensor_file import Kind, kind_of, read_tensors, write_tensors
from linnet.errors import CheckpointError, InputError


@runtime_checkable
class KeepsFacts(Protocol):
    """A module with state beside its tensors, as plain data that goes into the file's header."""

    def saved_facts(self) -> dict[str, Any]:
        """That state, as JSON holds it."""
        ...

    def take_facts(self, facts: Mapping[str, Any]) -> None:
        """Takes it back; empty for a file that was written before there was any."""
        ...


NETWORK = Kind("network")
"""What `save` writes; for `linnet.engine.files.tensor_file.read_tensors`."""


def save(model: nn.Module, path: str | os.PathLike[str]) -> Path:
    """Writes a network's parameters and persistent buffers, and the plan of its edits, in one safetensors file.

    The file is written whole or not at all, has a SHA-256 over everything, stores tied weights once, and holds no
    pickle.

    Args:
        model: Any module, resized or not; wrappers (DDP, compiled) are taken off.
        path: The file; its folder must exist.

    Returns:
        The path.

    Raises:
        InputError: `model` isn't a module, or `path` isn't a path.
        CheckpointError: it can't be written, or the model holds state that isn't a tensor; an earlier file stays as it
            was.

    Example:
        >>> from linnet.engine import load, save
        >>> net = torch.nn.Linear(2, 1)
        >>> path = save(net, tmp_path / "net.safetensors")
        >>> torch.equal(load(torch.nn.Linear(2, 1), path).weight, net.weight)
        True
    """
    _require_model(model, path, "save(model, path)")
    model = module_copy.unwrap(model)
    tensors = _state(model, path)
    return write_tensors(path, tensors, _facts(model, tensors), NETWORK)


def network_facts(model: nn.Module) -> dict[str, Any]:
    """The facts that `load` needs besides the tensors: class, sizes before any edit, the edits' plan.

    A file of another kind that has them among its facts, as `"network"`, is one that `load` reads too.

    Args:
        model: The network whose state dict goes into the file.
    """
    return _facts(model, _state(model, "the file"))


def _facts(model: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    edit = _edit(model)
    return {
        "class": type(model).__qualname__,
        "base": _base_sizes(tensors, {} if edit is None else edit.base),
        "plan": None if edit is None else _to_json(edit),
        "own": {path: m.saved_facts() for path, m in model.named_modules() if isinstance(m, KeepsFacts)},
    }


def load(model: nn.Module, path: str | os.PathLike[str], *, strict_class: bool = True) -> Any:
    """A new network with the sizes and values of a saved one.

    Args:
        model: A fresh instance of the saved network's class, as it was before any edit. It is only read.
        path: What `save` wrote, or the weights of a recipe's run.
        strict_class: Whether the class must have the saved one's name; names and sizes of tensors must fit anyway.

    Returns:
        A new module of `model`'s class, in its mode and on its device (CPU for the meta device), in the saved types. A
        module that keeps facts beside its tensors takes them back: a HatchEnsemble its prediction sets, and the mode
        that it was saved in.

    Raises:
        InputError: `model` isn't a module, or `path` isn't a path.
        CheckpointError: the file isn't whole, isn't a network's, is of another class or network, or its plan doesn't
            fit its tensors. Nothing is built before everything has been checked.
    """
    _require_model(model, path, "load(model, path)")
    path = Path(path)
    model = module_copy.unwrap(model)
    tensors, facts = _read(path)
    if _edit(model) is not None:
        raise CheckpointError(
            f"{path}: `model` must be a fresh {type(model).__name__} of base size (got a resized one)."
        )
    if strict_class and facts["class"] != type(model).__qualname__:
        raise CheckpointError(
            f"{path}: the file must hold a {type(model).__qualname__} (got a {facts['class']}). Give a fresh "
            f"{facts['class']}, or allow another name with strict_class=False."
        )
    own = _state(model, path)
    _check_names(path, own, tensors)
    _check_base(path, own, facts["base"])
    edit = None if facts["plan"] is None else _from_json(facts["plan"])
    _check_plan(path, model, tensors, facts["base"], edit)
    _check_ties(path, own, tensors)
    new = _built(model, tensors, edit)
    for name, module in new.named_modules():
        if isinstance(module, KeepsFacts):
            module.take_facts(facts.get("own", {}).get(name, {}))
    return new


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of a network's file, or of one of another kind that has a network's facts in it."""
    kind = kind_of(path) if path.is_file() else None
    if kind not in (None, NETWORK.name):
        tensors, facts = read_tensors(path, Kind(kind))
        if "network" in facts:
            return tensors, facts["network"]
    return read_tensors(path, NETWORK)


def _require_model(model: Any, path: Any, call: str) -> None:
    if isinstance(path, nn.Module):
        raise InputError(f"`path` must be the path of a file (got a {type(path).__name__}). The order is {call}.")
    if not isinstance(model, nn.Module):
        raise InputError(f"`model` must be a torch.nn.Module (got a {type(model).__name__}): {call}.")
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"`path` must be the path of a file (got a {type(path).__name__}): {call}.")


def _state(model: nn.Module, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name, tied ones under each of their names."""
    state = model.state_dict(keep_vars=True)
    known = {name for name, _ in model.named_parameters(remove_duplicate=False)}
    known |= {name for name, _ in model.named_buffers(remove_duplicate=False)}
    for name, value in state.items():
        if name not in known or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: `{name}` of {type(model).__name__} must be a parameter or a buffer (got a "
                f"{type(value).__name__}). Register it as a buffer."
            )
    return state


def _base_sizes(tensors: Mapping[str, Tensor], before: Mapping[str, tuple[int, ...]]) -> dict[str, list[int]]:
    """The size that each tensor had before any edit; the plan knows a tied one by its first name."""
    first: dict[int, str] = {}
    for name, tensor in tensors.items():
        first.setdefault(id(tensor), name)
    return {name: list(before.get(first[id(t)], t.shape)) for name, t in tensors.items()}


def _edit(model: nn.Module) -> Resized | None:
    """The network's edits; of a network that holds edited ones (an ensemble), all of theirs by their full names."""
    edits = {path: edit for path, m in model.named_modules() if isinstance(edit := _own(m), Resized)}
    if "" in edits or not edits:
        return edits.get("")
    joined = Resized(max(edit.error for edit in edits.values()))
    for path, edit in edits.items():
        joined.base |= {f"{path}.{name}": size for name, size in edit.base.items()}
        joined.attributes |= {f"{path}.{name}".rstrip("."): changes for name, changes in edit.attributes.items()}
        joined.buffers |= {f"{path}.{name}": axes for name, axes in edit.buffers.items()}
        joined.approximate |= edit.approximate
    return joined


def _own(module: nn.Module) -> Any:
    return getattr(module, "linnet_edit", None)


def _to_json(edit: Resized) -> dict[str, Any]:
    plan = dataclasses.asdict(edit)
    plan["error"] = None if math.isnan(edit.error) else edit.error
    plan["buffers"] = {n: {str(axis): index for axis, index in axes.items()} for n, axes in edit.buffers.items()}
    return plan


def _from_json(plan: Mapping[str, Any]) -> Resized:
    attributes = {
        path: {name: tuple(v) if isinstance(v, list) else v for name, v in changes.items()}
        for path, changes in plan["attributes"].items()
    }
    return Resized(
        math.nan if plan["error"] is None else plan["error"],
        {name: tuple(shape) for name, shape in plan["base"].items()},
        attributes,
        plan["approximate"],
        {name: {int(axis): list(index) for axis, index in axes.items()} for name, axes in plan["buffers"].items()},
        plan["multiplicity"],
        plan.get("example", {}),
    )


def _check_names(path: Path, own: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> None:
    missing = [name for name in own if name not in stored]
    foreign = [name for name in stored if name not in own]
    if missing or foreign:
        words = [f"lacks `{name}`" for name in missing[:2]] + [
            f"holds `{name}`, which the model lacks" for name in foreign[:2]
        ]
        raise CheckpointError(
            f"{path}: the file must have the model's tensors, but it {' and '.join(words)} ({len(missing)} "
            f"missing, {len(foreign)} foreign). Build the model as the saved one was built."
        )


def _check_base(path: Path, own: Mapping[str, Tensor], base: Mapping[str, Any]) -> None:
    for name, tensor in own.items():
        if list(tensor.shape) != base.get(name):
            raise CheckpointError(
                f"{path}: `{name}` must have the size {tuple(base.get(name, ()))} that it had before any edit (got "
                f"{tuple(tensor.shape)} in the model). Build the model with the sizes of the saved one (outputs, "
                "widths)."
            )


def _check_plan(
    path: Path, model: nn.Module, stored: Mapping[str, Tensor], base: Mapping[str, Any], edit: Resized | None
) -> None:
    """Checks that every size that differs is in the plan, and that the plan's tensors are there."""
    changed = set() if edit is None else set(edit.base)
    for name, tensor in stored.items():
        planned = name in changed or any(stored[other] is tensor for other in changed if other in stored)
        if list(tensor.shape) != base[name] and (not planned or tensor.ndim != len(base[name])):
            raise CheckpointError(
                f"{path}: `{name}` is stored with size {tuple(tensor.shape)}, but its plan says "
                f"{tuple(base[name])}. The file contradicts itself; save the network again."
            )
    if edit is None:
        return
    modules = dict(model.named_modules())
    for module, changes in edit.attributes.items():
        for name, value in changes.items():
            if module not in modules or not isinstance(getattr(modules[module], name, None), type(value)):
                raise CheckpointError(
                    f"{path}: the plan sets `{module}.{name}` to {value!r}, but the model has no such "
                    f"{type(value).__name__}. Build the model as the saved one was built."
                )


def _check_ties(path: Path, own: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> None:
    first: dict[int, str] = {}
    for name, tensor in own.items():
        known = first.setdefault(id(tensor), name)
        if stored[known] is not stored[name] and not torch.equal(stored[known], stored[name]):
            raise CheckpointError(
                f"{path}: `{name}` and `{known}` are one tensor in the model but two in the file. Untie them in "
                "the model, or save the network with them tied."
            )


def _built(model: nn.Module, stored: Mapping[str, Tensor], edit: Resized | None) -> nn.Module:
    """The new module: stored values, and the model's own non-persistent buffers cut as the plan says."""
    buffers = {} if edit is None else edit.buffers

    def tensor(name: str, old: Tensor) -> Tensor:
        device = "cpu" if old.device.type == "meta" else old.device
        if name in stored:
            return stored[name].to(device)
        new = old.detach()
        for axis, index in buffers.get(name, {}).items():
            new = new.index_select(axis, torch.tensor(index, device=new.device))
        return new.clone()

    new = module_copy.rebuild(model, tensor, hooks="own")
    if edit is not None:
        module_copy.set_attributes(new, edit.attributes)
        new.linnet_edit = edit  # type: ignore[assignment]
    return new
