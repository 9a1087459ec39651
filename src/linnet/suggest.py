"""A word among known ones, the nearest ones for an error, and whether a value is a number in a range."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable
from numbers import Integral, Real

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


def is_whole(value: object, least: int) -> bool:
    """Whether it is a whole number (of Python or NumPy; True isn't one) that isn't too small.

    Example:
        >>> is_whole(3, 1), is_whole(0, 1), is_whole(2.0, 1), is_whole("3", 1)
        (True, False, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def is_number(value: object, least: float = -math.inf, *, above: bool = False) -> bool:
    """Whether it is a finite number that isn't too small; `above` asks for more than `least`.

    Example:
        >>> is_number(0.5, 0.0), is_number(float("nan")), is_number("0.5"), is_number(0.0, 0.0, above=True)
        (True, False, False, False)
    """
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(float(value)):
        return False
    return float(value) > least or (not above and float(value) == least)


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
