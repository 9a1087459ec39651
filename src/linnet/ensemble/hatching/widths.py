"""How wide each member becomes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from linnet.ensemble.widening.seed_network import widens
from linnet.errors import InputError
from linnet.suggest import one_of

WIDTHS = ("same", "varied")


def member_factors(widths: str | Sequence[float], factor: float, members: int, *, rng_seed: int) -> tuple[float, ...]:
    """Each member's factor.

    Args:
        widths: "same": every member gets `factor`; "varied": spread evenly over [1 + 0.4 (f - 1), 1 + 1.6 (f - 1)] and
            shuffled; or one factor for each member.
        factor: f, above 1.
        members: M.
        rng_seed: Decides the order of varied factors.

    Raises:
        InputError: a value is out of its range.

    Source:
        Members of one or of different architectures: Xia et al. 2021; the spread is linnet's choice.

    Example:
        >>> sorted(round(f, 2) for f in member_factors("varied", 1.5, 3, rng_seed=0))
        [1.2, 1.5, 1.8]
    """
    if not widens(factor):
        raise InputError(f"`factor` must be a number > 1 (got {factor!r}). Give 1.25 for a quarter more channels.")
    if isinstance(widths, str):
        one_of("widths", widths, WIDTHS)
        if widths == "same":
            return (float(factor),) * members
        spread = np.linspace(1 + 0.4 * (factor - 1), 1 + 1.6 * (factor - 1), members)
        return tuple(np.random.default_rng(rng_seed).permutation(spread).tolist())
    given = tuple(widths) if isinstance(widths, Iterable) else ()
    if len(given) != members or not all(map(widens, given)):
        raise InputError(
            f"`widths` must be 'same', 'varied' or {members} factors > 1, one for each member (got {widths!r})."
        )
    return tuple(map(float, given))
