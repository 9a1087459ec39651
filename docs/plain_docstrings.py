"""Sphinx extension: docstrings are plain text with `code`, not reStructuredText, so its special signs are escaped."""

import re

from sphinx.application import Sphinx

_CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
_SIGNS = re.compile(r"([*|\\]|(?<=\w)_(?!\w))")
_BEFORE_NAPOLEON = 400


def setup(app: Sphinx) -> dict[str, bool]:
    """Runs before napoleon, which reads the Google sections."""
    app.connect("autodoc-process-docstring", _plain, priority=_BEFORE_NAPOLEON)
    return {"parallel_read_safe": True}


def _plain(_app: Sphinx, what: str, _name: str, _subject: object, _options: object, lines: list[str]) -> None:
    lines[:] = drawings_kept(lines) if what == "module" else escaped(lines)


def escaped(lines: list[str]) -> list[str]:
    """The lines with signs escaped, except in `code` and in examples (>>> and the output below)."""
    result, example = [], False
    for line in lines:
        example = line.lstrip().startswith(">>>") or (example and bool(line.strip()))
        result.append(line if example else _escape(line))
    return result


def drawings_kept(lines: list[str]) -> list[str]:
    """The lines of a module's docstring, where an indented part is a drawing or a table and stays as it is."""
    result: list[str] = []
    for k, line in enumerate(lines):
        indented = line.startswith("    ")
        if indented and not (k and (lines[k - 1].startswith("    ") or _inside(lines, k))):
            result += ["::", ""]
        result.append(line if indented else _escape(line))
    return result


def _inside(lines: list[str], k: int) -> bool:
    """Whether the blank lines before line k lie inside an indented part."""
    before = next((line for line in reversed(lines[:k]) if line.strip()), "")
    return before.startswith("    ")


def _escape(line: str) -> str:
    parts = _CODE.split(line)
    return "".join(part if part.startswith("`") else _SIGNS.sub(r"\\\1", part) for part in parts)
