"""How large the study is: images, widths, epochs, seeds and the rates that are tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

BINARIZED_RATES = (0.01, 0.03, 0.1, 0.2, 0.4)
FLOAT_RATES = (0.001, 0.003, 0.01, 0.03, 0.1)


BALANCED = ("deeppcb", "magnetic_tile")
"""Sets of two classes, scored by the mean of both classes' recalls, and by the area under the ROC curve beside it."""


@dataclass(frozen=True)
class Scale:
    """One size of the study.

    Attributes:
        name: On the command line.
        sets: Of "gratings" (synthetic), "mnist", "deeppcb" (circuit boards) and "magnetic_tile".
        widths: Channels of the first convolution; the second has twice as many.
        images: Training images of gratings and of mnist; the inspection sets are taken whole.
        held_out: Images that rates are chosen on, likewise.
        test_images: Looked at once a network, likewise.
        steps: Updates of every training, rounded up to whole epochs.
        seeds: Of the comparison.
        rates: How many of the five rates are tried, from the middle; learning rates are tuned for each set, type and
            width.
        mapped: Seeds whose networks are mapped to LUTs.
        workers: Processes of one thread.
    """

    name: str
    sets: tuple[str, ...]
    widths: tuple[int, ...]
    images: int
    held_out: int
    test_images: int
    steps: int
    seeds: int
    rates: int
    mapped: int
    workers: int

    def rates_of(self, kind: str) -> tuple[float, ...]:
        """The rates that are tried for a type of layer: the middle ones where not all are."""
        every = FLOAT_RATES if kind == "float" else BINARIZED_RATES
        start = (len(every) - self.rates) // 2
        return every[start : start + self.rates]


INSPECTION = ("mnist", "deeppcb", "magnetic_tile")
SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "smoke": Scale("smoke", ("gratings",), (4,), 120, 60, 60, 4, 2, 1, 0, 0),
        "cpu": Scale("cpu", INSPECTION, (4, 8), 4000, 2000, 8000, 160, 5, 5, 1, 2),
        "gpu": Scale("gpu", INSPECTION, (4, 8, 16, 32), 50000, 10000, 8000, 10000, 10, 5, 1, 4),
    }
)
