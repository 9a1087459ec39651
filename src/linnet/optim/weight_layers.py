"""Weight layers as far as they are known before the first forward."""

from torch import nn


def weight_layers(model: nn.Module) -> tuple[str, ...]:
    """Paths of the modules that own trainable parameters; a parametrised layer counts once.

    A module that is never called counts to the one above it, which only a forward can show.
    """
    seen: set[int] = set()
    owners: dict[str, None] = {}
    for path, module in model.named_modules():
        for parameter in module.parameters(recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                owners[f".{path}".partition(".parametrizations.")[0][1:]] = None
    return tuple(owners)
