"""The C files in a folder, with an example, a Makefile and a page for who builds them."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path
from string import Template

from linnet.errors import InputError
from linnet.jet.c.source import CSource, c_source, identifier, pixel_type
from linnet.jet.integer.graph import IntegerGraph
from linnet.results.files import atomic_write


def write_c(
    graph: IntegerGraph, directory: str | os.PathLike[str], name: str, *, word_bits: int, overwrite: bool
) -> list[Path]:
    """Writes name.c, name.h, main.c, Makefile and README.md; each is whole or absent.

    Args:
        graph: The program.
        directory: The folder, made if it is missing.
        name: Of function and files.
        word_bits: 64 or 32.
        overwrite: Whether files that stand there may be replaced; others are never touched.

    Returns:
        The paths.

    Raises:
        InputError: the name is no C identifier, or the folder holds files and `overwrite` is False.
    """
    name = identifier(name)
    made = c_source(graph, name, word_bits)
    texts = {f"{name}.c": made.source, f"{name}.h": made.header, **_beside(graph, name, made)}
    return write_folder(directory, texts, overwrite=overwrite)


def write_folder(directory: str | os.PathLike[str], texts: dict[str, str], *, overwrite: bool) -> list[Path]:
    """Writes text files into a folder that is empty or new, or replaces those of the same names.

    Raises:
        InputError: the place is no path or a file, or the folder holds files and `overwrite` is False.
    """
    if not isinstance(directory, (str, os.PathLike)) or not os.fspath(directory):
        raise InputError(f'`directory` must be the path of a folder (got {directory!r}). E.g. "net_c".')
    folder = Path(directory)
    if folder.exists() and not folder.is_dir():
        raise InputError(f"`directory` must be a folder (got the file {folder}). Give another path.")
    found = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if found and not overwrite:
        raise InputError(
            f"`directory` must be empty or new (got {folder}, which holds {', '.join(found[:4])}). Give another "
            "folder, or set `overwrite` to replace the files of the same names."
        )
    folder.mkdir(parents=True, exist_ok=True)
    return [atomic_write(folder / name, text) for name, text in texts.items()]


def _beside(graph: IntegerGraph, name: str, made: CSource) -> dict[str, str]:
    words = {
        "name": name,
        "upper": name.upper(),
        "pixel": pixel_type(graph),
        "tables": f"{made.table_bytes:,}",
        "workspace": f"{made.workspace_bytes:,}",
        "hash": graph.hash,
    }
    folder = files("linnet.jet.c") / "runtime"
    names = {"main.c": "example.c", "Makefile": "Makefile.txt", "README.md": "README.txt"}
    return {target: Template((folder / source).read_text()).substitute(words) for target, source in names.items()}
