"""Statistics of Q_n = diag(p_n) - p_n p_n^T: from given probabilities, or from those of random wide networks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from linnet.errors import InputError


@dataclass(frozen=True)
class SoftmaxStatistics:
    """What the softmax Fisher spectrum needs to know of the probabilities.

    Attributes:
        trace: E tr Q_n = 1 - E sum_k p_k^2.
        trace_square: E tr Q_n^2.
        cross: E tr Q_n Q_m over different samples.
        largest_variance: max_k E p_k (1 - p_k).
        eigenvalues: The C - 1 non-zero eigenvalues of E_n Q_n, descending.
        spread: Their standard deviations between networks; zeros where the probabilities are one network's own.
        networks: How many were drawn; 1 where the probabilities were given.
    """

    trace: float
    trace_square: float
    cross: float
    largest_variance: float
    eigenvalues: Tensor
    spread: Tensor
    networks: int


def statistics_of(p: Tensor) -> SoftmaxStatistics:
    """Of one network's probabilities.

    Args:
        p: (N, C), rows that add up to 1.

    Raises:
        InputError: they aren't probabilities.
    """
    if not isinstance(p, Tensor):
        raise InputError(f"`probs` must be a tensor of probabilities (N, C) (got {type(p).__name__}).")
    if p.ndim != 2 or p.shape[1] < 2 or not bool(((p >= 0) & (p <= 1)).all()) or not _sums_to_one(p):
        raise InputError(
            f"`probs` must be probabilities (N, C) of 2 classes or more, each row adding up to 1 (got shape "
            f"{tuple(p.shape)}). Use model(x).softmax(1)."
        )
    return _summary(p.detach().double().cpu().unsqueeze(0))


def drawn_statistics(
    q1: float, q2: float, samples: int, classes: int, *, networks: int, rng_seed: int
) -> SoftmaxStatistics:
    """Of wide random networks, whose outputs are normal with variance q1 and covariance q2 between samples.

    f_n = sqrt(q2) z_0 + sqrt(q1 - q2) z_n: z_0, one vector for all samples of a network, makes the classes unequal.
    Ordered eigenvalues are averaged over the networks.

    Args:
        q1: E f_k(x)^2.
        q2: E f_k(x) f_k(x').
        samples: N of a network.
        classes: C.
        networks: How many.
        rng_seed: Of the draws.
    """
    generator = torch.Generator().manual_seed(rng_seed)
    shared = torch.randn(networks, 1, classes, generator=generator, dtype=torch.float64)
    own = torch.randn(networks, samples, classes, generator=generator, dtype=torch.float64)
    f = max(q2, 0.0) ** 0.5 * shared + max(q1 - q2, 0.0) ** 0.5 * own
    return _summary(f.softmax(-1))


def _summary(p: Tensor) -> SoftmaxStatistics:
    """Of probabilities (networks, N, C)."""
    networks, samples, classes = p.shape
    squares = p.square().sum(-1)
    mean_p = p.mean(1)
    mean_q = torch.diag_embed(mean_p) - p.transpose(1, 2) @ p / samples
    eigenvalues = torch.linalg.eigvalsh(mean_q).flip(1)[:, : classes - 1]
    # tr Q^2 = sum p^2 - 2 sum p^3 + (sum p^2)^2
    trace_square = (squares - 2 * p.pow(3).sum(-1) + squares.square()).mean(1)
    cross = (samples * mean_q.square().sum((1, 2)) - trace_square) / max(samples - 1, 1)
    spread = eigenvalues.std(0) if networks > 1 else torch.zeros(classes - 1, dtype=p.dtype)
    return SoftmaxStatistics(
        trace=float((1 - squares).mean()),
        trace_square=float(trace_square.mean()),
        cross=float(cross.mean()),
        largest_variance=float((p * (1 - p)).mean(1).max(1).values.mean()),
        eigenvalues=eigenvalues.mean(0),
        spread=spread,
        networks=networks,
    )


def _sums_to_one(p: Tensor) -> bool:
    return bool(((p.double().sum(1) - 1).abs() < 1e-3).all())
