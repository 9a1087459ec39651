"""One TOML file describes a run; `run` does it, and leaves a folder with weights, records and a report."""

from typing import TYPE_CHECKING

from linnet.lazy_names import lazy_names

if TYPE_CHECKING:
    from linnet.recipe.parsing import parse as parse
    from linnet.recipe.plan import Built as Built, Plan as Plan, RecipeTask as RecipeTask
    from linnet.recipe.preview import dry_run as dry_run
    from linnet.recipe.runner import run as run
    from linnet.recipe.tasks import find_task as find_task, installed as installed
    from linnet.recipe.toml.section import Problem as Problem
    from linnet.recipe.toml.setting import Setting as Setting, setting as setting

__getattr__, __dir__, __all__ = lazy_names(__name__, __file__)
