"""A module's forward with other values for its tensors, where modules or parameters stand at several places."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def call_with(module: nn.Module, values: Mapping[str, Tensor], args: tuple[Any, ...]) -> Any:
    """What the module gives with other parameters and buffers; it is left as it was.

    `torch.func.functional_call` leaves a foreign tensor in a module that is registered at two paths (torch 2.13, with
    `tie_weights=True`): here each module's tensor is swapped once, under the path that comes first.

    Args:
        module: The module.
        values: Parameter or buffer, by the first name that the module gives it -> value; the others keep theirs.
        args: Of the forward.
    """
    tensors = (*module.named_parameters(), *module.named_buffers())
    first = {id(tensor): name for name, tensor in tensors}
    places: dict[str, Tensor] = {}
    for path, part in module.named_modules():
        own = (
            *part.named_parameters(recurse=False, remove_duplicate=False),
            *part.named_buffers(recurse=False, remove_duplicate=False),
        )
        for leaf, tensor in own:
            if first[id(tensor)] in values:
                places[f"{path}.{leaf}" if path else leaf] = values[first[id(tensor)]]
    return torch.func.functional_call(module, places, args, tie_weights=False)
