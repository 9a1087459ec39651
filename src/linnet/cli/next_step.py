"""The last lines of every verb: where the result is, and what to do next."""

import os
import shutil
import sys
from pathlib import Path


def closing(where: Path | str, then: str) -> None:
    """Prints where the result is and what to type next."""
    print()
    print(f"Result: {where}")
    print(f"Next:   {runnable(then)}")


def runnable(command: str) -> str:
    """A command line that begins with `linnet`, so that it can be typed as it stands.

    Where `linnet` isn't found by its name (its environment isn't active), the path of the running program takes its
    place, relative to the current folder when it lies inside.
    """
    program = Path(sys.argv[0])
    if not command.startswith("linnet ") or shutil.which("linnet") or program.stem != "linnet":
        return command
    relative = os.path.relpath(program)
    return (str(program) if relative.startswith("..") else relative) + command.removeprefix("linnet")
