"""Stacked: the members' tensors stacked along a new first axis, one vectorised call for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from linnet.core.program.module_copy import meta
from linnet.ensemble.training.executions import JoinedExecution, Outputs


class Stacked(JoinedExecution):
    """torch's vmap over the members' stacked parameters and buffers.

    Batch norms keep each member's own statistics: the stacked buffers are updated in place under vmap. Dropout draws
    different numbers for each member.

    Args:
        members: Networks of one architecture.
    """

    name = "stacked"

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__(members)
        parameters, buffers = stack_module_state(list(members))  # type: ignore[arg-type]
        trained = dict(members[0].named_parameters())
        self._names = {"parameters": list(parameters), "buffers": list(buffers)}
        for name, tensor in parameters.items():
            wanted = trained[name].requires_grad
            self.register_parameter(_flat(name), nn.Parameter(tensor.detach().clone(), requires_grad=wanted))
        for name, tensor in buffers.items():
            self.register_buffer(_flat(name), tensor.detach().clone())
        self._shell = (meta(members[0]),)  # a tuple, so that it is no submodule
        self.train(members[0].training)

    def forward(self, x: Tensor, *, separate: bool = False) -> Outputs:
        """Outputs of all members along a new first axis; see `Execution.forward`."""

        shell = self._shell[0]
        if shell.training != self.training:
            shell.train(self.training)

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Any:
            return functional_call(shell, (parameters, buffers), (inputs,))

        parameters = {name: getattr(self, _flat(name)) for name in self._names["parameters"]}
        buffers = {name: getattr(self, _flat(name)) for name in self._names["buffers"]}
        call = torch.vmap(one, in_dims=(0, 0, 0 if separate else None), randomness="different")
        return call(parameters, buffers, x)

    def common(self) -> dict[str, Tensor]:
        """The stacked tensors, by the members' names."""
        return {name: getattr(self, _flat(name)) for names in self._names.values() for name in names}


def _flat(name: str) -> str:
    """A dotted name as the name of an attribute."""
    return f"member_{name.replace('.', '__')}"
