"""ClassPrediction: pooled probabilities of classes and their uncertainty, for images or for every pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from linnet.ensemble.prediction.shapes import require_class_logits


class SetMaker(Protocol):
    """What turns probabilities into prediction sets; `Conformal` is one."""

    def sets(self, probs: Tensor) -> Tensor:
        """(N, C, ...) boolean, of probabilities of that shape."""
        ...


@dataclass(frozen=True)
class ClassPrediction:
    """What M members say about N inputs with C classes; everything is float64 and carries gradients.

        pooled     = mean_m p_m                            p_m = softmax of member m's logits
        entropy    = H(pooled)                             H(p) = -sum_c p_c log p_c, in nats, 0 log 0 = 0
        aleatoric  = mean_m H(p_m)                         what the members agree is random
        epistemic  = entropy - aleatoric                   what they disagree about (mutual information)
        probs      = softmax(log(pooled) / temperature)    calibrated; the pooled ones without a temperature

    The entropies are those of the uncalibrated members, also when there is a temperature, because a tempered pool has
    no such decomposition. Each property is computed when it is first used.

    Attributes:
        member_logits: (M, N, C), or (M, N, C, H, W) for dense predictions: the class axis comes after the samples.
        temperature: T > 0, a number or a scalar tensor; None: not calibrated.
        conformal: What makes prediction sets; None: `sets` is None.

    Raises:
        InputError: the logits have another number of axes, no member, or fewer than two classes.

    Source:
        Lakshminarayanan et al. 2017 (the pool); Depeweg et al. 2018 (the decomposition); Rahaman & Thiery 2021 (pool
        first, then one temperature).

    Example:
        >>> import torch
        >>> from linnet.ensemble import ClassPrediction
        >>> sure_and_unlike = ClassPrediction(torch.tensor([[[50.0, 0.0]], [[0.0, 50.0]]]))
        >>> [round(float(value), 3) for value in (sure_and_unlike.entropy, sure_and_unlike.aleatoric)]
        [0.693, 0.0]
    """

    member_logits: Tensor
    temperature: float | Tensor | None = None
    conformal: SetMaker | None = None

    def __post_init__(self) -> None:
        require_class_logits("member_logits", self.member_logits)

    @cached_property
    def member_log_probs(self) -> Tensor:
        """Logarithms of the members' probabilities, of the shape of `member_logits`."""
        return self.member_logits.double().log_softmax(dim=2)

    @cached_property
    def log_pooled(self) -> Tensor:
        """Logarithms of `pooled`, exact where the probabilities themselves underflow."""
        return self.member_log_probs.logsumexp(dim=0) - math.log(len(self.member_logits))

    @cached_property
    def log_probs(self) -> Tensor:
        """Logarithms of `probs`."""
        return self.log_pooled if self.temperature is None else (self.log_pooled / self.temperature).log_softmax(dim=1)

    @cached_property
    def probs(self) -> Tensor:
        """(N, C, ...): calibrated probabilities."""
        return self.log_probs.exp()

    @cached_property
    def pooled(self) -> Tensor:
        """(N, C, ...): mean of the members' probabilities."""
        return self.log_pooled.exp()

    @cached_property
    def member_probs(self) -> Tensor:
        """(M, N, C, ...): each member's probabilities."""
        return self.member_log_probs.exp()

    @cached_property
    def entropy(self) -> Tensor:
        """(N, ...): total uncertainty, in nats, 0 .. ln C."""
        return _entropy(self.log_pooled, axis=1)

    @cached_property
    def aleatoric(self) -> Tensor:
        """(N, ...): mean entropy of the members, in nats."""
        return _entropy(self.member_log_probs, axis=2).mean(dim=0)

    @cached_property
    def epistemic(self) -> Tensor:
        """(N, ...): mutual information of class and member, in nats; never below -1e-12."""
        return self.entropy - self.aleatoric

    @cached_property
    def disagreement(self) -> Tensor:
        """(N, ...): share of the pairs of members that answer different classes; 0 for one member."""
        members = len(self.member_logits)
        if members == 1:
            return torch.zeros_like(self.entropy)
        answers = self.member_logits.argmax(dim=2)
        votes = torch.stack([(answers == number).sum(dim=0) for number in range(self.member_logits.shape[2])])
        return 1 - (votes * (votes - 1)).sum(dim=0).double() / (members * (members - 1))

    @property
    def sets(self) -> Tensor | None:
        """(N, C) boolean: the conformal prediction sets; None before `conformalize`."""
        return None if self.conformal is None else self.conformal.sets(self.probs)


def _entropy(log_probs: Tensor, *, axis: int) -> Tensor:
    """-sum p log p with 0 log 0 = 0, where log p may be -inf."""
    finite = log_probs.masked_fill(log_probs == -math.inf, 0.0)
    return -(log_probs.exp() * finite).sum(dim=axis)
