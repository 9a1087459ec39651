"""Normalisation layers: the gradient of the scale is g times the normalised input, that of the shift is g."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from linnet.core.capture.gram import rows_gram
from linnet.core.capture.layers.layer_rule import LayerRule
from linnet.core.capture.layers.matrix import sum_of
from linnet.core.capture.positions import Use

BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_INSTANCE_RANKS = dict(zip(INSTANCE_NORMS, (3, 4, 5), strict=True))


@dataclass(frozen=True)
class NormRule(LayerRule):
    """BatchNorm in eval mode, InstanceNorm, GroupNorm, LayerNorm and RMSNorm.

    Attributes:
        constant_statistics: Read BatchNorm in train mode as well, its batch statistics taken for constants.
    """

    constant_statistics: bool = False

    types = (*BATCH_NORMS, *INSTANCE_NORMS, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)

    def with_constant_statistics(self) -> LayerRule:
        """BatchNorm in train mode is covered."""
        return NormRule(constant_statistics=True)

    def refusal(self, module: nn.Module) -> str | None:
        """Batch statistics couple the samples."""
        if not isinstance(module, BATCH_NORMS) or self.constant_statistics:
            return None
        if module.running_mean is None:
            return (
                "it has no running statistics, so batch statistics couple the samples: no gradient of one sample exists"
            )
        if module.training:
            return (
                "in train mode batch statistics couple the samples: no gradient of one sample exists. "
                "Call `.eval()` on it first"
            )
        return None

    def refusal_of_input(self, module: nn.Module, a: Tensor) -> str | None:
        """A sample axis in front is needed."""
        if a.ndim < _least_rank(module):
            return f"its input of shape {tuple(a.shape)} has no sample axis: give a batch, even of one sample"
        return None

    def statistics(self, module: nn.Module) -> tuple[Tensor, ...]:
        """Running statistics, where they are used, and their counter: torch's kernels write them without a version."""
        if isinstance(module, BATCH_NORMS + INSTANCE_NORMS) and _runs(module):
            return tuple(module.buffers(recurse=False))
        return ()

    def per_sample(self, module: nn.Module, uses: Sequence[Use], param: str) -> Tensor:
        """weight: sum of g * normalised input over all axes without a parameter; bias: sum of g."""
        parts = []
        for use in uses:
            values = use.g if param == "bias" else use.g * _normalised(module, use.a)
            parts.append(_over_positions(module, values))
        return sum_of(parts)

    def gram(
        self, module: nn.Module, uses: Sequence[Use], others: Sequence[Use] | None, *, param: str, max_bytes: int
    ) -> Tensor:
        """From the gradients: they are small."""
        theirs = None if others is None else self.per_sample(module, others, param)
        return rows_gram(self.per_sample(module, uses, param), theirs)


def _least_rank(module: nn.Module) -> int:
    """Axes that a batched input has at least."""
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        return len(module.normalized_shape) + 1
    return next((rank for kind, rank in _INSTANCE_RANKS.items() if isinstance(module, kind)), 2)


def _over_positions(module: nn.Module, values: Tensor) -> Tensor:
    """(passes, N, ...) summed over every axis that has no parameter: (passes, N, *param.shape)."""
    if isinstance(module, nn.LayerNorm | nn.RMSNorm):
        middle = values.ndim - 2 - len(module.normalized_shape)
        return values.flatten(2, 1 + middle).sum(2) if middle else values
    return values.flatten(3).sum(3) if values.ndim > 3 else values


def _normalised(module: nn.Module, a: Tensor) -> Tensor:
    """The input after normalisation, before scale and shift."""
    if isinstance(module, nn.LayerNorm):
        return F.layer_norm(a, module.normalized_shape, eps=module.eps)
    if isinstance(module, nn.RMSNorm):
        return F.rms_norm(a, list(module.normalized_shape), eps=module.eps)
    if isinstance(module, nn.GroupNorm):
        return F.group_norm(a, module.num_groups, eps=module.eps)
    if isinstance(module, INSTANCE_NORMS) and not _runs(module):
        return F.instance_norm(a, eps=module.eps)
    if isinstance(module, BATCH_NORMS) and not _runs(module):
        return F.batch_norm(a, None, None, training=True, eps=module.eps)
    shape = (1, -1, *(1,) * (a.ndim - 2))
    mean, variance = (cast(Tensor, v).to(a.dtype).view(shape) for v in (module.running_mean, module.running_var))
    return (a - mean) * (variance + cast(float, module.eps)).rsqrt()


def _runs(module: nn.Module) -> bool:
    """Whether a BatchNorm or InstanceNorm layer uses its running statistics now."""
    return bool(module.track_running_stats) and not module.training and module.running_mean is not None
