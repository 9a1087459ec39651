"""[model] of an image classifier: which network, how deep, how wide."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from linnet import models
from linnet.errors import InputError
from linnet.recipe.toml.setting import setting

_CLASSIFIERS = ("tiny", "convnet", "mlp", "resnet")


@dataclass(frozen=True)
class ClassifierSection:
    """A classifier of `linnet.models`; what isn't set has the network's own default.

    Attributes:
        name: Which network.
        depth: Weighted layers (resnet).
        width: Channels of the first stage (tiny, resnet).
        hidden: Width of each hidden layer (mlp).
        widths: Channels after each convolution (convnet).
    """

    name: str = setting("the network", choices=_CLASSIFIERS)
    depth: int | None = setting("weighted layers of a resnet, 6n + 2", default=None)
    width: int | None = setting("channels of the first stage", default=None, at_least=1, at_most=4096)
    hidden: tuple[int, ...] | None = setting("width of each hidden layer", default=None, at_least=1, at_most=65536)

    widths: tuple[int, ...] | None = setting("channels of each layer", default=None, at_least=1, at_most=4096)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Options that this network doesn't have, or refuses."""
        known = [key for key in models.options(self.name) if key in vars(self)]
        foreign = [key for key in self.options() if key not in known]
        for key in foreign:
            yield key, f'`{key}` isn\'t an option of "{self.name}", which has {" and ".join(known)}; remove it'
        try:
            if not foreign:
                with torch.device("meta"):  # shapes only, so that this costs nothing
                    models.create(self.name, **self.options())
        except InputError as refusal:
            said = str(refusal).rstrip(".")
            yield next((key for key in self.options() if f"`{key}`" in said), "name"), said

    def options(self) -> dict[str, object]:
        """What was set, as `linnet.models.create` takes it."""
        return {key: value for key, value in vars(self).items() if key != "name" and value is not None}

    def build(self, *, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """The network for images (channels, height, width) and so many classes."""
        return models.create(self.name, input_shape=input_shape, classes=classes, **self.options())
