"""Hooks on a network: those of this package, which no copy takes along, and those of others, which belong to it."""

from __future__ import annotations

import copy
import functools
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from torch import Tensor, nn

FORWARD = ("_forward_pre_hooks", "_forward_hooks")
FLAGS = ("_forward_pre_hooks_with_kwargs", "_forward_hooks_with_kwargs", "_forward_hooks_always_called")
CONTAINERS = (list, dict, set, deque)
HookKey = tuple[str, str, int]
"""(module path, table of hooks, place among those hooks of others)."""


class Companion:
    """What works on one network through hooks: no copy of the network takes it along.

    A hook that is a bound method of a companion is left out of the copies that `module_copy.rebuild` makes, and out of
    those that `copy.deepcopy` makes after `plain_copies`.
    """


def is_companion(hook: Any) -> bool:
    """Whether a hook belongs to a `Companion`."""
    return isinstance(getattr(hook, "__self__", None), Companion)


def is_ours(hook: Any) -> bool:
    """Whether a hook was defined by this package."""
    function = hook.func if isinstance(hook, functools.partial) else hook
    return str(getattr(function, "__module__", "")).partition(".")[0] == __name__.partition(".")[0]


def forward_hooks(model: nn.Module) -> Iterator[tuple[HookKey, OrderedDict[int, Any], int]]:
    """The hooks of others that a forward pass calls.

    Args:
        model: Any module.

    Yields:
        (key, the table that holds the hook, its number there).
    """
    for path, module in model.named_modules():
        for kind in FORWARD:
            table = getattr(module, kind)
            others = [number for number, hook in table.items() if not is_ours(hook)]
            yield from (((path, kind, place), table, number) for place, number in enumerate(others))


def without(model: nn.Module, keys: Collection[HookKey]) -> nn.Module:
    """The given network, after taking some forward hooks of others off it."""
    if keys:
        for key, table, number in list(forward_hooks(model)):
            if key in keys:
                del table[number]
    return model


def rebound(hook: Any, memo: Mapping[int, Any], *, private: bool) -> Any:
    """A hook of a copied network: what it knows of the network is the copy's.

    Args:
        hook: A function, a bound method, a `functools.partial` or another callable.
        memo: id of the network's modules and tensors -> those of the copy.
        private: Whether its lists and dicts are copied, so that a trial run leaves nothing in the caller's.

    Returns:
        The hook itself where nothing changes.
    """

    def swapped(item: Any) -> Any:
        if isinstance(item, (nn.Module, Tensor)):
            return memo.get(id(item), item)
        return copy.copy(item) if private and isinstance(item, CONTAINERS) else item

    if isinstance(hook, types.MethodType):
        owner = swapped(hook.__self__)
        owner = _own(owner, swapped) if private and owner is hook.__self__ else owner
        return hook if owner is hook.__self__ else types.MethodType(hook.__func__, owner)
    if isinstance(hook, functools.partial):
        return functools.partial(
            rebound(hook.func, memo, private=private),
            *map(swapped, hook.args),
            **{name: swapped(item) for name, item in hook.keywords.items()},
        )
    if isinstance(hook, types.FunctionType):
        return _rebound_function(hook, swapped)
    return _own(hook, swapped) if private else hook


def _rebound_function(hook: types.FunctionType, swapped: Callable[[Any], Any]) -> types.FunctionType:
    cells = tuple(_cell(cell, swapped) for cell in hook.__closure__ or ())
    defaults = tuple(map(swapped, hook.__defaults__ or ()))
    named = {name: swapped(item) for name, item in (hook.__kwdefaults__ or {}).items()}
    before = [*(hook.__closure__ or ()), *(hook.__defaults__ or ()), *(hook.__kwdefaults__ or {}).values()]
    if all(old is new for old, new in zip(before, [*cells, *defaults, *named.values()], strict=True)):
        return hook
    made = types.FunctionType(hook.__code__, hook.__globals__, hook.__name__, defaults or None, cells)
    made.__kwdefaults__ = named or None
    return functools.update_wrapper(made, hook)  # type: ignore[return-value]


def _cell(cell: types.CellType, swapped: Callable[[Any], Any]) -> types.CellType:
    try:
        held = cell.cell_contents
    except ValueError:  # nothing was assigned yet
        return cell
    new = swapped(held)
    return cell if new is held else types.CellType(new)


def _own(item: Any, swapped: Callable[[Any], Any]) -> Any:
    """A shallow copy of an object whose lists and dicts are copied too; modules and what can't be copied stay."""
    if isinstance(item, (nn.Module, type)) or not hasattr(item, "__dict__"):
        return item
    made = copy.copy(item)
    made.__dict__.update({name: swapped(held) for name, held in vars(item).items()})
    return made


def plain_copies(module: nn.Module) -> None:
    """From now on `copy.deepcopy` of a module leaves the hooks of companions out."""
    module.__dict__["__deepcopy__"] = _PlainCopy(module)


def usual_copies(module: nn.Module) -> None:
    """`copy.deepcopy` of a module copies everything again."""
    module.__dict__.pop("__deepcopy__", None)


class _PlainCopy:
    """The `__deepcopy__` of one module: its own, without the hooks of companions."""

    def __init__(self, module: nn.Module):
        self.module = module

    def __call__(self, memo: dict[int, Any]) -> Any:
        own = self.module.__dict__.pop("__deepcopy__")
        try:
            left = {n for kind in FORWARD for n, hook in getattr(self.module, kind).items() if is_companion(hook)}
            for kind in (*FORWARD, *FLAGS):
                table = getattr(self.module, kind)
                if left & set(table) and id(table) not in memo:
                    memo[id(table)] = plain = OrderedDict()  # known before a hook's own network is copied
                    plain.update(copy.deepcopy({n: hook for n, hook in table.items() if n not in left}, memo))
            return copy.deepcopy(self.module, memo)
        finally:
            self.module.__dict__["__deepcopy__"] = own
