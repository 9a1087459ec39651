"""Weighted regression loss of the proximity map, and of the offsets where there is a nucleus."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class ProximityLoss:
    """L = 1/2 mean_p w (beta M + max(lambda mean(M), floor)) (M - O)^2 + offset * smooth_l1(offsets where M > 0).

    Plain squared error would settle at 0, since most pixels hold no nucleus; the weight lifts the pixels near centres.
    `floor` keeps a price on false peaks in patches that hold no nucleus, where lambda mean(M) vanishes.

    Attributes:
        beta: Weight of a pixel by its own height.
        scale: lambda, weight of every pixel by the patch's mean height.
        floor: Smallest weight of a pixel.
        offset: Weight of the offsets' loss.

    Source:
        The form of the map's loss is common in the field; its constants, the floor and the offsets are ours.
    """

    beta: float = 1.0
    scale: float = 2.0
    floor: float = 0.1
    offset: float = 0.05

    def __call__(self, output: Float[Tensor, "b c h w"], batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss and its parts.

        Args:
            output: Logit of the map and, with three channels, the offsets (y, x) in units of the stride.
            batch: `map` (b, 1, h, w), `offset` (b, 2, h, w), `weight` (b, 1, h, w).

        Returns:
            (mean loss, {"map": ..., "offset": ...}); the parts are detached.
        """
        height, weight = batch["map"], batch["weight"]
        known = weight.sum().clamp(min=1)
        mean = (height * weight).sum((1, 2, 3), keepdim=True) / weight.sum((1, 2, 3), keepdim=True).clamp(min=1)
        price = weight * (self.beta * height + (self.scale * mean).clamp(min=self.floor))
        of_map = 0.5 * (price * (height - output[:, :1].sigmoid()) ** 2).sum() / known
        if output.shape[1] == 1:
            return of_map, {"map": of_map.detach()}
        near = weight * (height > 0)
        error = F.smooth_l1_loss(output[:, 1:], batch["offset"], reduction="none", beta=0.5)
        of_offset = (near * error).sum() / near.sum().clamp(min=1)
        return of_map + self.offset * of_offset, {"map": of_map.detach(), "offset": of_offset.detach()}
