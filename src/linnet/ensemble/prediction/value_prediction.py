"""ValuePrediction: mean and variance of a regression's answer, and where the variance comes from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from linnet.errors import InputError


@dataclass(frozen=True)
class ValuePrediction:
    """What M regression members say; everything is float64 and carries gradients.

        mean      = mean_m mu_m
        aleatoric = mean_m exp(log_variance_m)      what each member expects as noise; 0 without log variances
        epistemic = mean_m (mu_m - mean)^2          population variance of the members' means
        variance  = (aleatoric + epistemic) factor  the law of total variance, times the calibrated factor

    Attributes:
        member_means: (M, N, ...).
        member_log_variances: Of the same shape, or None where members give means only.
        factor: What calibration multiplies the variance by; None: not calibrated.

    Raises:
        InputError: there is no sample axis, no member, or the two shapes differ.

    Source:
        Lakshminarayanan et al. 2017; Kendall & Gal 2017.
    """

    member_means: Tensor
    member_log_variances: Tensor | None = None
    factor: float | Tensor | None = None

    def __post_init__(self) -> None:
        shape = tuple(self.member_means.shape)
        if len(shape) < 2 or not shape[0] or not self.member_means.is_floating_point():
            raise InputError(
                f"`member_means` must be floating-point values of shape (members, samples, ...) (got "
                f"{self.member_means.dtype} of shape {shape}). Stack the members' outputs along a new first axis."
            )
        if self.member_log_variances is not None and tuple(self.member_log_variances.shape) != shape:
            raise InputError(
                f"`member_log_variances` must have the shape of `member_means`, {shape} (got "
                f"{tuple(self.member_log_variances.shape)}). Give one log variance for each mean."
            )

    @cached_property
    def mean(self) -> Tensor:
        """(N, ...): the pooled answer."""
        return self.member_means.double().mean(dim=0)

    @cached_property
    def aleatoric(self) -> Tensor:
        """(N, ...): mean of the members' variances."""
        if self.member_log_variances is None:
            return torch.zeros_like(self.mean)
        return self.member_log_variances.double().exp().mean(dim=0)

    @cached_property
    def epistemic(self) -> Tensor:
        """(N, ...): population variance of the members' means."""
        return self.member_means.double().var(dim=0, correction=0)

    @cached_property
    def variance(self) -> Tensor:
        """(N, ...): their sum, times the calibrated factor where there is one."""
        total = self.aleatoric + self.epistemic
        return total if self.factor is None else total * self.factor
