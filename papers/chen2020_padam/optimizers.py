"""The optimizers that are compared, each with the grid it is tuned on: twelve trials for every one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch.nn import Parameter

from linnet.engine import GroupSchedule, Listener
from linnet.optim import Padam
from papers.study import Fact

COUPLED, DECOUPLED = (1e-4, 1e-3), (1e-2, 1e-1)
"""Weight decays. Padam's decoupled decay has SGD's values, as its learning rates are of SGD's size."""


@dataclass(frozen=True)
class Row:
    """One optimizer of the comparison.

    Attributes:
        label: In tables.
        build: Makes it from parameters and keywords.
        grid: Two axes, 6 x 2 or 4 x 3 values; the first of them learning rates.
        fixed: Keywords that aren't tuned.
        end_p: For a p that moves: its value at the end; the learning rate moves along the ridge.
        shape: For a p that moves: how.
        baseline: The optimizer that it varies, for the comparison in words.
    """

    label: str
    build: Callable[..., torch.optim.Optimizer]
    grid: Mapping[str, tuple[float, ...]]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    end_p: float | None = None
    shape: str = "linear"
    baseline: str = "sgdm"

    def optimizer(self, parameters: Iterable[Parameter], settings: Mapping[str, Fact]) -> torch.optim.Optimizer:
        """The optimizer with the settings of a trial; those that are no keyword of it are left out."""
        names = (*self.grid, "p")
        chosen = {name: settings[name] for name in names if name in settings}
        return self.build(parameters, **{**self.fixed, **chosen})

    def listeners(self, gradient_scale: float | None) -> list[Listener]:
        """What moves p over the run, and the learning rate along the ridge that the gradient scale predicts."""
        if self.end_p is None:
            return []
        assert gradient_scale is not None
        gain = gradient_scale**-2
        return [GroupSchedule("p", self.fixed["p"], self.end_p, self.shape, lr_gain=gain)]  # type: ignore[arg-type]


def half_decades(lowest: float, count: int = 6) -> tuple[float, ...]:
    """Values lowest, sqrt(10) lowest, 10 lowest, ... with two digits: 0.01, 0.032, 0.1, ..."""
    return tuple(float(f"{lowest * 10 ** (index / 2):.1e}") for index in range(count))


def _sgd(parameters: Iterable[Parameter], **keywords: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, momentum=0.9, **keywords)


def _padam(label: str, p: float, lowest: float, *, baseline: str = "sgdm", **more: Any) -> Row:
    grid = {"lr": half_decades(lowest), "weight_decay": COUPLED}
    moves = {name: more.pop(name) for name in ("end_p", "shape") if name in more}
    return Row(label, Padam, grid, {"p": p, **more}, baseline=baseline, **moves)


def _adam(label: str, *, decays: tuple[float, ...] = COUPLED, kind: Any = torch.optim.Adam, **fixed: Any) -> Row:
    return Row(label, kind, {"lr": half_decades(3.2e-4), "weight_decay": decays}, fixed)


ROWS: Mapping[str, Row] = MappingProxyType(
    {
        "sgdm": Row("SGD, momentum 0.9", _sgd, {"lr": half_decades(1e-2), "weight_decay": COUPLED}),
        "adam": _adam("Adam"),
        "amsgrad": _adam("Amsgrad", amsgrad=True),
        "adamw": _adam("AdamW", decays=DECOUPLED, kind=torch.optim.AdamW),
        "adam_eps": Row(
            "Adam, tuned eps",
            torch.optim.Adam,
            {"lr": half_decades(3.2e-3, 4), "eps": (1e-4, 1e-3, 1e-2)},
            {"weight_decay": 1e-4},
        ),
        "padam_4": _padam("Padam, p = 1/4", 1 / 4, 3.2e-2),
        "padam_8": _padam("Padam, p = 1/8", 1 / 8, 1e-1),
        "padam_16": _padam("Padam, p = 1/16", 1 / 16, 1e-1),
        "padam_decoupled": _padam("Padam, p = 1/8, decoupled decay", 1 / 8, 1e-1, decoupled=True),
        "padam_linear": _padam("Padam, p from 1/4 to 0, linear", 1 / 4, 3.2e-2, end_p=0.0, baseline="padam_4"),
        "padam_step": _padam(
            "Padam, p from 1/4 to 0 at half", 1 / 4, 3.2e-2, end_p=0.0, shape="step", baseline="padam_4"
        ),
        "padam_power": _padam('Padam, p = 1/8, "power"', 1 / 8, 3.2e-2, bias_correction="power", baseline="padam_8"),
        "padam_none": _padam('Padam, p = 1/8, "none"', 1 / 8, 3.2e-2, bias_correction="none", baseline="padam_8"),
    }
)
"""All rows. The grids were placed after single runs on the validation part; edges are extended in the study itself."""
