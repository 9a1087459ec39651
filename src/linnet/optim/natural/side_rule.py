"""The side rule: parameters that have no curvature follow Adam or Padam, at a rate chosen for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from linnet.optim.padam.padam import Padam

Uncovered = Literal["raise", "gradient", "adam", "padam"]
RULES = ("adam", "padam")
SIDE_LR = {"adam": 1e-3, "padam": 0.1}  # of torch's AdamW and of Padam


class SideRule:
    """Steps of AdamW or Padam for those parameters of another optimizer that it leaves to them.

    Their state stands in that optimizer's, beside its own, so that it is saved and resized with it.

    Args:
        owner: The optimizer; its groups have "lr", "side_lr", "side_base" (its "lr" at construction) and
            "weight_decay"; "side_base" is written here where it is missing.
    """

    def __init__(self, owner: torch.optim.Optimizer) -> None:
        self._owner = owner
        for group in owner.param_groups:
            group.setdefault("side_base", float(group["lr"]))

    @torch.no_grad()
    def step(self, side: Mapping[str, Tensor], parameters: Mapping[str, Tensor], rule: str) -> None:
        """One step, as long as "side_lr" times the share of its first height that "lr" has now.

        Args:
            side: Parameter name -> gradient; the others stay as they are.
            parameters: Name -> parameter.
            rule: "adam" or "padam".
        """
        gradients, groups = {id(parameters[name]): g for name, g in side.items()}, []
        for group in self._owner.param_groups:
            chosen = [p for p in group["params"] if id(p) in gradients]
            if chosen:
                share = float(group["lr"]) / group["side_base"] if group["side_base"] else 1.0
                lr = group["side_lr"] * share
                groups.append({"params": chosen, "lr": lr, "weight_decay": group["weight_decay"]})
        if not groups:
            return
        inner = torch.optim.AdamW(groups) if rule == "adam" else Padam(groups, decoupled=True)
        inner.state = self._owner.state
        before = {p: p.grad for group in groups for p in group["params"]}
        try:
            for p in before:
                if "exp_avg" not in inner.state[p]:
                    inner.state[p].clear()
                p.grad = gradients[id(p)].to(p.dtype)
            inner.step()
        finally:
            for p, grad in before.items():
                p.grad = grad


def side_rate(side_lr: Any, uncovered: Any) -> float:
    """The rate that was given, or the rule's own; 0 where there is no rule."""
    return SIDE_LR.get(uncovered, 0.0) if side_lr is None else side_lr
