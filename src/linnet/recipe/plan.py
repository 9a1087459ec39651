"""Plan: a recipe that was read and found good, and the task that carries it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from linnet.engine.loader import Loader
from linnet.engine.task import Task
from linnet.recipe.sections.hatch import HatchSection
from linnet.recipe.sections.optimizer import OptimizerSection
from linnet.recipe.sections.prune import PruneSection
from linnet.recipe.sections.report import ReportSection
from linnet.recipe.sections.train import TrainSection
from linnet.recipe.sections.uncertainty import CalibrateSection, EvaluateSection, ExportSection
from linnet.recipe.toml.section import plain
from linnet.results import Record

SECTIONS: Mapping[str, type] = {
    "optimizer": OptimizerSection,
    "train": TrainSection,
    "prune": PruneSection,
    "hatch": HatchSection,
    "calibrate": CalibrateSection,
    "evaluate": EvaluateSection,
    "export": ExportSection,
    "report": ReportSection,
}
"""The sections of every recipe; a task adds its own. A new one is a file with a dataclass, and a line here."""

OPTIONAL = frozenset({"prune", "hatch", "calibrate", "evaluate", "export"})
"""Sections whose absence isn't the same as their defaults: nothing of the kind is done."""


@dataclass(frozen=True)
class HeldOut:
    """Images that no training sees, for an ensemble's calibration and measurement.

    Attributes:
        validation: (images, labels); images as bytes (N, C, H, W).
        test: The same.
        prepare: Images as bytes, or as floats in 0..1, to what the network takes.
        classes: Names.
    """

    validation: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    prepare: Callable[[Tensor], Tensor]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Built:
    """A task made ready for one plan.

    Attributes:
        model: The network, freshly initialised.
        task: Its loss and validation.
        loader: Its batches.
        evaluate: Measures the trained network; gives the records of the run.
        save: Writes the trained network to the path given, whole or not at all, and returns where it is.
        example: One input of the network, which [prune] and [hatch] trace it with; None: it can't be traced.
        held_out: What [hatch] calibrates and measures on; None: the task has no classes.
    """

    model: nn.Module
    task: Task
    loader: Loader
    evaluate: Callable[[nn.Module], list[Record]]
    save: Callable[[nn.Module, Path], Path]
    example: Any = None
    held_out: HeldOut | None = None


@dataclass(frozen=True)
class RecipeTask:
    """Something that a recipe can train.

    Attributes:
        name: What stands behind `task =`.
        sections: Dataclass of each section that it reads besides those of every recipe: [data], [model].
        build: Makes it ready. Reads the data, so it may take a while, and may raise any `LinnetError`.
        watch: Metric of its validation that early stopping looks at, and which way it improves.
        loss: Natural gradient's name of its loss: "mse" or "cross_entropy" of batches (inputs, targets); None where it
            is another.
        settled: Gives the plan that is really carried out, where that depends on this machine's files; None: as it is.
    """

    name: str
    sections: Mapping[str, type]
    build: Callable[[Plan], Built]
    watch: tuple[str, Literal["min", "max"]]
    loss: Literal["mse", "cross_entropy"] | None = None
    settled: Callable[[Plan], Plan] | None = None


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
        """[prune], if the network is to become smaller."""
        return self.sections.get("prune")

    @property
    def hatch(self) -> HatchSection | None:
        """[hatch], if the network is to become an ensemble."""
        return self.sections.get("hatch")

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
