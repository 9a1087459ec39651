"""Steps that are taken back: the state they return to (buffers, random numbers), and the count of those skipped."""

import logging
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from linnet.core.jacobian.linearisation import coupling
from linnet.errors import NonFiniteLoss


@dataclass(frozen=True)
class Snapshot:
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
    def of(cls, model: nn.Module, generator: torch.Generator) -> "Snapshot":
        """The state now; running statistics are copied only where the forward writes them."""
        moves = bool(coupling(model))
        buffers = tuple((buffer, buffer.clone()) for buffer in model.buffers()) if moves else ()
        return cls(buffers, torch.get_rng_state() if moves else None, generator, generator.get_state())

    @torch.no_grad()
    def put_back(self) -> None:
        """Restores everything."""
        for buffer, value in self.buffers:
            buffer.copy_(value)
        if self.numbers is not None:
            torch.set_rng_state(self.numbers)
        self.generator.set_state(self.drawn)


logger = logging.getLogger(__name__)

_LONGEST = 10  # steps in a row, then an error


@dataclass
class Skips:
    """The count of skipped steps.

    Attributes:
        total: Of all steps.
        in_a_row: Since the last step that was made.
    """

    total: int = 0
    in_a_row: int = 0

    def add(self, error: ArithmeticError) -> None:
        """Counts one step.

        Raises:
            NonFiniteLoss: it is the tenth in a row.
        """
        self.total, self.in_a_row = self.total + 1, self.in_a_row + 1
        logger.info("a step was skipped: %s", error)
        if self.in_a_row >= _LONGEST:
            raise NonFiniteLoss(
                f"{_LONGEST} steps in a row met NaN or infinity and were skipped (the last: {error}). Lower c or "
                "lr, raise the damping, and look at the batch."
            )
