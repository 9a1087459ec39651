"""A number that was estimated from independent probes, with its standard error."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A mean over independent probes.

    Attributes:
        value: The estimate.
        standard_error: Standard deviation of the probes divided by the square root of their number.
        probes: How many.
    """

    value: float
    standard_error: float
    probes: int

    @classmethod
    def of(cls, samples: Tensor, *, offset: float = 0.0) -> Self:
        """The mean of `samples` (k,), k >= 2, plus an exactly known part."""
        count = len(samples)
        return cls(offset + float(samples.mean()), float(samples.std()) / count**0.5, count)
