"""A word among known ones, or an error that names the nearest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

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


def nearest(name: str, known: Iterable[str]) -> str:
    """How a sentence ends about a name that isn't known: "; did you mean `a` or `b`?", "; there are `c`, `d`.", "."."""
    names = [name for name in known if name]  # a model itself has the empty path
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        return "; did you mean " + " or ".join(f"`{n}`" for n in near) + "?"
    return f"; there are {', '.join(f'`{n}`' for n in names[:6])}{' ...' if len(names) > 6 else '.'}" if names else "."
