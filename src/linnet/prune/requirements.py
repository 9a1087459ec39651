"""Requirements: what a Pruner can't work with, told at construction or at the first step and not half-way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from linnet.core import ChannelGraph
from linnet.errors import InputError, LinnetError, TrainingError
from linnet.prune.budget import Budget
from linnet.prune.masks import Masks


def require_arguments(budget: Any, align: Any, also: Any) -> None:
    """Raises unless the arguments are of the kinds that are needed.

    Raises:
        InputError: which isn't.
    """
    if not isinstance(budget, Budget):
        raise InputError(f"`budget` is {budget!r}; a Budget is needed: Budget(macs=0.5).")
    if isinstance(align, bool) or not isinstance(align, int):
        raise InputError(f"`align` is {align!r}; a whole number is needed.")
    if isinstance(also, nn.Module) or not all(isinstance(one, nn.Module) for one in also):
        raise InputError("`also` needs a list of networks: also=[average].")


def require_one_pruner(model: nn.Module) -> None:
    """Raises if a network carries the hooks of a pruner.

    Raises:
        InputError: it does.
    """
    for module in model.modules():
        if any(isinstance(getattr(hook, "__self__", None), Masks) for hook in module._forward_pre_hooks.values()):
            raise InputError(
                "this network already has a pruner, or is a copy of one that has. Call `pruner.remove()` first; make "
                "copies before the Pruner, or take what `finish` gives."
            )


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
                f"`also[{number}]` ({type(twin).__name__}) isn't of the pruned network's structure: {error} Give "
                "copies of the network itself, such as the module inside an average."
            ) from error


def require_optimizer(optimizer: Any, model: nn.Module, *, shrinks: bool) -> None:
    """Raises unless an optimizer can follow the network.

    Args:
        optimizer: What came.
        model: The network.
        shrinks: Whether it becomes smaller in training.

    Raises:
        InputError: it is no optimizer.
        TrainingError: it holds no parameter of the network, or, where the network shrinks, others as well.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise InputError(f"`optimizer` is a {type(optimizer).__name__}; the optimizer of this training loop is needed.")
    own = {id(parameter) for parameter in model.parameters()}
    held = [id(parameter) for group in optimizer.param_groups for parameter in group["params"]]
    foreign = sum(parameter not in own for parameter in held)
    if foreign == len(held):
        raise TrainingError(
            "the optimizer holds no parameter of the pruned network; give the optimizer of this training loop."
        )
    if foreign and shrinks:
        raise TrainingError(
            f"the optimizer holds {foreign} parameters that aren't the pruned network's, so its state can't follow "
            "when the network becomes smaller. Give those an optimizer of their own, or keep the masks until `finish`: "
            "Pruner(..., compact=False)."
        )
