"""What a recipe can train: tasks, found through the entry points of installed packages."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from linnet.errors import RecipeError
from linnet.recipe.plan import RecipeTask
from linnet.suggest import meant

GROUP = "linnet.tasks"
"""Group of the entry points; each names a `RecipeTask`."""


def installed() -> dict[str, EntryPoint]:
    """Entry point of each task that an installed package offers; none is imported."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def find_task(name: str) -> RecipeTask:
    """The task called `name`.

    Raises:
        RecipeError: no installed package offers it, or what it offers can't be imported or isn't a task.
    """
    known = installed()
    if not known:
        raise RecipeError("No task is installed, because linnet isn't. Run `pip install .` in its checkout.")
    if name not in known:
        tasks, near = ", ".join(f'"{task}"' for task in known), meant(name, known, quoted='"{}"')
        raise RecipeError(f'`task` must be an installed task (got "{name}").{near} Installed: {tasks}.')
    where = known[name].value
    try:
        task: Any = known[name].load()
    except (ImportError, AttributeError) as fault:
        raise RecipeError(f'The task "{name}" ({where}) can\'t be loaded: {fault}.') from fault
    if not isinstance(task, RecipeTask):
        raise RecipeError(f'The task "{name}" ({where}) must be a RecipeTask (got a {type(task).__name__}).')
    return task
