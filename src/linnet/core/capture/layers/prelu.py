"""PReLU: the gradient of a slope is the sum of g a over the places where a is negative."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from linnet.core.capture.gram import rows_gram
from linnet.core.capture.layers.layer_rule import LayerRule
from linnet.core.capture.layers.matrix import sum_of
from linnet.core.capture.positions import Use


class PReLURule(LayerRule):
    """`nn.PReLU` with one slope for all, or one for each channel (axis 1)."""

    types = (nn.PReLU,)

    def refusal_of_input(self, module: nn.Module, a: Tensor) -> str | None:
        """A sample axis in front is needed."""
        return "its input is a number without a sample axis: give a batch" if a.ndim < 1 else None

    def per_sample(self, module: nn.Module, uses: Sequence[Use], param: str) -> Tensor:
        """(passes, N, slopes)."""
        return sum_of([_slopes(module, use) for use in uses])

    def gram(
        self, module: nn.Module, uses: Sequence[Use], others: Sequence[Use] | None, *, param: str, max_bytes: int
    ) -> Tensor:
        """From the rows: there are few slopes."""
        rows = self.per_sample(module, uses, param)
        return rows_gram(rows, None if others is None else self.per_sample(module, others, param))


def _slopes(module: nn.Module, use: Use) -> Tensor:
    count = module.get_parameter("weight").numel()
    products = use.g * torch.where(use.a < 0, use.a, torch.zeros_like(use.a))
    if count == 1:
        return products.flatten(2).sum(2, keepdim=True) if products.ndim > 2 else products.unsqueeze(2)
    return products.flatten(3).sum(3) if products.ndim > 3 else products
