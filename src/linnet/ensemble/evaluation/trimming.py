"""Trimming: the fewest members that are as good as all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linnet.ensemble.arguments import positive_number
from linnet.ensemble.calibration.scaling import newton_inverse_temperature
from linnet.ensemble.metrics.answers import class_labels, rows
from linnet.ensemble.prediction.shapes import refuse_probabilities, require_class_logits, require_finite


@dataclass(frozen=True)
class Trimmed:
    """A choice of members.

    Attributes:
        kept: Their numbers, the most useful first.
        nll: Calibrated negative log-likelihood after each further member of `kept`.
        full_nll: That of all members.
    """

    kept: tuple[int, ...]
    nll: tuple[float, ...]
    full_nll: float


def trim(member_logits: Tensor, labels: Any, *, tolerance: float = 0.001) -> Trimmed:
    """The smallest subset of members whose calibrated NLL is within a tolerance of all members', greedily.

    The best member comes first, then always the one that lowers the calibrated NLL most, until it is at most
    full NLL + tolerance. Each subset is pooled and gets its own temperature.

    Args:
        member_logits: (M, N, C), or dense; of validation data.
        labels: (N,) or dense.
        tolerance: In nats, 0 or more.

    Raises:
        InputError: `tolerance` is negative, labels don't fit, or logits are probabilities or not finite.

    Source:
        Caruana et al. 2004 (greedy selection); without replacement: linnet's choice.
    """
    positive_number("tolerance", tolerance, zero=True, remedy="Give it in nats, like 0.001.")
    require_class_logits("member_logits", member_logits)
    require_finite(member_logits, "logits")
    refuse_probabilities("member_logits", member_logits)
    logs = [torch.from_numpy(np.ascontiguousarray(rows(one.numpy()))) for one in _log_probs(member_logits)]
    truth = torch.from_numpy(class_labels("labels", labels, samples=len(logs[0]), classes=logs[0].shape[1]))
    full = _calibrated_nll(torch.stack(logs), truth)
    kept: list[int] = []
    scores: list[float] = []
    while not scores or scores[-1] > full + tolerance:
        rest = [number for number in range(len(logs)) if number not in kept]
        if not rest:
            break
        tried = {number: _calibrated_nll(torch.stack([logs[k] for k in (*kept, number)]), truth) for number in rest}
        best = min(tried, key=lambda number: tried[number])
        kept.append(best)
        scores.append(tried[best])
    return Trimmed(tuple(kept), tuple(scores), full)


def _log_probs(member_logits: Tensor) -> Tensor:
    return member_logits.detach().double().cpu().log_softmax(dim=2)


def _calibrated_nll(log_probs: Tensor, labels: Tensor) -> float:
    pooled = log_probs.logsumexp(dim=0) - math.log(len(log_probs))
    tempered = (newton_inverse_temperature(pooled, labels) * pooled).log_softmax(dim=1)
    return -float(tempered[torch.arange(len(labels)), labels].mean())
