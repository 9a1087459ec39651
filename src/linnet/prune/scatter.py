"""Scatter: small networks that were trained elsewhere go back into the big one, entry by entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core import edit as edits
from linnet.core.skeleton import unwrap
from linnet.errors import InputError
from linnet.prune.plan import Plan, graph_of

Part = tuple[Plan, nn.Module | Mapping[str, Tensor]]


def scatter(model: nn.Module, parts: Sequence[Part], weights: Sequence[float] | None = None) -> nn.Module:
    """Puts the weighted mean of parts into a network, wherever a part covers an entry.

    new[e] = sum_i w_i part_i[e] / sum_i w_i over the parts that cover e. An entry is covered when its index on every
    axis is kept by the part's plan. Entries that nobody covers stay, those that one part covers are copied to the
    bit, whole-numbered tensors take the largest. So `scatter(model, [(plan, extract(model, plan))])` changes nothing.

    Args:
        model: The big network; changed in place once everything has been checked.
        parts: (plan, small network or its state dict) of each part.
        weights: One positive number for each part (numbers of samples, say); None weighs all alike.

    Returns:
        The big network.

    Raises:
        InputError: a tensor of a part is missing, of another size or type, or not finite; or a weight isn't positive.
            The model is as it was.
        BudgetError: a plan is of another network.

    Source:
        The aim is Qi et al. 2021 (distributed training in cloud and edge); the rule is ours.
    """
    inner = unwrap(model)
    shares = _weights(weights, len(parts))
    own = {**dict(inner.named_parameters()), **dict(inner.named_buffers())}
    stored = set(inner.state_dict())
    entries = {name: _Entries(tensor) for name, tensor in own.items() if name in stored}
    for number, ((plan, part), share) in enumerate(zip(parts, shares, strict=True)):
        state = part.state_dict() if isinstance(part, nn.Module) else part
        places = _places(inner, plan)
        for name, gathered in entries.items():
            axes = places.get(name, {})
            gathered.add(_checked(number, name, own[name], axes, state), _index(own[name], axes), share)
    with torch.no_grad():
        for name, gathered in entries.items():
            own[name].copy_(gathered.mean(own[name]))
    return model


class _Entries:
    """What the parts say of one tensor: weighted sums in float64, the largest of whole numbers."""

    def __init__(self, tensor: Tensor):
        self.floats = tensor.is_floating_point()
        wide = tensor.new_zeros(tensor.shape, dtype=torch.float64)
        self.last = tensor.detach().clone()
        self.sum, self.weight = wide, wide.clone()
        self.count = tensor.new_zeros(tensor.shape, dtype=torch.int32)

    def add(self, given: Tensor, index: Any, share: float) -> None:
        """Adds a part where it covers the tensor."""
        if self.floats:
            self.sum[index] += share * given.double()
            self.weight[index] += share
            self.last[index] = given
        else:
            first = self.count[index] == 0
            self.last[index] = torch.where(first, given, torch.maximum(self.last[index], given))
        self.count[index] += 1

    def mean(self, old: Tensor) -> Tensor:
        """The tensor with what was gathered; one part's entries as they came."""
        if not self.floats:
            return self.last
        several = self.count > 1
        mean = (self.sum / torch.where(several, self.weight, 1.0)).to(old.dtype)
        return torch.where(several, mean, self.last)


def _weights(weights: Sequence[float] | None, count: int) -> list[float]:
    if not count:
        raise InputError("no part came; at least one (plan, network) pair is needed.")
    shares = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if len(shares) != count:
        raise InputError(f"{len(shares)} weights came for {count} parts; one for each is needed.")
    for number, share in enumerate(shares):
        if not 0 < share < float("inf"):
            raise InputError(f"`weights[{number}]` is {share}; a positive number is needed. Leave that part out.")
    return shares


def _places(model: nn.Module, plan: Plan) -> dict[str, dict[int, Tensor]]:
    """Tensor name -> axis -> positions of the big tensor that the part holds, in its order."""
    planned = edits.plan(model, graph_of(model, plan), plan.multiplicity())
    return {
        name: {axis.axis: torch.from_numpy(axis.index) for axis in axes if axis.changes}
        for name, axes in planned.axes.items()
    }


def _index(tensor: Tensor, axes: Mapping[int, Tensor]) -> Any:
    """What picks the part's entries out of the big tensor."""
    if not axes:
        return ...
    positions = [axes.get(axis, torch.arange(size)).to(tensor.device) for axis, size in enumerate(tensor.shape)]
    return torch.meshgrid(*positions, indexing="ij")


def _checked(number: int, name: str, tensor: Tensor, axes: Mapping[int, Tensor], state: Mapping[str, Tensor]) -> Tensor:
    given = state.get(name)
    if given is None:
        raise InputError(f"`{name}` is missing in part {number}; give the state of the network that its plan makes.")
    wanted = tuple(len(axes[axis]) if axis in axes else size for axis, size in enumerate(tensor.shape))
    if tuple(given.shape) != wanted or given.dtype != tensor.dtype:
        raise InputError(
            f"`{name}` of part {number} is {tuple(given.shape)} {str(given.dtype)[6:]}; its plan needs {wanted} "
            f"{str(tensor.dtype)[6:]}. Give each part with the plan that it was extracted by."
        )
    if given.is_floating_point() and not bool(torch.isfinite(given).all()):
        raise InputError(f"`{name}` of part {number} has NaN or infinite entries; leave that part out.")
    return given.detach().to(tensor.device)
