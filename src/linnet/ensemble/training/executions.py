"""All members in one call: what every way of executing them can do, and the plain one, one member after the other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from linnet.ensemble.outputs import joined

Outputs = Tensor | tuple[Tensor, ...]


class Execution(nn.Module):
    """The members' forward pass, with the parameters that an optimizer trains.

    Attributes:
        name: "loop", "stacked" or "grouped".
        members: M.
    """

    name = ""

    def __init__(self, members: int) -> None:
        super().__init__()
        self.members = members

    def forward(self, x: Tensor, *, separate: bool = False) -> Outputs:
        """Outputs of all members along a new first axis.

        Args:
            x: (N, ...), the same for all members, or with `separate` (M, N, ...), a batch for each.
            separate: Whether each member has its own batch.
        """
        raise NotImplementedError

    def member_parameters(self, member: int) -> list[Tensor]:
        """One member's parameters, as views that can be changed in place."""
        raise NotImplementedError

    def member_gradients(self, member: int) -> list[Tensor]:
        """One member's gradients, as views that can be changed in place."""
        raise NotImplementedError

    def member_buffers(self, member: int) -> list[Tensor]:
        """One member's floating-point buffers, as views that can be changed in place."""
        raise NotImplementedError

    def write_back(self) -> None:
        """Puts parameters and buffers into the members."""
        raise NotImplementedError


class MemberLoop(Execution):
    """One member after the other; works for any members.

    Args:
        members: The networks; trained in place.
    """

    name = "loop"

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__(len(members))
        self.networks = nn.ModuleList(members)

    def forward(self, x: Tensor, *, separate: bool = False) -> Outputs:
        """Outputs of all members along a new first axis; see `Execution.forward`."""
        return joined([network(x[k] if separate else x) for k, network in enumerate(self.networks)])

    def member_parameters(self, member: int) -> list[Tensor]:
        """The member's own parameters."""
        return list(self.networks[member].parameters())

    def member_gradients(self, member: int) -> list[Tensor]:
        """The member's own gradients."""
        return [p.grad for p in self.networks[member].parameters() if p.grad is not None]

    def member_buffers(self, member: int) -> list[Tensor]:
        """The member's own buffers."""
        return [b for b in self.networks[member].buffers() if b.is_floating_point()]

    def write_back(self) -> None:
        """Nothing: the members themselves were trained."""


class JoinedExecution(Execution):
    """Members of one architecture whose tensors lie in common ones, member by member along the first axis.

    Args:
        members: Networks of one architecture; read, and written by `write_back`.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__(len(members))
        self._networks = tuple(members)  # a tuple, so that they are no submodules

    def member_parameters(self, member: int) -> list[Tensor]:
        """Views of the member's part of each parameter."""
        return [self._part(p, member) for p in self.parameters()]

    def member_gradients(self, member: int) -> list[Tensor]:
        """Views of the member's part of each gradient."""
        return [self._part(p.grad, member) for p in self.parameters() if p.grad is not None]

    def member_buffers(self, member: int) -> list[Tensor]:
        """Views of the member's part of each buffer."""
        return [self._part(b, member) for b in self.buffers() if b.is_floating_point() and b.ndim]

    def common(self) -> dict[str, Tensor]:
        """The common tensors, by the members' names."""
        raise NotImplementedError

    @torch.no_grad()
    def write_back(self) -> None:
        """Copies each member's part into its network."""
        common = self.common()
        for number, network in enumerate(self._networks):
            for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
                source = common[name]
                tensor.copy_(self._part(source, number).reshape(tensor.shape) if source.ndim else source)

    def _part(self, tensor: Tensor, member: int) -> Tensor:
        return tensor.unflatten(0, (self.members, -1))[member]


def alike(members: Sequence[nn.Module]) -> bool:
    """Whether all members have one class and tensors of the same names, sizes and types."""

    def kind(network: nn.Module) -> tuple[object, ...]:
        tensors = [*network.named_parameters(), *network.named_buffers()]
        return type(network), [(name, tuple(t.shape), t.dtype, t.device) for name, t in tensors]

    first = kind(members[0])
    return all(kind(member) == first for member in members[1:])
