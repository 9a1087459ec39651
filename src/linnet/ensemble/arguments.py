"""Arguments of the ensemble's functions, checked once at the boundary: numbers, functions, paths, inputs."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch

from linnet.core.program.example import Example
from linnet.errors import InputError, LinnetError


def whole_number(argument: str, value: object, *, least: int, remedy: str = "") -> int:
    """The value, if it is a whole number that isn't too small.

    Args:
        argument: Its name, for the error.
        value: What was given.
        least: Smallest one that is allowed.
        remedy: What to do instead, a sentence at the end of the error.

    Raises:
        InputError: it is something else.

    Example:
        >>> whole_number("epochs", 3, least=1)
        3
    """
    integral = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not integral or int(value) < least:  # type: ignore[call-overload]
        raise InputError(f"`{argument}` must be a whole number >= {least} (got {value!r}).{remedy and f' {remedy}'}")
    return int(value)  # type: ignore[call-overload]


def positive_number(argument: str, value: object, *, zero: bool = False, remedy: str = "") -> float:
    """The value, if it is a finite number above 0.

    Args:
        argument: Its name, for the error.
        value: What was given.
        zero: Whether 0 is allowed too.
        remedy: What to do instead, a sentence at the end of the error.

    Raises:
        InputError: it is something else.

    Example:
        >>> positive_number("lr", 0.1)
        0.1
    """
    if not is_positive(value) and not (zero and not isinstance(value, bool) and value == 0):
        least = "a number, 0 or more" if zero else "a positive number"
        raise InputError(f"`{argument}` must be {least} (got {value!r}).{remedy and f' {remedy}'}")
    return float(value)  # type: ignore[arg-type]


def is_positive(value: object) -> bool:
    """Whether it is a finite number above 0."""
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < math.inf


def require_callable(argument: str, value: object, call: str, *given: str) -> None:
    """Refuses what can't be called with these positional arguments.

    Args:
        argument: Its name, for the error.
        value: What was given.
        call: How it is called, for the error: "train_one(model, member_index)".
        *given: Names of the positional arguments.

    Raises:
        InputError: it is no function, or takes other arguments.
    """
    if not callable(value):
        raise InputError(f"`{argument}` must be a function, called as {call} (got {value!r}).")
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # a function of C tells nothing about its arguments
        return
    try:
        signature.bind(*given)
    except TypeError as error:
        raise InputError(
            f"`{argument}` must be a function that can be called as {call} (got one that takes {signature})."
        ) from error


def file_path(path: object, suffix: str, *, call: str) -> Path:
    """The path of a file that can be written.

    Args:
        path: What was given as `path`.
        suffix: How it must end: ".onnx".
        call: The call in which it is given, for the error.

    Raises:
        InputError: it is no path, ends in another way, or its folder doesn't exist.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"`path` must be the path of a file (got a {type(path).__name__}). The order is {call}.")
    found = Path(path)
    if found.suffix != suffix:
        raise InputError(f"`path` must end in {suffix}, such as ens{suffix} (got {found}).")
    if not found.parent.is_dir():
        raise InputError(f"`path` must lie in a folder that exists (got {found}). Make {found.parent} first.")
    return found


@contextmanager
def running(argument: str, network: object, given: Any) -> Iterator[None]:
    """Inside, a network runs on inputs; what it raises becomes one error that names them.

    Args:
        argument: Name of the inputs.
        network: What runs.
        given: The inputs: a tensor, a tuple of arguments or a dict.

    Raises:
        InputError: the network can't run on them; its own error is the cause and is quoted.
    """
    try:
        yield
    except (LinnetError, torch.OutOfMemoryError):
        raise
    except (RuntimeError, TypeError, ValueError, LookupError, AttributeError, AssertionError) as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"`{argument}` must be inputs that `{type(network).__name__}` can run on (got {described(given)}: "
            f"{said.rstrip('.')}). Give inputs as the network takes them."
        ) from error


def described(given: Any) -> str:
    """Inputs in words: sizes and types of their tensors."""
    if isinstance(given, torch.Tensor):
        return f"{tuple(given.shape)} {str(given.dtype)[6:]}"
    try:
        return str(Example.of(given))
    except LinnetError:
        return type(given).__name__
