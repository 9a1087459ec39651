"""Option values: rare arguments grouped in a frozen dataclass, with keywords for each of its fields beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, TypeVar

from linnet.errors import InputError

T = TypeVar("T")


class _Unset:
    """The default of a keyword whose real default stands in an option value."""

    def __repr__(self) -> str:
        return "<default>"


UNSET: Final[Any] = _Unset()  # None can be a value, so it can't mean "not given"


def option_value(
    argument: str, value: T | None, defaults: T, *, renamed: Mapping[str, str] = MappingProxyType({}), **keywords: Any
) -> T:
    """One option value, from the option value or the keywords that a caller gave.

    Args:
        argument: The argument that takes the option value, for the error.
        value: The option value given; None if there was none.
        defaults: The option value that counts where none was given.
        renamed: Keyword -> the field that it stands for, where the two have different names.
        keywords: What was given for each keyword (`UNSET` if nothing was).

    Returns:
        `value`, or `defaults` with the keywords put in.

    Raises:
        InputError: `value` is of another type, or a keyword disagrees with it; both are named.
    """
    kind = type(defaults).__name__
    given = {key: (renamed.get(key, key), wanted) for key, wanted in keywords.items() if wanted is not UNSET}
    if value is None:
        return replace(defaults, **dict(given.values()))  # pyright: ignore[reportArgumentType, reportCallIssue]
    if not isinstance(value, type(defaults)):
        raise InputError(f"`{argument}` must be a linnet {kind} or None (got {value!r}).")
    for key, (field, wanted) in given.items():
        held = getattr(value, field)
        if not _agree(held, wanted):
            raise InputError(
                f"`{key}` is {wanted!r}, but `{argument}` has {field}={held!r}. Give it once: "
                f"{argument}={kind}({field}={wanted!r}, ...), without `{key}`."
            )
    return value


def _agree(a: Any, b: Any) -> bool:
    """Whether two values mean the same: 1 (step) and 1.0 (the whole) don't, "runs/a" and Path("runs/a") do."""
    a, b = (os.fspath(value) if isinstance(value, os.PathLike) else value for value in (a, b))
    return type(a) is type(b) and a == b
