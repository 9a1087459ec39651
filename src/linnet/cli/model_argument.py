"""MODEL on the command line: a name of linnet.models, file.py:factory, package.module:factory, or a saved file."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from linnet.errors import CheckpointError, InputError
from linnet.suggest import nearest

if TYPE_CHECKING:
    from torch import Tensor, nn

_FORMS = "a name of linnet.models, file.py:factory, package.module:factory, or a file saved by linnet"


def model_of(words: str) -> nn.Module:
    """The network that MODEL names.

    A factory is any callable that makes a module without arguments: a function or a class.

    Args:
        words: As typed.

    Raises:
        InputError: there is no such network, module, file or callable, or it makes something else.
        CheckpointError: a saved file can't be used.
    """
    from torch import nn

    place, colon, name = words.rpartition(":")
    if colon and name.isidentifier():
        model = _called(_factory(_module(place, words), name, words), words)
    elif words.endswith(".safetensors"):
        model = _saved(Path(words))
    else:
        model = _named(words)
    if not isinstance(model, nn.Module):
        raise InputError(f"`{words}` must give a torch.nn.Module (got an object of type {type(model).__name__}).")
    return model


def with_weights(model: nn.Module, path: Path) -> nn.Module:
    """The network with the values of a file: one that `linnet.save` wrote, or any safetensors file of its state dict.

    Raises:
        CheckpointError: the file isn't whole, or is of another network.
    """
    import safetensors.torch

    from linnet.engine import load
    from linnet.engine.files.tensor_file import kind_of

    if kind_of(path) is not None:
        return load(model, path)
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except RuntimeError as error:
        raise CheckpointError(f"{path}: {error} Give the weights of this network.") from error
    return model


def example_of(words: str) -> Tensor:
    """Zeros of a size such as 1x3x224x224, or 1x16:int64.

    Raises:
        InputError: the size or the type isn't valid.
    """
    import torch

    size, _, kind = words.partition(":")
    dtype = getattr(torch, kind or "float32", None)
    parts = size.lower().split("x")
    if not isinstance(dtype, torch.dtype) or not all(p.isdecimal() and int(p) > 0 for p in parts):
        raise InputError(f"`--input` must be a size, such as 1x3x224x224, or 1x16:int64 for tokens (got `{words}`).")
    return torch.zeros([int(p) for p in parts], dtype=dtype)


def own_input(words: str, model: nn.Module) -> str:
    """The size of one input that a network knows itself: from a run's weights, or from its `input_shape`.

    Args:
        words: MODEL as typed.
        model: The network of MODEL.

    Raises:
        InputError: the network doesn't know its input.
    """
    shape: Any = None
    if words.endswith(".safetensors"):
        from linnet.engine.files.tensor_file import kind_of
        from linnet.recipe.classifier_file import input_shape

        shape = input_shape(words) if kind_of(words) == "classifier" else None
    elif words.isidentifier():
        asked = inspect.signature(type(model)).parameters.get("input_shape")
        shape = None if asked is None else asked.default
    if not isinstance(shape, (tuple, list)):
        raise InputError(
            f"`--input` must be given, as `{words}` doesn't know the size of its input: --input 1x3x224x224."
        )
    return "x".join(map(str, (1, *shape)))


def _named(name: str) -> Any:
    from linnet import models

    if name not in models.names():
        raise InputError(f"MODEL must be {_FORMS} (got `{name}`){nearest(name, models.names())}")
    return models.create(name)


def _module(place: str, words: str) -> ModuleType:
    """A Python file or an importable module."""
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise InputError(f"MODEL `{words}`: the file {path} doesn't exist. Give {_FORMS}.")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)  # dataclasses and copies look their module up
        spec.loader.exec_module(module)
        return module
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise InputError(f"MODEL `{words}`: {error}. Give {_FORMS}.") from error


def _factory(module: ModuleType, name: str, words: str) -> Any:
    found = getattr(module, name, None)
    if not callable(found):
        what = "it isn't there" if found is None else f"it has the type {type(found).__name__}"
        makers = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise InputError(f"MODEL `{words}`: `{name}` must be a function or a class ({what}){nearest(name, makers)}")
    return found


def _called(factory: Any, words: str) -> Any:
    try:
        return factory()
    except TypeError as error:
        raise InputError(
            f"MODEL `{words}` must be callable without arguments ({error}). Write a function without arguments "
            "that returns the network, and name that."
        ) from error


def _saved(path: Path) -> Any:
    """The network inside a file that says how it is built."""
    from linnet.engine.files.tensor_file import kind_of

    kind = kind_of(path)
    if kind == "nucleus detector":
        from linnet import nuclei

        return nuclei.load(path).network
    if kind == "classifier":
        from linnet.recipe.classifier_file import load_classifier

        return load_classifier(path)
    held = "a file of another program" if kind is None else f"a {kind}"
    raise CheckpointError(
        f"{path} is {held}, which doesn't say how its network is built. Name the function that builds it: "
        f"file.py:factory --weights {path}"
    )
