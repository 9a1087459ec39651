"""What a recipe can train: tasks, found through the entry points of installed packages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from linnet.engine.loader import Loader
from linnet.engine.task import Task
from linnet.errors import RecipeError
from linnet.results import Record

if TYPE_CHECKING:
    from linnet.recipe.plan import Plan

GROUP = "linnet.tasks"
"""Group of the entry points; each names a `RecipeTask`."""


@dataclass(frozen=True)
class Built:
    """A task made ready for one plan.

    Attributes:
        model: The network, freshly initialised.
        task: Its loss and validation.
        loader: Its batches.
        evaluate: Measures the trained network; gives the records of the run.
        save: Writes the trained network to the path given, whole or not at all, and returns where it is.
        example: One input of the network, which [prune] traces it with; None: it can't be pruned.
    """

    model: nn.Module
    task: Task
    loader: Loader
    evaluate: Callable[[nn.Module], list[Record]]
    save: Callable[[nn.Module, Path], Path]
    example: Any = None


@dataclass(frozen=True)
class RecipeTask:
    """Something that a recipe can train.

    Attributes:
        name: What stands behind `task =`.
        sections: Dataclass of each section that it reads besides those of every recipe: [data], [model].
        build: Makes it ready. Reads the data, so it may take a while, and may raise any `LinnetError`.
        watch: Metric of its validation that early stopping looks at, and which way it improves.
        loss: Name of the loss by which natural gradient knows it: "mse" or "cross_entropy" of batches (inputs,
            targets); None where it is another.
        settled: Gives the plan that is really done, where that depends on what is on this machine; None: as it is.
    """

    name: str
    sections: Mapping[str, type]
    build: Callable[[Plan], Built]
    watch: tuple[str, Literal["min", "max"]]
    loss: Literal["mse", "cross_entropy"] | None = None
    settled: Callable[[Plan], Plan] | None = None


def installed() -> dict[str, EntryPoint]:
    """Entry point of each task that an installed package offers; none is imported."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def find_task(name: str) -> RecipeTask:
    """The task called `name`.

    Raises:
        RecipeError: no installed package offers it, or what is offered can't be imported or is no task.
    """
    known = installed()
    if name not in known:
        raise RecipeError(f'"{name}" is no task.{_instead(name, list(known))}')
    where = known[name].value
    try:
        task: Any = known[name].load()
    except (ImportError, AttributeError) as fault:
        raise RecipeError(f'the task "{name}" ({where}) can\'t be loaded: {fault}.') from fault
    if not isinstance(task, RecipeTask):
        raise RecipeError(f'the task "{name}" ({where}) is a {type(task).__name__}; a RecipeTask is needed.')
    return task


def _instead(name: str, known: list[str]) -> str:
    if not known:
        return " No task is installed, because linnet isn't: run `pip install .` in its checkout."
    near = get_close_matches(name, known, n=1)
    meant = f' Did you mean "{near[0]}"?' if near else ""
    return f"{meant} Installed: " + ", ".join(f'"{task}"' for task in known) + "."
