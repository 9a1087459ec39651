"""The latents of a network, apart from its other parameters."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from linnet.errors import InputError
from linnet.jet.layers import BinaryConv2d, BinaryLinear, JetConv2d
from linnet.suggest import is_number

LATENT_LAYERS = (JetConv2d, BinaryConv2d, BinaryLinear)


def parameter_groups(net: nn.Module, lr: float, weight_decay: float = 0.0) -> list[dict[str, Any]]:
    """Parameter groups for an optimizer: weight decay is 0 on latents, since all it does there is to flip signs.

    Args:
        net: Any network.
        lr: Of both groups.
        weight_decay: Of everything but latents.

    Returns:
        Two groups, latents first; one of them is left out where it would be empty.

    Raises:
        InputError: `net` is no module, or a rate is negative or no number.

    Example:
        >>> net = nn.Sequential(JetConv2d(1, 4), nn.BatchNorm2d(4))
        >>> [(len(g["params"]), g["weight_decay"]) for g in parameter_groups(net, lr=0.05, weight_decay=1e-4)]
        [(1, 0.0), (2, 0.0001)]
    """
    if not isinstance(net, nn.Module):
        raise InputError(f"`net` must be a torch.nn.Module (got a {type(net).__name__}).")
    for name, value in (("lr", lr), ("weight_decay", weight_decay)):
        if not isinstance(value, Tensor) and not is_number(value, 0.0):
            raise InputError(f"`{name}` must be a number >= 0 (got {value!r}).")
    latents = {id(m.latents) for m in net.modules() if isinstance(m, LATENT_LAYERS)}
    parameters = list(net.parameters())
    groups = [
        {"params": [p for p in parameters if id(p) in latents], "lr": lr, "weight_decay": 0.0},
        {"params": [p for p in parameters if id(p) not in latents], "lr": lr, "weight_decay": weight_decay},
    ]
    return [group for group in groups if group["params"]]
