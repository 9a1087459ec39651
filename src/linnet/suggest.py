"""A word among known ones, or the nearest ones for an error."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable

from linnet.errors import InputError


def one_of(argument: str, value: object, known: Collection[str]) -> str:
    """The value, if it is one of the known words.

    Args:
        argument: Its name, for the error.
        value: What was given.
        known: All words.

    Raises:
        InputError: it isn't; the nearest word is named.

    Example:
        >>> one_of("select", "global", ("global", "per_layer"))
        'global'
    """
    if isinstance(value, str) and value in known:
        return value
    near = meant(value, known, quoted="'{}'")
    raise InputError(f"`{argument}` must be one of {', '.join(map(repr, known))} (got {value!r}).{near}")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error about an unknown name: ". Did you mean `a` or `b`?", "; there are `c`, `d`.", or "."."""
    names = [name for name in known if name]  # a model itself has the empty path
    near = meant(name, names)
    if near or not names:
        return f".{near}"
    return f"; there are {', '.join(f'`{n}`' for n in names[:12])}{' ...' if len(names) > 12 else '.'}"


def meant(name: object, known: Iterable[object], quoted: str = "`{}`") -> str:
    """A question to add to an error: " Did you mean `a` or `b`?", or "" where no known word is near."""
    near = nearest_of(name, known)
    words = ", ".join(map(quoted.format, near))
    return f" Did you mean {' or '.join(words.rsplit(', ', 1))}?" if near else ""


def nearest_of(name: object, known: Iterable[object]) -> list[str]:
    """At most three known words that a misspelt one may stand for, the nearest first."""
    return difflib.get_close_matches(str(name), [str(word) for word in known], n=3, cutoff=0.5)
