"""Conformal: prediction sets that hold the true class in at least 1 - alpha of all cases."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from linnet.arrays import Floats
from linnet.ensemble.metrics.answers import array_of, class_labels, probabilities, rows
from linnet.errors import InputError
from linnet.suggest import one_of

Method = Literal["lac", "aps", "raps"]
METHODS = ("lac", "aps", "raps")


@dataclass(frozen=True)
class Conformal:
    """The threshold of prediction sets; make one with `Conformal.fit`.

    With scores s_i of the n calibration samples the threshold is their ceil((n + 1)(1 - alpha))-th smallest, and a set
    holds the classes whose score is at most that. For exchangeable data the true class is in the set in at least
    1 - alpha of all cases, on average over calibration sets.

        lac    s = 1 - p[y]
        aps    s = probability of the classes at least as likely as y, without u p[y], u uniform in [0, 1)
        raps   aps + penalty (rank of y - free ranks)+

    Attributes:
        threshold: Infinite where n is too small: all classes.
        alpha: Allowed share of misses.
        method: "lac", "aps" or "raps".
        penalty: Of each rank beyond `free_ranks`: lambda of raps.
        free_ranks: k of raps.
        randomised: Whether aps and raps draw u; with False u = 0, and sets are larger.
        rng_seed: Of u, which is drawn from a sample's own probabilities (to about 1 %): it doesn't depend on the
            other samples of a call.
        n: Calibration samples.

    Source:
        Sadinle, Lei & Wasserman 2019 (lac); Romano, Sesia & Candes 2020 (aps); Angelopoulos et al. 2021 (raps).

    Example:
        >>> import numpy as np
        >>> from linnet.ensemble import Conformal
        >>> probs, labels = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2]]), np.array([0, 0, 0])
        >>> Conformal.fit(probs, labels, alpha=0.25).sets(np.array([[0.7, 0.3], [0.5, 0.5]])).tolist()
        [[True, False], [False, False]]
    """

    threshold: float
    alpha: float
    method: Method = "lac"
    penalty: float = 0.01
    free_ranks: int = 5
    randomised: bool = True
    rng_seed: int = 0
    n: int = 0

    @classmethod
    def fit(
        cls,
        probs: Any,
        labels: Any,
        alpha: float = 0.1,
        method: Method = "lac",
        *,
        penalty: float = 0.01,
        free_ranks: int = 5,
        randomised: bool = True,
        too_few: Literal["refuse", "all"] = "refuse",
        rng_seed: int = 0,
    ) -> Conformal:
        """The threshold for new samples, from samples that were held out.

        Args:
            probs: (N, C), or dense (N, C, H, W), whose pixels become samples (they aren't exchangeable with the pixels
                of other images: the coverage is approximate).
            labels: (N,) or (N, H, W).
            alpha: Allowed share of misses, 0 < alpha < 1.
            method: "lac" (smallest sets), "aps" (sets that adapt to each sample) or "raps" (aps without long tails).
            penalty: See the class.
            free_ranks: See the class.
            randomised: See the class.
            too_few: What to do with fewer samples than 1 / alpha - 1, which say nothing: "refuse", or "all" classes.
            rng_seed: Of u.

        Raises:
            InputError: an argument is out of its range, or there are too few samples; the smallest n is named.
        """
        one_of("method", method, METHODS)
        one_of("too_few", too_few, ("refuse", "all"))
        if not (isinstance(alpha, (int, float)) and 0 < alpha < 1):
            raise InputError(f"`alpha` must be between 0 and 1 (got {alpha!r}). Give the share of misses, like 0.1.")
        if penalty < 0 or free_ranks < 0:
            raise InputError(f"`penalty` and `free_ranks` must be 0 or more (got {penalty} and {free_ranks}).")
        held = probabilities("probs", probs)
        truth = class_labels("labels", labels, samples=len(held), classes=held.shape[1])
        n = len(held)
        rank = n + 1 - math.floor((n + 1) * alpha + 1e-9)  # ceil((n + 1)(1 - alpha)), whole where the product is
        if rank > n and too_few == "refuse":
            raise InputError(
                f"`probs` must hold at least {smallest_n(alpha)} samples for `alpha` {alpha} (got {n}): with fewer "
                'every set holds all classes. Give more held-out samples, raise `alpha`, or say too_few="all".'
            )
        made = cls(math.inf, alpha, method, penalty, free_ranks, randomised, rng_seed, n)
        own = made._scores(held)[np.arange(n), truth]
        threshold = math.inf if rank > n else float(np.partition(own, rank - 1)[rank - 1])
        return cls(threshold, alpha, method, penalty, free_ranks, randomised, rng_seed, n)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain data; an infinite threshold is None."""
        return {**asdict(self), "threshold": self.threshold if math.isfinite(self.threshold) else None}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Conformal:
        """What `to_json` gave."""
        threshold = stored["threshold"]
        return cls(**{**stored, "threshold": math.inf if threshold is None else threshold})

    def sets(self, probs: Any) -> Any:
        """The classes of each sample's set.

        Args:
            probs: (N, C), or dense (N, C, H, W).

        Returns:
            Boolean, of the same shape; a tensor on its device for a tensor, else an array. A set may be empty: the
            sample is unlike those of the calibration.
        """
        within = self._scores(probabilities("probs", probs)) <= self.threshold
        shape = tuple(array_of(probs).shape)
        if len(shape) > 2:
            within = np.moveaxis(within.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
        if isinstance(probs, Tensor):
            return torch.from_numpy(np.ascontiguousarray(within)).to(probs.device)
        return within

    def coverage(self, probs: Any, labels: Any) -> tuple[float, float]:
        """(share of true classes inside of their sets, mean number of classes in a set)."""
        within = rows(array_of(self.sets(probs)))
        truth = class_labels("labels", labels, samples=len(within), classes=within.shape[1])
        return float(within[np.arange(len(truth)), truth].mean()), float(within.sum(axis=1).mean())

    def _scores(self, probs: Floats) -> Floats:
        """(N, C) score of every class; ties in probability stand in the order of the classes."""
        if self.method == "lac":
            return 1 - probs
        order = np.argsort(-probs, axis=1, kind="stable")
        place = np.argsort(order, axis=1, kind="stable")
        mass = np.take_along_axis(np.cumsum(np.take_along_axis(probs, order, axis=1), axis=1), place, axis=1)
        if self.randomised:
            mass = mass - _uniform(probs, self.rng_seed) * probs
        if self.method == "raps":
            mass = mass + self.penalty * np.maximum(place + 1 - self.free_ranks, 0)
        return mass


def _uniform(probs: Floats, rng_seed: int) -> Floats:
    """(N, 1) numbers in [0, 1), each a hash of its row: a multilinear one, then the mixing steps of SplitMix64."""
    keys = np.random.default_rng(rng_seed).integers(0, 2**64, 1 + probs.shape[1], dtype=np.uint64)
    rows = np.rint(100 * np.log(np.maximum(probs, 1e-300))).astype(np.int64).view(np.uint64)
    mixed = keys[0] + (rows * (keys[1:] | np.uint64(1))).sum(1, dtype=np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return (mixed >> np.uint64(11)).astype(np.float64)[:, None] / 2**53


def smallest_n(alpha: float) -> int:
    """Fewest calibration samples with which sets can leave classes out: ceil(1 / alpha) - 1."""
    return math.ceil(1 / alpha - 1e-9) - 1
