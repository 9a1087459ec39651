"""Parametrised layers whose weight is a fixed multiple of its leaf: W = s V, as in NTK parameterisation."""

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from linnet.core.capture.layers.coverage import overridden, rule_of
from linnet.core.capture.layers.layer_rule import LayerRule

_WEIGHT = "parametrizations.weight.original"
_TOLERANCE = 16  # units in the last place by which s V may be off


def multiple_of(module: nn.Module, leaf: str) -> tuple[LayerRule, str, float] | None:
    """How a parametrised matrix layer reads one of its leaves.

    Args:
        module: A linear layer or convolution under `torch.nn.utils.parametrize`.
        leaf: Name of a leaf parameter in it: "parametrizations.weight.original", or "bias" where that is plain.

    Returns:
        (rule, parameter, s), with the layer's parameter = s times the leaf whatever the leaf's value; None where that
        doesn't hold (weight normalisation, say) or the layer isn't a matrix layer with torch's own forward.
    """
    rule = rule_of(module)
    if rule is None or not rule.is_matrix or not parametrize.is_parametrized(module) or overridden(module, rule):
        return None
    if leaf in ("weight", "bias"):
        return rule, leaf, 1.0
    parts = leaf.split(".")
    if (
        len(parts) != 3
        or parts[0] != "parametrizations"
        or parts[2] != "original"
        or parts[1] not in ("weight", "bias")
    ):
        return None
    law = (
        module.get_submodule(f"parametrizations.{parts[1]}") if parametrize.is_parametrized(module, parts[1]) else None
    )
    scale = None if law is None or not hasattr(law, "original") else _scale(law)
    return None if scale is None else (rule, parts[1], scale)


def scaled_leaf(module: nn.Module) -> Tensor | None:
    """The leaf of which a parametrised matrix layer's weight is a fixed multiple; None where it isn't."""
    if multiple_of(module, _WEIGHT) is None:
        return None
    return module.get_parameter(_WEIGHT)


@torch.no_grad()
def _scale(law: nn.Module) -> float | None:
    """S with law(V) = s V at V and at another value, which tells a multiple from a normalisation."""
    twin = copy.deepcopy(law)
    twin.original.requires_grad_(False)  # type: ignore[union-attr]
    original: Tensor = twin.original  # type: ignore[assignment]
    if not original.is_floating_point() or not original.numel():
        return None
    spread = original.abs().amax().clamp_min(1e-3)
    found: list[float] = []
    for shift in (0.0, 1.0):
        waves = torch.sin(torch.arange(1, original.numel() + 1, device=original.device, dtype=torch.float64))
        original.add_(shift * spread * waves.view_as(original).to(original.dtype))
        value = twin()
        place = original.abs().argmax()
        if value.shape != original.shape or not float(original.flatten()[place]):
            return None
        scale = float(value.flatten()[place].double() / original.flatten()[place].double())
        allowed = _TOLERANCE * torch.finfo(original.dtype).eps * abs(scale) * float(original.abs().amax())
        if not float((value - scale * original).abs().amax()) <= allowed:
            return None
        found.append(scale)
    if not abs(found[0] - found[1]) <= _TOLERANCE * torch.finfo(original.dtype).eps * abs(found[0]):
        return None
    return found[0]
