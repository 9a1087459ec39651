"""In which line of a TOML text each table and each key stands."""

import tomllib
from typing import Any

Place = tuple[str, ...]
"""Names from the outermost table to the key: ("train", "epochs")."""


def lines_of(text: str) -> dict[Place, int]:
    """The line, from 1, in which each table and each key of a TOML text begins.

    Python's TOML reader tells no lines. So the text is cut into statements: beginning at a line, lines are added until
    those so far are valid TOML by themselves. (No beginning of a longer statement is: its string, list or table would
    still be open.) The reader then also says which names the statement sets, quoted and dotted ones included.

    Args:
        text: Valid TOML.

    Returns:
        Line of every path, inner keys of inline tables among them.
    """
    found: dict[Place, int] = {}
    table: Place = ()
    gathered: list[str] = []
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), start=1):
        if not gathered and (not line.strip() or line.lstrip().startswith("#")):
            continue
        gathered.append(line)
        try:
            statement = tomllib.loads("\n".join(gathered))
        except tomllib.TOMLDecodeError:
            continue
        first = number - len(gathered) + 1
        if gathered[0].lstrip().startswith("["):
            table = _paths(statement)[-1]
            _note(found, table, first)
        else:
            for path in _paths(statement):
                _note(found, table + path, first)
        gathered = []
    return found


def _note(found: dict[Place, int], path: Place, line: int) -> None:
    for length in range(1, len(path) + 1):
        found.setdefault(path[:length], line)


def _paths(value: Any) -> list[Place]:
    """All paths in nested tables, each table before what is in it, lists of tables entered at their first."""
    if isinstance(value, list) and value:
        return _paths(value[0])
    if not isinstance(value, dict):
        return []
    paths: list[Place] = []
    for key, inner in value.items():
        paths.append((key,))
        paths += [(key, *rest) for rest in _paths(inner)]
    return paths
