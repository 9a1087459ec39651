"""A TOML file as text and tables, and one message with all that is wrong in it."""

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from linnet.errors import RecipeError
from linnet.recipe.toml.lines import Place
from linnet.recipe.toml.section import Problem

_LARGEST_BYTES = 2**20


def read_text(path: Path, what: str = "recipe") -> str:
    """The text of a TOML file.

    Args:
        path: The file.
        what: What it should be, in one word, for the errors.

    Raises:
        RecipeError: it is missing, too large, or no text.
    """
    try:
        content = path.read_bytes()
        if len(content) > _LARGEST_BYTES:
            raise RecipeError(
                f"{path} must have at most {_LARGEST_BYTES} bytes (got {len(content)}). Give a {what}, a TOML file."
            )
        return content.decode("utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(f"{path} does not exist. Give the path of a {what} (a TOML file).") from None
    except OSError as fault:
        raise RecipeError(
            f"{path} can't be read ({fault.strerror or fault}). Give the path of a {what} (a TOML file)."
        ) from fault
    except UnicodeDecodeError as fault:
        raise RecipeError(
            f"{path} must be text in UTF-8 (byte {fault.start} isn't). A {what} is a TOML file."
        ) from fault


def read_tables(path: Path, text: str) -> dict[str, Any]:
    """The tables of a TOML text.

    Raises:
        RecipeError: it isn't TOML; the line is shown.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as fault:
        raise RecipeError(f"{path} is not valid TOML.{_syntax(text, str(fault))}") from fault


def all_problems(
    path: Path, problems: Collection[Problem], lines: Mapping[Place, int], changed: Collection[Place] = ()
) -> str:
    """One message with every problem, each with its line.

    Args:
        path: The file.
        problems: At least one.
        lines: The line of each key and table.
        changed: Keys whose values came as overrides, which have no line.
    """
    placed = sorted(((_line(problem.path, lines), problem) for problem in problems), key=lambda pair: pair[0])
    count = "One thing" if len(problems) == 1 else f"{len(problems)} things"
    rows = [f"{path} can't be run. {count} must be changed:"]
    for line, problem in placed:
        overridden = problem.path in changed or (not line and problem.path in {(place[0],) for place in changed})
        place = "override: " if overridden else f"line {line}: " if line else ""
        rows.append(f"  {place}{problem.text}{'' if problem.text.endswith('?') else '.'}")
    return "\n".join(rows)


def _syntax(text: str, fault: str) -> str:
    """The reader's complaint with the line that it is about. (Its line is in its message only.)"""
    found = re.search(r"^(.*) \(at line (\d+), column (\d+)\)$", fault, re.DOTALL)
    if found is None:
        return f" {fault}."
    reason, line, column = found[1], int(found[2]), int(found[3])
    shown_line = text.split("\n")[line - 1].rstrip()[:100]
    return f" Line {line}, column {column}: {reason[:1].lower()}{reason[1:]}.\n  {shown_line}\n  {' ' * (column - 1)}^"


def _line(path: Place, lines: Mapping[Place, int]) -> int:
    """The line of a key; if it isn't there, that of its section; if that isn't either, 0."""
    return next((lines[path[:length]] for length in range(len(path), 0, -1) if path[:length] in lines), 0)
