"""The KL clip: no step moves the outputs' distributions further than is allowed."""

import math
from collections.abc import Mapping

from torch import Tensor


def clip_scale(delta: Mapping[str, Tensor], gradient: Mapping[str, Tensor], *, eta: float, most: float) -> float:
    """min(1, sqrt(most / (eta^2 Delta . grad))), as Delta^T G Delta = Delta . grad for Delta = G^-1 grad.

    Args:
        delta: Parameter name -> direction.
        gradient: Parameter name -> gradient of the loss; where it is missing it counts as 0.
        eta: Step size; where it isn't a number (alpha couldn't be measured) nothing is clipped.
        most: Largest eta^2 Delta^T G Delta.

    Source:
        Ba, Grosse & Martens 2017: a trust region in the distributions, by scaling the step.
    """
    slope = sum(float((gradient[name] * d).sum()) for name, d in delta.items() if name in gradient)
    moved = eta * eta * slope
    return min(1.0, math.sqrt(most / moved)) if moved > 0 else 1.0
