"""What a step may change before it is known to be made: buffers of the network, random numbers."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from linnet.core.linearise import coupling


@dataclass(frozen=True)
class Before:
    """The state to go back to when a step is refused or skipped.

    Attributes:
        buffers: (buffer, its value), where the network has layers in train mode that write them or draw numbers.
        numbers: State of the CPU's generator, likewise.
        generator: Of the drawn targets.
        drawn: Its state.
    """

    buffers: tuple[tuple[Tensor, Tensor], ...]
    numbers: Tensor | None
    generator: torch.Generator
    drawn: Tensor

    @classmethod
    def of(cls, model: nn.Module, generator: torch.Generator) -> "Before":
        """The state now; running statistics are copied only where the forward writes them."""
        moves = bool(coupling(model))
        buffers = tuple((buffer, buffer.clone()) for buffer in model.buffers()) if moves else ()
        return cls(buffers, torch.get_rng_state() if moves else None, generator, generator.get_state())

    @torch.no_grad()
    def put_back(self) -> None:
        """Makes everything as it was."""
        for buffer, value in self.buffers:
            buffer.copy_(value)
        if self.numbers is not None:
            torch.set_rng_state(self.numbers)
        self.generator.set_state(self.drawn)
