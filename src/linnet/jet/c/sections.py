"""The C runtime in sections, of which a program takes the ones that it calls and those that these need."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

_MARK = re.compile(r"^/\*@ (\w+)(?: needs ([\w ]+))? \*/$", re.MULTILINE)


def sections(file: str, wanted: Iterable[str]) -> str:
    """The text of the wanted sections of one file of the runtime, with what they need there, in the file's order.

    Args:
        file: "portable" or "x86".
        wanted: Names of sections; those that the file hasn't are left out.
    """
    known = _parsed(file)
    needed: set[str] = set()
    waiting = [name for name in wanted if name in known]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [other for other in known[name][0] if other in known]
    return "\n".join(text for name, (_, text) in known.items() if name in needed)


@cache
def _parsed(file: str) -> dict[str, tuple[tuple[str, ...], str]]:
    text = (files("linnet.jet.c") / "runtime" / f"{file}.c").read_text()
    marks = list(_MARK.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return {
        mark[1]: (tuple((mark[2] or "").split()), text[mark.end() : end].strip("\n") + "\n")
        for mark, end in zip(marks, ends, strict=True)
    }
