"""Compiled before: torch ignores hooks that come after the first compiled call, so masks would do nothing."""

from __future__ import annotations

import sys
from typing import Any

from torch import nn

from linnet.errors import TrainingError

REMEDY = (
    "Make the Pruner before the first compiled call; or, if another network of this class was compiled, call "
    "torch.compiler.reset() before Pruner(...)"
)


def refuse_compiled(model: nn.Module) -> None:
    """Raises when torch has already compiled and run the code of a network.

    Torch keeps what it compiled by code, not by object, and doesn't look at hooks when it uses it again: a second
    network of the same class would run without its masks as well.

    Args:
        model: The unwrapped network.

    Raises:
        TrainingError: with the module and the remedy.
    """
    dynamo: Any = sys.modules.get("torch._dynamo.eval_frame")  # not loaded: nothing was compiled
    kept = getattr(dynamo, "_debug_get_cache_entry_list", None)
    if kept is None:
        return
    for path, module in model.named_modules():
        code = getattr(type(module).forward, "__code__", None)
        if code is not None and kept(code):
            name = type(module).__name__
            raise TrainingError(
                f"`{path or name}` ({name}) was compiled by torch and called before: hooks that come now would be "
                f"ignored, and nothing masked. {REMEDY}."
            )
