"""Plain networks, made by name."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from torch import nn

from linnet.errors import InputError
from linnet.models.convnet import ConvNet
from linnet.models.mlp import MLP
from linnet.models.ntk_perceptron import NTKPerceptron, ntk_mlp
from linnet.models.resnet import BasicBlock, ResNet, resnet20, resnet56
from linnet.models.tiny import Tiny
from linnet.models.unet import ResidualUNet, SmallUNet
from linnet.models.vgg import VGG, vgg16
from linnet.suggest import one_of

__all__ = [
    "MLP",
    "VGG",
    "BasicBlock",
    "ConvNet",
    "NTKPerceptron",
    "ResNet",
    "ResidualUNet",
    "SmallUNet",
    "Tiny",
    "create",
    "names",
    "ntk_mlp",
    "options",
    "resnet20",
    "resnet56",
    "vgg16",
]

# A new network is one line here. All its options have defaults, so that its name alone makes one.
_FACTORIES: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {
        "convnet": ConvNet,
        "mlp": MLP,
        "residual_unet": ResidualUNet,
        "resnet": ResNet,
        "resnet20": resnet20,
        "resnet56": resnet56,
        "small_unet": SmallUNet,
        "tiny": Tiny,
        "vgg": VGG,
        "vgg16": vgg16,
    }
)


def names() -> tuple[str, ...]:
    """What `create` can make, sorted."""
    return tuple(sorted(_FACTORIES))


def options(name: str) -> tuple[str, ...]:
    """The options of the network called `name`.

    Raises:
        InputError: there is no such network.
    """
    return tuple(inspect.signature(_factory(name)).parameters)


def create(name: str, **chosen: Any) -> nn.Module:
    """A freshly initialised network.

    Args:
        name: One of `names()`.
        **chosen: Options of that network, such as input_shape=(1, 28, 28), classes=10, width=8.

    Raises:
        InputError: there is no such network, or it has no such option, or a value is out of its range.
    """
    factory = _factory(name)
    known = options(name)
    for option in chosen:
        if option not in known:
            raise InputError(f"`{option}` isn't an option of the network {name!r}. Its options: {', '.join(known)}.")
    return factory(**chosen)


def _factory(name: str) -> Callable[..., nn.Module]:
    return _FACTORIES[one_of("name", name, names())]
