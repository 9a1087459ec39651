"""Weighted loss of the proximity map, and of the offsets where there is a nucleus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from linnet.errors import InputError


@dataclass(frozen=True)
class ProximityLoss:
    """mean_p w (beta M + max(lambda mean(M), floor)) l(M, O) + offset * smooth_l1(offsets where M > 0).

    l is (M - O)^2 / 2 for "squared" and -M log O - (1 - M) log(1 - O) for "cross_entropy"; both are least at O = M.
    Without the weight either would settle near 0, since most pixels hold no nucleus; it lifts the pixels near centres.
    `floor` keeps a price on false peaks in patches that hold no nucleus, where lambda mean(M) vanishes.

    Attributes:
        form: "cross_entropy" or "squared". The squared error's gradient carries a factor O (1 - O) that is tiny where
            the map is wrongly flat.
        beta: Weight of a pixel by its own height.
        scale: lambda, weight of every pixel by the patch's mean height.
        floor: Smallest weight of a pixel.
        offset: Weight of the offsets' loss.
        diameter: Weight of the loss of log diameters, where the network gives them and the batch knows them.

    Source:
        The weighted squared form is common in the field; cross-entropy, the constants, floor and offsets are ours.
    """

    form: Literal["cross_entropy", "squared"] = "cross_entropy"
    beta: float = 4.0
    scale: float = 0.0
    floor: float = 1.0
    offset: float = 0.5
    diameter: float = 0.25

    def __post_init__(self) -> None:
        if self.form not in ("cross_entropy", "squared"):
            raise InputError(f"`form` is {self.form!r}; choose 'cross_entropy' or 'squared'.")

    def __call__(self, output: Float[Tensor, "b c h w"], batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and its parts.

        Args:
            output: Logit of the map and, with three channels, the offsets (y, x) in units of the stride; a fourth is
                the log diameter.
            batch: `map` (b, 1, h, w), `offset` (b, 2, h, w), `weight` (b, 1, h, w), and where it is known `diameter`
                (b, 1, h, w), NaN where it isn't.

        Returns:
            (mean loss, {"map": ..., "offset": ...}); the parts are detached.
        """
        height, weight = batch["map"], batch["weight"]
        known = weight.sum().clamp(min=1)
        mean = (height * weight).sum((1, 2, 3), keepdim=True) / weight.sum((1, 2, 3), keepdim=True).clamp(min=1)
        price = weight * (self.beta * height + (self.scale * mean).clamp(min=self.floor))
        of_map = (price * self._of_pixels(output[:, :1], height)).sum() / known
        if output.shape[1] == 1:
            return of_map, {"map": of_map.detach()}
        near = weight * (height > 0)
        error = F.smooth_l1_loss(output[:, 1:3], batch["offset"], reduction="none", beta=0.5)
        of_offset = (near * error).sum() / near.sum().clamp(min=1)
        total, parts = of_map + self.offset * of_offset, {"map": of_map.detach(), "offset": of_offset.detach()}
        if output.shape[1] == 3 or "diameter" not in batch:
            return total, parts
        of_size = _of_sizes(output[:, 3:], batch["diameter"], near)
        return total + self.diameter * of_size, parts | {"diameter": of_size.detach()}

    def _of_pixels(self, logit: Tensor, height: Tensor) -> Tensor:
        if self.form == "squared":
            return 0.5 * (height - logit.sigmoid()) ** 2
        return F.binary_cross_entropy_with_logits(logit, height, reduction="none")


def _of_sizes(output: Tensor, size: Tensor, near: Tensor) -> Tensor:
    """Mean smooth L1 of log diameters over the cells near a nucleus whose size is known."""
    known = near * size.isfinite()
    error = F.smooth_l1_loss(output, size.nan_to_num(0.0), reduction="none", beta=0.1)
    return (known * error).sum() / known.sum().clamp(min=1)
