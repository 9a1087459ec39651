"""A linear layer whose forward scales its parameters: u = s_w W h + s_b b (NTK parameterisation, for one)."""

from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from linnet.core.capture.gram import GramPlan
from linnet.core.capture.layers.layer_rule import LayerRule, Sharing
from linnet.core.capture.layers.matrix import MatrixRule
from linnet.core.capture.positions import Use


class ScaledLinear(nn.Linear):
    """u = s_w W h + s_b b: gradients, Jacobians and curvature are those of the leaf parameters W and b.

    Args:
        inputs: Size of h.
        outputs: Size of u.
        weight_scale: s_w.
        bias_scale: s_b; None for a layer without a bias.

    Attributes:
        weight_scale: s_w.
        bias_scale: s_b, 0 where there is no bias.
    """

    def __init__(self, inputs: int, outputs: int, *, weight_scale: float, bias_scale: float | None = None) -> None:
        super().__init__(inputs, outputs, bias=bias_scale is not None)
        self.weight_scale = float(weight_scale)
        self.bias_scale = float(bias_scale or 0.0)

    def forward(self, input: Tensor) -> Tensor:
        """u (N, ..., outputs) of h (N, ..., inputs)."""
        bias = None if self.bias is None else self.bias * self.bias_scale
        return F.linear(input, self.weight * self.weight_scale, bias)

    def extra_repr(self) -> str:
        """The scales beside the sizes."""
        return f"{super().extra_repr()}, weight_scale={self.weight_scale:.4g}, bias_scale={self.bias_scale:.4g}"


class ScaledRule(LayerRule):
    """`ScaledLinear`: a linear layer that sees s_w h, and s_b where a plain one sees the 1 of its bias."""

    types = (ScaledLinear,)
    is_matrix = True

    def refusal_of_input(self, module: nn.Module, a: Tensor) -> str | None:
        """As of a linear layer."""
        return _LINEAR.refusal_of_input(module, a)

    def per_sample(self, module: nn.Module, uses: Sequence[Use], param: str) -> Tensor:
        """W: sum_s g_ns (s_w h_ns)^T; b: s_b sum_s g_ns."""
        return _LINEAR.per_sample(module, _scaled(module, uses, param), param)

    def gram(
        self, module: nn.Module, uses: Sequence[Use], others: Sequence[Use] | None, *, param: str, max_bytes: int
    ) -> Tensor:
        """As of a linear layer with the scaled inputs."""
        theirs = None if others is None else _scaled(module, others, param)
        return _LINEAR.gram(module, _scaled(module, uses, param), theirs, param=param, max_bytes=max_bytes)

    def plan(self, module: nn.Module, uses: Sequence[Use], param: str, samples: int | None = None) -> GramPlan | None:
        """As of a linear layer."""
        return _LINEAR.plan(module, uses, param, samples)

    def joint_gram(
        self, module: nn.Module, uses: Sequence[Use], others: Sequence[Use] | None, *, max_bytes: int
    ) -> Tensor:
        """As of a linear layer with the scaled inputs, s_b^2 where that has 1."""
        theirs = None if others is None else _scaled(module, others, "weight")
        scale = cast(float, module.bias_scale)
        ours = _scaled(module, uses, "weight")
        return _LINEAR.joint_gram(module, ours, theirs, max_bytes=max_bytes, bias_scale=scale)

    def pull(self, module: nn.Module, uses: Sequence[Use], param: str) -> Tensor:
        """As of a linear layer with the scaled inputs."""
        return _LINEAR.pull(module, _scaled(module, uses, param), param)

    def push(self, module: nn.Module, uses: Sequence[Use], param: str, delta: Tensor) -> Tensor:
        """As of a linear layer with the scaled inputs."""
        return _LINEAR.push(module, _scaled(module, uses, param), param, delta)

    def affinity(self, module: nn.Module, uses: Sequence[Use]) -> Tensor | None:
        """As of a linear layer with the scaled inputs, s_b^2 where that has 1."""
        return _LINEAR.affinity(module, _scaled(module, uses, "weight"), bias_scale=cast(float, module.bias_scale))

    def vectors(self, module: nn.Module, uses: Sequence[Use], *, homogeneous: bool) -> tuple[Tensor, Tensor]:
        """Inputs s_w h, with s_b below them where `homogeneous`."""
        inputs, outputs = _LINEAR.vectors(module, _scaled(module, uses, "weight"), homogeneous=homogeneous)
        if homogeneous:
            inputs[:, :, -1] = cast(float, module.bias_scale)
        return inputs, outputs

    def factors(
        self, module: nn.Module, uses: Sequence[Use], *, homogeneous: bool, sharing: Sharing
    ) -> tuple[Tensor, Tensor]:
        """A of [s_w h; s_b] and G."""
        a, g = _LINEAR.factors(module, _scaled(module, uses, "weight"), homogeneous=homogeneous, sharing=sharing)
        if homogeneous:
            bias_scale = cast(float, module.bias_scale)
            a[-1] *= bias_scale
            a[:, -1] *= bias_scale
        return a, g

    def columns(self, module: nn.Module, uses: Sequence[Use], *, sharing: Sharing) -> int:
        """As of a linear layer."""
        return _LINEAR.columns(module, uses, sharing=sharing)


_LINEAR = MatrixRule()


def _scaled(module: nn.Module, uses: Sequence[Use], param: str) -> list[Use]:
    """The scale put on a for the weight, on g for the bias."""
    if param == "bias":
        return [Use(use.a, use.g * cast(float, module.bias_scale)) for use in uses]
    return [Use(use.a * cast(float, module.weight_scale), use.g) for use in uses]
