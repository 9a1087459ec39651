"""Whether a saved state belongs to an optimizer."""

from collections.abc import Mapping, Sequence
from typing import Any

from linnet.errors import OptimizerStateError


def check_saved(saved: Mapping[str, Any] | None, asked: Sequence[str], shapes: Mapping[str, list[int]]) -> None:
    """Refuses the state of another optimizer or of another network.

    Args:
        saved: The part "natural" of a state dict; None where there is none.
        asked: (approx, loss, fisher) of the optimizer that shall take it.
        shapes: Parameter name -> shape, of its network.

    Raises:
        OptimizerStateError: what differs.
    """
    if saved is None or list(saved["asked"]) != list(asked):
        came = "another optimizer" if saved is None else f"NaturalGradient{tuple(saved['asked'])}"
        raise OptimizerStateError(
            f"The state is of {came}; this is NaturalGradient{tuple(asked)} (approx, loss, fisher). Make the "
            "optimizer as it was when the state was saved."
        )
    theirs = saved["shapes"]
    if theirs != shapes:
        name = next(n for n in {**theirs, **shapes} if theirs.get(n) != shapes.get(n))
        raise OptimizerStateError(
            f"The state is of another architecture: `{name}` had shape {theirs.get(name)}, here it has "
            f"{shapes.get(name)}. Load it into the network that it was saved with."
        )
