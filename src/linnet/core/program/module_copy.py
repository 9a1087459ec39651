"""A model without its weights: the same modules around empty tensors, to be run for shapes only.

`deepcopy` is told beforehand what each tensor becomes, so no weight is copied and the given model is never touched.
"""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.ao.quantization import FakeQuantizeBase, ObserverBase
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy

from linnet.core.program.companions import FORWARD, is_companion, is_ours, rebound
from linnet.errors import GraphError

logger = logging.getLogger(__name__)

ATOMS = frozenset([bool, int, float, str, type(None), torch.dtype, torch.device])
REGISTERED = ("_parameters", "_buffers", "_modules")
COPYING = frozenset(["__deepcopy__", "__getstate__", "__setstate__", "__reduce__", "__reduce_ex__", "__slots__"])
HOOKS = (
    "_backward_hooks",
    "_backward_pre_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)
NO_ATTRIBUTES = frozenset([*REGISTERED, *HOOKS, "_non_persistent_buffers_set"])
Hooks = Literal["none", "own", "forward"]
"""Which hooks a copy shares with its model: none; all but those of `Companion`s; or, to be run, those that a forward
pass calls, without any of this package."""


def unwrap(model: nn.Module) -> nn.Module:
    """The plain module inside `DistributedDataParallel`, `DataParallel` or a compiled module.

    Args:
        model: Any module.

    Returns:
        The innermost original module; the model itself when nothing wraps it.
    """
    wrappers = (nn.parallel.DistributedDataParallel, nn.DataParallel)
    while True:
        inner = model.module if isinstance(model, wrappers) else getattr(model, "_orig_mod", None)
        if not isinstance(inner, nn.Module):
            return model
        logger.info("%s is unwrapped: its inner %s is used", type(model).__name__, type(inner).__name__)
        model = inner


def refuse_unfit(model: nn.Module) -> None:
    """Raise for modules whose tensors aren't what their forward computes with.

    Args:
        model: An unwrapped module.

    Raises:
        GraphError: a lazy, pruned, quantised or scripted module, or a complex parameter.
    """
    if not isinstance(model, nn.Module):
        raise GraphError(f"`model` must be a torch.nn.Module (got a {type(model).__name__}).")
    for path, module in model.named_modules():
        problem = _problem(module)
        if problem:
            raise GraphError(f"`{path or type(model).__name__}` ({type(module).__name__}) {problem}")
    for name, parameter in model.named_parameters():
        if parameter.is_complex():
            raise GraphError(f"`{name}` must be real (got {parameter.dtype}). Store real and imaginary parts.")


def _problem(module: nn.Module) -> str:
    if isinstance(module, LazyModuleMixin) and any(is_lazy(p) for p in module.parameters(recurse=False)):
        return "has no weights yet; run the model once on an example before building a graph."
    for hook in module._forward_pre_hooks.values():
        kind = f"{type(hook).__module__}.{type(hook).__name__}"
        if kind.startswith("torch.nn.utils.prune"):
            return "has weights masked by torch.nn.utils.prune; call torch.nn.utils.prune.remove(module, name) first."
    if isinstance(module, torch.jit.ScriptModule):
        return "is scripted; give the Python module that it was scripted from."
    if ".quantized" in type(module).__module__:
        return "is quantised; give the float model that it was made from."
    if ".qat" in type(module).__module__ or isinstance(module, (FakeQuantizeBase, ObserverBase)):
        return "is prepared for quantisation; edit the float model first, then prepare the edited one."
    return ""


def rebuild(
    model: nn.Module, tensor: Callable[[str, Tensor], Tensor], *, hooks: Hooks = "none", constant: str = "copy"
) -> nn.Module:
    """A new module of the same classes whose parameters and buffers are `tensor(name, old)`.

    Args:
        model: The module to follow; left as it is.
        tensor: What each parameter or buffer becomes, by its first dotted name. Ties are kept. Give a plain tensor: a
            parameter is wrapped again, with the old `requires_grad`.
        hooks: Which hooks the new module shares with the model.
        constant: What other tensor attributes become: "copy" (detached copies), "double" (those of floats in float64)
            or "meta" (empty).

    Returns:
        The new module, in the same mode.
    """
    memo: dict[int, Any] = {}
    for name, old in _tensors(model):
        if id(old) in memo:
            continue
        new = tensor(name, old)
        if isinstance(old, nn.Parameter) and not isinstance(new, nn.Parameter):
            new = nn.Parameter(new, requires_grad=old.requires_grad)
        memo[id(old)] = new
    kept: list[Any] = []
    for module in model.modules():
        shared = _shared(module, hooks)
        for kind in HOOKS:
            present = module.__dict__.get(kind)
            if present is not None:
                memo[id(present)] = OrderedDict((k, v) for k, v in present.items() if shared(kind, k))
        for item in _loose_tensors(module.__dict__):
            if id(item) not in memo:
                memo[id(item)] = _constant(item, constant)
                kept.append(item)
    _shells(model, memo)
    new = copy.deepcopy(model, memo)
    if hooks != "none":
        for module in new.modules():
            for kind in FORWARD:
                table = getattr(module, kind)
                table.update({n: rebound(hook, memo, private=hooks == "forward") for n, hook in table.items()})
    return new


def _constant(tensor: Tensor, become: str) -> Tensor:
    if become == "meta":
        return tensor.detach().to("meta")
    floats = become == "double" and tensor.is_floating_point()
    return tensor.detach().double() if floats else tensor.detach().clone()


def _shared(module: nn.Module, hooks: Hooks) -> Callable[[str, int], bool]:
    """(table of hooks, number) -> whether a copy of the module gets that hook."""
    if hooks == "none":
        return lambda *_: False
    leave = is_companion if hooks == "own" else is_ours
    held = {number: hook for kind in FORWARD for number, hook in getattr(module, kind, {}).items()}
    out = {number for number, hook in held.items() if leave(hook)}
    if hooks == "own":
        return lambda _, number: number not in out
    return lambda kind, number: kind.startswith("_forward") and number not in out


def _shells(model: nn.Module, memo: dict[int, Any]) -> None:
    """Copies of all modules as torch's own way of copying gives them, put into deepcopy's memo; five times as fast.

    Where some module's class says how it is copied or pickled, all is left to deepcopy.
    """
    modules = [module for module in model.modules() if id(module) not in memo]
    if not all(map(_plainly_copied, {type(module) for module in modules})):
        return
    for module in modules:
        memo[id(module)] = object.__new__(type(module))
    later: list[tuple[dict[str, Any], str, Any]] = []
    for module in modules:
        state = memo[id(module)].__dict__
        for key, value in module.__dict__.items():
            if type(value) in ATOMS:
                state[key] = value
            elif key in REGISTERED and type(value) in (dict, OrderedDict):
                state[key] = type(value)((k, memo.get(id(v))) for k, v in value.items())
            else:
                state[key] = None  # keeps the order
                later.append((state, key, value))
        state.pop("_compiled_call_impl", None)  # a copy is eager
        state.pop("__deepcopy__", None)  # a companion's, see `plain_copies`
    for state, key, value in later:
        if key in state:
            state[key] = _copied(value, memo)


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    known = memo.get(id(value))
    if known is not None:
        return known
    kind = type(value)
    if kind in ATOMS:
        return value
    if kind in (tuple, list, set) and all(type(item) in ATOMS for item in value):
        return value if kind is tuple else kind(value)
    return copy.deepcopy(value, memo)


def _plainly_copied(kind: type) -> bool:
    """Whether instances are copied attribute by attribute: torch's own `__setstate__`s only fill in missing ones."""
    if issubclass(kind, nn.RNNBase):  # holds weak references to its weights
        return False
    for base in kind.__mro__[:-1]:
        if not base.__module__.startswith("torch.nn.modules.") and not COPYING.isdisjoint(base.__dict__):
            return False
    return True


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _loose_tensors(tree: Any, depth: int = 0) -> Iterator[Tensor]:
    """Tensors in plain attributes (not registered): in dicts, lists, tuples and sets, a few levels deep."""
    if isinstance(tree, Tensor):
        yield tree
    elif depth < 4:
        if isinstance(tree, Mapping):
            skip = NO_ATTRIBUTES if depth == 0 else ()
            for key, item in tree.items():
                if type(item) not in ATOMS and key not in skip:
                    yield from _loose_tensors(item, depth + 1)
        elif isinstance(tree, (list, tuple, set, frozenset)):
            for item in tree:
                yield from _loose_tensors(item, depth + 1)


def meta(
    model: nn.Module,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    attributes: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    hooks: Hooks = "none",
) -> nn.Module:
    """The weightless copy: every tensor empty on the meta device, in eval mode.

    Args:
        model: The module to follow; left as it is.
        shapes: Dotted name -> size, where it differs from the model's own.
        attributes: Module path -> attributes, where they differ.
        hooks: Which hooks it shares with the model.

    Returns:
        A module that computes shapes only.
    """
    shapes = shapes or {}

    def empty(name: str, old: Tensor) -> Tensor:
        return torch.empty(shapes.get(name, old.shape), dtype=old.dtype, device="meta")

    copy = rebuild(model, empty, hooks=hooks, constant="meta").eval()
    set_attributes(copy, attributes or {})
    return copy


def set_attributes(model: nn.Module, attributes: Mapping[str, Mapping[str, Any]]) -> None:
    """Set plain attributes of modules, by module path."""
    for path, changes in attributes.items():
        module = model.get_submodule(path)
        for name, value in changes.items():
            setattr(module, name, value)


def real(model: nn.Module, *, hooks: Hooks = "none") -> nn.Module:
    """A CPU copy with its weights, in eval mode."""
    return rebuild(model, lambda name, old: old.detach().to("cpu", copy=True), hooks=hooks).eval()
