"""The freeze, rehearsed at the first step: what would fail then fails now, before half of a training is spent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from linnet.core.edit.edit_plan import plan
from linnet.core.edit.optimizer_state import next_state
from linnet.core.edit.resizing import apply, proved
from linnet.core.program import module_copy
from linnet.errors import LinnetError, TrainingError
from linnet.prune.allocate.widths import Selector
from linnet.prune.masks.masked_network import MaskedNetwork
from linnet.prune.training.averages import refuse_untold

Call = tuple[tuple[Any, ...], dict[str, Any]]


def rehearse(
    network: MaskedNetwork, selector: Selector, optimizers: Sequence[torch.optim.Optimizer], call: Call | None
) -> bool:
    """Makes every class narrower by one unit, on copies: plan, proof in both modes, optimizers' state, a forward pass.

    Args:
        network: The network with its masks; nothing of it changes.
        selector: Width allocation, which knows the units.
        optimizers: The loop's, when they must follow.
        call: Arguments of the loop's own forward pass.

    Returns:
        False where nothing can be said yet, because a weight isn't finite.

    Raises:
        ProofError: a narrower network wouldn't be the masked one.
        OptimizerStateError: an optimizer's state couldn't follow.
        TrainingError: the narrower network can't run on the loop's own batch, or an average of it wasn't told.
    """
    model = network.model
    if optimizers:
        refuse_untold(model, network.also)
    if not all(bool(torch.isfinite(p).all()) for p in model.parameters() if p.is_floating_point()):
        return False
    multiplicity = _one_unit_less(network, selector)
    if not multiplicity:
        return True
    with network.lifted():
        try:
            edit = plan(model, network.graph, multiplicity, even=bool(optimizers))
            made = [apply(one, edit) for one in (model, *network.also)]
            for optimizer in optimizers:
                next_state(optimizer, model, made[0], edit)
            for old, new in zip((model, *network.also), made, strict=True):
                proved(old, new, edit, network.graph)
        except LinnetError as error:
            raise type(error)(f"{error} (Found at the first step, where the freeze is rehearsed.)") from error
    if call is not None:
        _run(made[0], call)
    return True


def _one_unit_less(network: MaskedNetwork, selector: Selector) -> dict[str, list[int]]:
    found = {}
    for group, allowed in zip(selector.free, selector.allowed, strict=True):
        for name in group.classes:
            size = int(network.alive[network.slices[name]].sum())
            narrower = allowed[allowed < size]
            if len(narrower):
                found[name] = (np.arange(size) < narrower[-1]).astype(np.int64).tolist()
    return found


def _run(small: nn.Module, call: Call) -> None:
    """The loop's own forward pass with a narrower network, on a copy, so that no statistics change."""
    copied = module_copy.rebuild(small, lambda _, tensor: tensor.detach().clone(), hooks="forward")
    args, kwargs = call
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            copied.train(small.training)(*args, **kwargs)
    except Exception as error:  # whatever the user's forward raises
        raise TrainingError(
            f"The network can't run on this loop's batch once it is narrower: {error} Freeze what depends on the "
            "number of channels there: Pruner(..., frozen=[...]). (Found at the first step, where the freeze is "
            "rehearsed.)"
        ) from error
