"""Whether a saved state belongs to an optimizer."""

from collections.abc import Mapping, Sequence
from typing import Any

from linnet.errors import OptimizerStateError


def check_saved(
    saved: Mapping[str, Any] | None, asked: Sequence[str], shapes: Mapping[str, list[int]], *, relative: bool
) -> None:
    """Refuses the state of another optimizer or of another network.

    Args:
        saved: The part "natural" of a state dict; None where there is none.
        asked: (approx, loss, fisher) of the optimizer that shall take it.
        shapes: Parameter name -> shape, of its network.
        relative: Whether its groups' "lr" is c (lr=None) and not eta.

    Raises:
        OptimizerStateError: what differs.
    """
    if saved is None or list(saved["asked"]) != list(asked):
        came = "another optimizer" if saved is None else f"NaturalGradient{tuple(saved['asked'])}"
        raise OptimizerStateError(
            f"The state is of {came}; this is NaturalGradient{tuple(asked)} (approx, loss, fisher). Make the "
            "optimizer as it was when the state was saved."
        )
    if saved["relative"] != relative:
        ways = {True: 'lr=None, so that the groups\' "lr" is c', False: "an lr of its own"}
        raise OptimizerStateError(
            f"The state is of an optimizer made with {ways[saved['relative']]}; this one was made with "
            f"{ways[relative]}. Make the optimizer as it was when the state was saved."
        )
    theirs = saved["shapes"]
    if theirs != shapes:
        name = next(n for n in {**theirs, **shapes} if theirs.get(n) != shapes.get(n))
        raise OptimizerStateError(
            f"The state is of another architecture: `{name}` had shape {theirs.get(name)}, here it has "
            f"{shapes.get(name)}. Load it into the network that it was saved with."
        )
