"""Steps that met NaN or infinity: they change nothing, are counted, and end a run when they don't end."""

import logging
from dataclasses import dataclass

from linnet.errors import NonFiniteLoss

logger = logging.getLogger(__name__)

_LONGEST = 10  # steps in a row, then an error


@dataclass
class Skips:
    """How many steps were skipped.

    Attributes:
        total: Of all steps.
        in_a_row: Since the last step that was made.
    """

    total: int = 0
    in_a_row: int = 0

    def add(self, error: ArithmeticError) -> None:
        """Counts one.

        Raises:
            NonFiniteLoss: it is the tenth in a row.
        """
        self.total, self.in_a_row = self.total + 1, self.in_a_row + 1
        logger.info("a step was skipped: %s", error)
        if self.in_a_row >= _LONGEST:
            raise NonFiniteLoss(
                f"{_LONGEST} steps in a row met NaN or infinity and were skipped; the last: {error}. Lower c or "
                "lr, raise the damping, and look at the batch."
            )
