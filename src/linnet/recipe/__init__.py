"""One TOML file describes a run; `run` does it, and leaves a folder with weights, records and a report."""

from linnet.recipe.dry_run import dry_run
from linnet.recipe.parse import parse
from linnet.recipe.plan import Plan
from linnet.recipe.run import run
from linnet.recipe.section import Problem
from linnet.recipe.setting import Setting, setting
from linnet.recipe.tasks import Built, RecipeTask, find_task, installed

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
