"""Checks at construction and at the first step: a Pruner refuses arguments and networks that it can't work with."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from linnet.arrays import Bools
from linnet.core import ChannelGraph
from linnet.core.distributed import gathered
from linnet.errors import InputError, LinnetError, TrainingError
from linnet.prune.budget import Budget
from linnet.prune.masks.masks import Masks

Compaction = Literal["auto", "progressive", False]


def require_arguments(budget: Any, align: Any, also: Any) -> None:
    """Raises unless the arguments are of the kinds that are needed.

    Raises:
        InputError: one isn't; it is named.
    """
    if not isinstance(budget, Budget):
        raise InputError(f"`budget` must be a Budget, such as Budget(macs=0.5) (got {budget!r}).")
    if isinstance(align, bool) or not isinstance(align, int):
        raise InputError(f"`align` must be a whole number (got {align!r}).")
    if isinstance(also, nn.Module) or not all(isinstance(one, nn.Module) for one in also):
        raise InputError("`also` must be a list of networks: also=[average].")


def require_compaction(compact: Any, retire: int, budget: Budget) -> None:
    """Raises unless the network can be made smaller in this way.

    Raises:
        InputError: the argument that is wrong.
    """
    if compact is True or compact not in get_args(Compaction):
        raise InputError(f"`compact` must be 'auto', 'progressive' or False (got {compact!r}).")
    if retire < 1:
        raise InputError(f"`retire` must be a whole number of updates of the mask, >= 1 (got {retire}).")
    if compact == "progressive" and budget.latency_ms is not None:
        raise InputError(
            "`compact` must be 'auto' with `latency_ms` (got 'progressive'): a latency is measured of whole "
            "networks at the freeze, when parts would be gone already."
        )


def require_alive(needed: Bools, alive: Bools, *, compacted: bool) -> None:
    """Raises where a saved state needs channels that this pruner's network has lost.

    Raises:
        TrainingError: it does.
    """
    if compacted or (needed & ~alive).any():
        raise TrainingError(
            "This pruner's network has already become smaller, and the state needs channels that are gone. Make "
            "network, optimizer and pruner anew, then load."
        )


def require_one_pruner(model: nn.Module) -> None:
    """Raises if a network carries the hooks of a pruner.

    Raises:
        InputError: it does.
    """
    for module in model.modules():
        if any(isinstance(getattr(hook, "__self__", None), Masks) for hook in module._forward_pre_hooks.values()):
            raise InputError(
                "This network already has a pruner. Call `pruner.remove()` first, or use a copy of the network, or the "
                "one that `finish` returns."
            )


def twins(also: Sequence[nn.Module]) -> list[nn.Module]:
    """The networks of `also`; of an average of weights the network that it holds."""
    return [one.module if isinstance(one, AveragedModel) else one for one in also]


def untrained(model: nn.Module, graph: ChannelGraph) -> dict[str, str]:
    """Classes whose weights are all without `requires_grad`, with that reason."""
    found = {}
    for name, known in graph.classes.items():
        made = {slot.tensor for slot in known.slots if slot.role == "produce"} & set(graph.program.parameters)
        if made and not any(model.get_parameter(tensor).requires_grad for tensor in made):
            found[name] = (
                "its weights don't train (`requires_grad` is False), so its channels' importance isn't measured"
            )
    return found


def require_twins(graph: ChannelGraph, also: Sequence[nn.Module]) -> None:
    """Raises unless the networks of `also` can become small with the pruned one.

    Raises:
        InputError: which can't.
    """
    for number, twin in enumerate(also):
        try:
            graph.check(twin)
        except LinnetError as error:
            raise InputError(
                f"`also[{number}]` ({type(twin).__name__}) must have the pruned network's structure: {error} Give "
                "copies of the network itself, such as the module inside an average."
            ) from error


def optimizers_of(given: Any) -> list[torch.optim.Optimizer]:
    """The optimizers of a loop, without wrappers such as accelerate's.

    Raises:
        InputError: something is no optimizer.
    """
    found = []
    for one in given if isinstance(given, (list, tuple)) else [given]:
        inner = one
        while isinstance(getattr(inner, "optimizer", None), torch.optim.Optimizer):
            inner = inner.optimizer
        if not isinstance(inner, torch.optim.Optimizer):
            raise InputError(f"`optimizer` must be the optimizer of this training loop (got a {type(one).__name__}).")
        found.append(inner)
    if not found:
        raise InputError("`optimizer` must be the optimizer of this training loop (got none).")
    return found


def require_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module, *, shrinks: bool) -> None:
    """Raises unless an optimizer can follow the network.

    Args:
        optimizer: The given optimizer.
        model: The network.
        shrinks: Whether it becomes smaller in training.

    Raises:
        TrainingError: it holds no parameter of the network, or, where the network shrinks, others as well.
    """
    own = {id(parameter) for parameter in model.parameters()}
    held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    foreign = sum(parameter not in own for parameter in held)
    if foreign == len(held):
        raise TrainingError(
            "The optimizer holds no parameter of the pruned network. Give the optimizer of this training loop."
        )
    if foreign and shrinks:
        raise TrainingError(
            f"The optimizer holds {foreign} parameters that aren't the pruned network's, so its state can't follow "
            "when the network becomes smaller. Give those their own optimizer, or keep the masks until `finish`: "
            "Pruner(..., compact=False)."
        )


def require_agreement(what: str, words: str, remedy: str) -> None:
    """Compares what every process of the run holds; called by all of them at the same point.

    Args:
        what: What is compared, for the message.
        words: This process's value, exact as text.
        remedy: What to do when they differ.

    Raises:
        TrainingError: on every process, with the ranks that differ from rank 0.
    """
    digest = torch.frombuffer(bytearray(hashlib.sha256(words.encode()).digest()), dtype=torch.uint8)
    first, *others = gathered(digest)
    apart = [rank for rank, other in enumerate(others, start=1) if not torch.equal(first, other)]
    if apart:
        ranks = ", ".join(str(rank) for rank in apart)
        raise TrainingError(
            f"All processes must prune alike, but {what} of {'rank' if len(apart) == 1 else 'ranks'} {ranks} "
            f"differ from rank 0's (here: {words[:200]}). {remedy}"
        )


def require_same_masks(step: int, kept: Bools) -> None:
    """Raises unless every process of the run masks the same channels, bool (channels,)."""
    require_agreement(
        "the masks",
        f"step {step}: {np.packbits(kept).tobytes().hex()}",
        "Call `pruner.step` on every process after every update, and begin from the same weights.",
    )


REMEDY = (
    "Make the Pruner before the first compiled call; or, if another network of this class was compiled, call "
    "torch.compiler.reset() before Pruner(...)"
)


def refuse_compiled(model: nn.Module) -> None:
    """Raises when torch has already compiled and run the code of a network.

    Torch keeps what it compiled by code, not by object, and doesn't look at hooks when it uses it again: a second
    network of the same class would run without its masks as well.

    Args:
        model: The unwrapped network.

    Raises:
        TrainingError: with the module and the remedy.
    """
    dynamo: Any = sys.modules.get("torch._dynamo.eval_frame")  # not loaded: nothing was compiled
    kept = getattr(dynamo, "_debug_get_cache_entry_list", None)
    if kept is None:
        return
    for path, module in model.named_modules():
        code = getattr(type(module).forward, "__code__", None)
        if code is not None and any(_may_serve(entry, code, module) for entry in kept(code)):
            name = type(module).__name__
            raise TrainingError(
                f"`{path or name}` ({name}) was compiled by torch and called before, so new hooks would be ignored "
                f"and nothing masked. {REMEDY}."
            )


def _may_serve(entry: Any, code: Any, module: nn.Module) -> bool:
    """Whether compiled code may be used for a module: torch's own conditions on the module aren't known to fail.

    Conditions on hooks don't count, since hooks are about to be put on the module.
    """
    own, *others = code.co_varnames[: code.co_argcount] or ("",)
    given = {own: module, **{name: torch.empty(0) for name in others}}
    try:
        answer = entry.guard_manager.check_verbose(given)
    except Exception:  # another version of torch, whose conditions can't be asked for
        return True
    failed = " ".join(map(str, answer.verbose_code_parts))
    return bool(answer.result) or f"L['{own}']" not in failed or "_hooks" in failed


def require_own(state: Any, own: Mapping[str, Any]) -> None:
    """Raises unless a state is one that a pruner of this network could have given.

    Args:
        state: The given state.
        own: The pruner's present state.

    Raises:
        TrainingError: it is another network's, or something is missing or of another kind.
    """
    sizes = state.get("sizes") if isinstance(state, Mapping) else None
    if sizes != own["sizes"]:
        given = type(state).__name__ if sizes is None else sizes
        raise TrainingError(
            f"`state` must come from a pruner of this network and budget, whose classes are {own['sizes']} (got "
            f"{given}). Make the pruner from the same network, with the same `align` and `keep`."
        )
    asked = str(state.get("asked", own["asked"]))
    if asked != own["asked"]:
        raise TrainingError(
            f"`state` must come from a pruner with the same budget and options ({_differing(asked, own['asked'])}). "
            "Make the Pruner with the same arguments, then load."
        )
    _require_alike(state, own, "")


def _differing(given: str, own: str) -> str:
    """The first words that two descriptions of options don't share: "it has steps=20, this pruner steps=10"."""
    pairs = zip_longest(*(re.split(r"[(,)]\s*", text) for text in (given, own)), fillvalue="nothing")
    theirs, ours = next(pair for pair in pairs if pair[0] != pair[1])
    return f"it has {theirs}, this pruner {ours}"


