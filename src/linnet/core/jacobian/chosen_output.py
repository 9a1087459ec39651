"""The tensor that the loss uses of what a network returns."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from linnet.errors import CaptureError


def tensor_of(outputs: Any, output: Callable[[Any], Any] | None) -> Tensor:
    """The tensor (N, ...) that the loss uses of what a model returned.

    Args:
        outputs: What the model returned.
        output: Gives the tensor of it; None: it is one.

    Raises:
        CaptureError: there is no tensor with one row for each sample.
    """
    found = outputs if output is None else output(outputs)
    if not isinstance(found, Tensor) or found.ndim < 1:
        remedy = (
            "Name the outputs that the loss uses: output=lambda out: out.logits, or out[0], or out['logits']"
            if output is None
            else "`output` must give that tensor"
        )
        raise CaptureError(
            "The model must return a tensor (N, ...) with one row for each sample (got a "
            f"{type(found).__name__}). {remedy}."
        )
    return found
