"""An optimizer that takes the batch itself, where others take the gradients that a backward pass left."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class BatchStep(Protocol):
    """An optimizer whose update needs inputs and targets: natural gradient with exact curvature, for one.

    Attributes:
        needs_batch: Whether it does as it was made; where False the loop does forward, backward and `step()` as ever.
    """

    needs_batch: bool

    def step_on(self, batch: Any) -> tuple[float, dict[str, float]]:
        """Makes one update.

        Args:
            batch: (inputs, targets), on the device; in a run of several processes the part of this one. The optimizer
                sees to it that all end with the same weights.

        Returns:
            The loss before the update, the same in all processes, and numbers by name that shall be shown.
        """
        ...
