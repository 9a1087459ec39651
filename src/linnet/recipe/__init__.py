"""One TOML file describes a run; `run` does it, and leaves a folder with weights, records and a report."""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.recipe.parsing import parse
    from linnet.recipe.plan import Built, Plan, RecipeTask
    from linnet.recipe.preview import dry_run
    from linnet.recipe.runner import run
    from linnet.recipe.tasks import find_task, installed
    from linnet.recipe.toml.section import Problem
    from linnet.recipe.toml.setting import Setting, setting

__all__ = [
    "Built",
    "Plan",
    "Problem",
    "RecipeTask",
    "Setting",
    "dry_run",
    "find_task",
    "installed",
    "parse",
    "run",
    "setting",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    __all__,
    {
        "preview": "dry_run",
        "parsing": "parse",
        "plan": "Built Plan RecipeTask",
        "runner": "run",
        "toml.section": "Problem",
        "toml.setting": "Setting setting",
        "tasks": "find_task installed",
    },
)
