"""The cost of a network beside torch's FlopCounterMode: equal counts, and the time to get them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.goal import bounded, time_ratio
from benchmarks.sidebyside import Side
from linnet.core import Cost, cost
from linnet.models import create
from linnet.results import Record


def records(*, quick: bool) -> list[Record]:
    """All rows of this part."""
    pairs = 3 if quick else 15
    found: list[Record] = []
    for name, model, shape in _networks(quick=quick):
        x = torch.zeros(1, *shape)

        def theirs(model: nn.Module = model, x: Tensor = x) -> int:
            with FlopCounterMode(display=False) as counter:
                model(x)
            return counter.get_total_flops()

        sides = (
            Side("linnet", lambda model=model, x=x: cost(model, x), _macs),
            Side("FlopCounterMode", theirs, lambda flops: int(str(flops)) // 2),
        )
        found.append(time_ratio(f"core.cost.{name}", f"cost of {name}", *sides, goal=0.5, pairs=pairs))
        difference = abs(cost(model, x).macs - theirs() / 2)
        facts = {"bound": 0, "goal": "0", "beside": "FlopCounterMode / 2", "unit": "MAC"}
        found.append(bounded(f"core.cost_difference.{name}", f"MACs of {name}, difference", difference, **facts))
    return found


def _networks(*, quick: bool) -> list[tuple[str, nn.Module, tuple[int, ...]]]:
    side = 16 if quick else 224
    return [
        ("resnet", create("resnet", input_shape=(3, side, side)).eval(), (3, side, side)),
        ("small_unet", create("small_unet").eval(), (3, 64, 64) if quick else (3, 256, 256)),
    ]


def _macs(outcome: object) -> int:
    assert isinstance(outcome, Cost)
    return outcome.macs