def _require_alike(state: Any, own: Any, path: str) -> None:
    if isinstance(own, Mapping) and isinstance(state, Mapping):
        for key in own.keys() - state.keys():
            raise TrainingError(
                f"The pruner's state lacks `{path}{key}`: it was cut, or written by another version. Give the "
                "whole result of `state_dict`, or begin without it."
            )
        for key in own:
            _require_alike(state[key], own[key], f"{path}{key}.")
        return
    if isinstance(own, torch.Tensor):
        fits = isinstance(state, torch.Tensor) and state.shape == own.shape and state.dtype == own.dtype
        if fits and not (own.is_floating_point() and not bool(torch.isfinite(state).all())):
            return
    elif isinstance(own, (int, float)) and not isinstance(own, bool):
        if isinstance(state, (int, float)):
            return
    elif isinstance(state, list if isinstance(own, (list, tuple)) else type(own)):
        return
    raise TrainingError(
        f"`{path[:-1]}` of the pruner's state must be {_kind(own)} (got {_kind(state)}). Give the whole result of "
        "`state_dict`, or begin without it."
    )


def _kind(value: Any) -> str:
    if not isinstance(value, torch.Tensor):
        return f"a {type(value).__name__}"
    finite = "" if not value.is_floating_point() or bool(torch.isfinite(value).all()) else " with NaN or infinity"
    return f"a tensor of size {tuple(value.shape)} {str(value.dtype)[6:]}{finite}"
