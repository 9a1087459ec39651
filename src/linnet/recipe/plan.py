"""Plan: a recipe that was read and found good."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linnet.recipe.optimizer import OptimizerSection
from linnet.recipe.prune import PruneSection
from linnet.recipe.report import ReportSection
from linnet.recipe.section import plain
from linnet.recipe.tasks import RecipeTask
from linnet.recipe.train import TrainSection

SECTIONS: Mapping[str, type] = {
    "optimizer": OptimizerSection,
    "train": TrainSection,
    "prune": PruneSection,
    "report": ReportSection,
}
"""The sections of every recipe; a task adds its own. A new one is a file with a dataclass, and a line here."""

OPTIONAL = frozenset({"prune"})
"""Sections whose absence isn't the same as their defaults: nothing of the kind is done."""


@dataclass(frozen=True)
class Plan:
    """What is to be done.

    Attributes:
        path: The recipe.
        text: Its text.
        task: What it trains.
        sections: Each section by name, as an object of its dataclass; those left out have their defaults, an optional
            one is None.
    """

    path: Path
    text: str
    task: RecipeTask
    sections: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.sections[name]

    @property
    def optimizer(self) -> OptimizerSection:
        """[optimizer]."""
        return self.sections["optimizer"]

    @property
    def train(self) -> TrainSection:
        """[train]."""
        return self.sections["train"]

    @property
    def prune(self) -> PruneSection | None:
        """[prune], if the network shall become smaller."""
        return self.sections.get("prune")

    @property
    def report(self) -> ReportSection:
        """[report]."""
        return self.sections["report"]

    def beside(self, path: str) -> Path:
        """A path of the recipe: relative ones begin in its folder, `~` is the home folder."""
        return self.path.parent / Path(path).expanduser()

    def settings(self) -> dict[str, Any]:
        """Every value in force, as JSON holds it: {"task": name, "train": {"epochs": 3, ...}, ...}."""
        values = {name: plain(section) for name, section in self.sections.items() if section is not None}
        return {"task": self.task.name, **values}
