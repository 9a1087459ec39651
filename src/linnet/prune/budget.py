"""Budget: the allowed cost of the small network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from linnet.arrays import Ints
from linnet.core.channels.width_cost import WidthCost
from linnet.errors import BudgetError

Runtime = Literal["onnxruntime", "torch"]
"""The runtime that a latency is measured with: the exported network in onnxruntime, or the module in torch."""

LIMITS = ("macs", "params", "bytes", "peak_activation_bytes", "latency_ms")


@dataclass(frozen=True)
class Budget:
    """Limits on the cost of one sample; the pruned network keeps all of them.

    A value in (0, 1] is the fraction of the given network's cost that may be kept, a value above 1 an absolute amount;
    `latency_ms` is always absolute.

    Attributes:
        macs: Multiply-accumulates.
        params: Parameter elements.
        bytes: Bytes of parameters and buffers.
        peak_activation_bytes: Most bytes of activations alive at once.
        latency_ms: Milliseconds of one call on this machine's CPU, measured: the best of 30 calls.
        batch: Samples in that call.
        threads: Threads of that call.
        runtime: The runtime of that call.

    Raises:
        BudgetError: no limit is given, one isn't a positive number, or `batch`, `threads` or `runtime` can't be used.

    Example:
        >>> Budget(macs=0.238, params=0.059).limits({"macs": 1000, "params": 500})
        {'macs': 238, 'params': 29}
    """

    macs: float | None = None
    params: float | None = None
    bytes: float | None = None
    peak_activation_bytes: float | None = None
    latency_ms: float | None = None
    batch: int = 1
    threads: int = 1
    runtime: Runtime = "onnxruntime"

    def __post_init__(self) -> None:
        given = self.given()
        if not given:
            names = ", ".join(f"`{name}`" for name in LIMITS)
            raise BudgetError(f"A budget needs at least one limit, of {names} (got none): Budget(macs=0.5).")
        for name, value in given.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value <= 0:
                wanted = (
                    "a positive number of milliseconds"
                    if name == "latency_ms"
                    else "a fraction in (0, 1] of the given network's cost, or an absolute amount above 1"
                )
                raise BudgetError(f"`{name}` must be {wanted} (got {value!r}).")
        for name in ("batch", "threads"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise BudgetError(f"`{name}` must be a whole number >= 1 (got {value!r}).")
        if self.runtime not in get_args(Runtime):
            raise BudgetError(f"`runtime` must be one of {', '.join(get_args(Runtime))} (got {self.runtime!r}).")

    def given(self) -> dict[str, float]:
        """The limits that are set."""
        return {name: value for name in LIMITS if (value := getattr(self, name)) is not None}

    def limits(self, dense: Mapping[str, int]) -> dict[str, int]:
        """The limits that can be counted, as absolute whole numbers: all but `latency_ms`.

        Args:
            dense: Cost of the given network by name of the limit.
        """
        return {
            name: math.floor(value * dense[name]) if value <= 1 else math.floor(value)
            for name, value in self.given().items()
            if name != "latency_ms"
        }

    def __str__(self) -> str:
        words = [f"{name} <= {_amount(value)}" for name, value in self.given().items() if name != "latency_ms"]
        if self.latency_ms is not None:
            threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
            words.append(f"latency_ms <= {self.latency_ms:g} ({self.runtime}, batch {self.batch}, {threads})")
        return ", ".join(words)


def _amount(value: float) -> str:
    return f"{value:.4g} of the given network's" if value <= 1 else f"{value:,.0f}"


def within(
    totals: Ints, limits: Mapping[str, int], columns: tuple[str, ...] = WidthCost.columns
) -> npt.NDArray[np.bool_]:
    """Whether each trial keeps every limit.

    Args:
        totals: int64 (trials, costs), as `WidthCost.totals` gives them.
        limits: Name of the cost -> most of it.
        columns: Names of the costs.

    Returns:
        bool (trials,).
    """
    places = [columns.index(name) for name in limits]
    return np.all(totals[:, places] <= np.array([limits[name] for name in limits]), axis=1)
