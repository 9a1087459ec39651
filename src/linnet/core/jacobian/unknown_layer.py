"""Jacobian rows of a module that no rule knows: its forward is differentiated sample by sample.

A user's own module with parameters, a parametrised layer, an attention layer whose projection is never called: the
module's own leaf parameters, its captured inputs and the gradients at its output are all that is needed.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

from linnet.core.capture.per_sample import TILE_BYTES
from linnet.errors import CaptureError


@dataclass
class OwnCall:
    """One call of a module.

    Attributes:
        arguments: (args, kwargs), detached.
        g: Output gradients, (N, ...) for each backward pass.
    """

    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    g: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "OwnCall":
        """A call with these arguments, cut from the graph."""
        return cls(tree_map(lambda v: v.detach() if isinstance(v, Tensor) else v, (args, kwargs)))


def own_rows(name: str, module: nn.Module, leaves: Sequence[str], calls: Sequence[OwnCall]) -> dict[str, Tensor]:
    """Per-sample gradients of a module's leaf parameters, summed over its calls.

    Args:
        name: Module path, for errors.
        module: The module; its forward must treat the samples of axis 0 one by one.
        leaves: Names of leaf parameters, relative to the module.
        calls: Its calls, each with one g for every backward pass.

    Returns:
        Leaf name -> (passes, N, *shape).

    Raises:
        CaptureError: the forward can't be run for one sample at a time by `torch.func.vmap`.
    """
    total: dict[str, Tensor] = {}
    for call in calls:
        try:
            # no gradients about the module's other parameters: the transforms inside differentiate all the same; the
            # fused attentions have no rule for vmap
            with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
                # weight normalisation has no batching rule in torch 2.13: it is looped over, which is correct
                warnings.filterwarnings("ignore", message="There is a performance drop", category=UserWarning)
                rows = _rows_of_call(module, leaves, call)
        except (RuntimeError, ValueError, TypeError) as error:
            raise CaptureError(
                f"`{name}` ({type(module).__name__}) can't be differentiated sample by sample: {str(error)[:200]}. "
                f"Its parameters {', '.join(leaves)} need a forward that `torch.func.vmap` can run over axis 0 of its "
                "inputs; where an optimizer asks, uncovered='gradient' leaves them to the plain gradient."
            ) from error
        total = {leaf: rows[leaf] + total[leaf] if leaf in total else rows[leaf] for leaf in leaves}
    return total


def _rows_of_call(module: nn.Module, leaves: Sequence[str], call: OwnCall) -> dict[str, Tensor]:
    values = dict(module.named_parameters(remove_duplicate=False))
    chosen = {leaf: values[leaf].detach() for leaf in leaves}
    g = torch.stack(call.g, dim=1)
    flat, spec = tree_flatten(call.arguments)
    axes = [0 if isinstance(v, Tensor) and v.ndim and v.shape[0] == len(g) else None for v in flat]
    size = g.shape[1] * sum(p.numel() for p in chosen.values()) * g.element_size()

    def rows_of_sample(g_n: Tensor, *leaf_arguments: Any) -> dict[str, Tensor]:
        whole = [v if axis is None else v.unsqueeze(0) for v, axis in zip(leaf_arguments, axes, strict=True)]
        args, kwargs = tree_unflatten(whole, spec)
        pull: Any = torch.func.vjp(lambda p: torch.func.functional_call(module, p, args, kwargs), chosen)[1]
        return torch.func.vmap(lambda one: pull(one.unsqueeze(0))[0])(g_n)

    chunk = max(1, TILE_BYTES // max(size, 1))
    rows = torch.func.vmap(rows_of_sample, in_dims=(0, *axes), chunk_size=chunk)(g, *flat)
    return {leaf: value.transpose(0, 1) for leaf, value in rows.items()}
