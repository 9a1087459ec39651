"""A word among known ones, or an error that names the nearest."""

from __future__ import annotations

from collections.abc import Sequence

from linnet.core.channels import nearest
from linnet.errors import InputError


def one_of(argument: str, value: object, known: Sequence[str]) -> str:
    """The value, if it is one of the known words.

    Args:
        argument: Its name, for the error.
        value: What came.
        known: All words.

    Raises:
        InputError: it isn't; the nearest word is named.

    Example:
        >>> one_of("select", "global", ("global", "per_layer"))
        'global'
    """
    if isinstance(value, str) and value in known:
        return value
    words = ", ".join(repr(word) for word in known)
    near = nearest(value, known) if isinstance(value, str) else ""
    meant = near.replace("`", "'") if near.startswith("; did") else "."
    raise InputError(f"`{argument}` is {value!r}; one of {words} is needed{meant}")
