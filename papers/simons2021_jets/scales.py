"""How large the study is: images, widths, epochs, seeds and the rates that are tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

BINARIZED_RATES = (0.01, 0.03, 0.1, 0.2, 0.4)
FLOAT_RATES = (0.001, 0.003, 0.01, 0.03, 0.1)


@dataclass(frozen=True)
class Scale:
    """One size of the study.

    Attributes:
        name: On the command line.
        data: "gratings" (synthetic) or "mnist".
        widths: Channels of the first convolution; the second has twice as many.
        images: Training images.
        held_out: Images of the training set that rates are chosen on.
        test_images: Looked at once a network.
        epochs: Of every training.
        seeds: Of the comparison.
        rates: How many of the five rates are tried, from the middle; learning rates are tuned for each type and width.
        workers: Processes of one thread.
    """

    name: str
    data: str
    widths: tuple[int, ...]
    images: int
    held_out: int
    test_images: int
    epochs: int
    seeds: int
    rates: int
    workers: int

    def rates_of(self, kind: str) -> tuple[float, ...]:
        """The rates that are tried for a type of layer: the middle ones where not all are."""
        every = FLOAT_RATES if kind == "float" else BINARIZED_RATES
        start = (len(every) - self.rates) // 2
        return every[start : start + self.rates]


SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "smoke": Scale("smoke", "gratings", (4,), 120, 60, 60, 2, 2, 1, 0),
        "cpu": Scale("cpu", "mnist", (4, 8), 4000, 2000, 8000, 4, 5, 5, 1),
        "gpu": Scale("gpu", "mnist", (4, 8, 16, 32), 50000, 10000, 8000, 20, 10, 5, 4),
    }
)
