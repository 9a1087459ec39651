"""run: a recipe becomes a run folder with weights, records and a report."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import nn

from linnet.engine import Average, EarlyStop, FitResult, Ranks, fit
from linnet.errors import RecipeError
from linnet.recipe.parse import parse
from linnet.recipe.plan import Plan
from linnet.recipe.tasks import Built, RecipeTask, find_task
from linnet.report import write_report
from linnet.results import Record, RunFolder, atomic_write, write_records

_log = logging.getLogger(__name__)


def run(
    path: Path | str,
    *,
    out: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    task_named: Callable[[str], RecipeTask] = find_task,
) -> RunFolder:
    """Does what a recipe says, or what is left of it to do.

    The stages are train, evaluate and report; each ends with one whole file in the run folder (`weights.safetensors`,
    `record.jsonl`, `report.html`). A stage whose file is there isn't done again: a run that was killed goes on where it
    was (training from its last checkpoint, to the same bits), and one that is finished is left alone. Under `torchrun`
    all processes train, and the first one does the rest.

    Args:
        path: The recipe.
        out: The run folder; None: `runs/<name of the recipe>` in the current folder.
        overrides: Values that replace the recipe's, by dotted name: {"train.epochs": 1}. Relative paths among them
            begin in the current folder.
        task_named: Gives the task of a name.

    Returns:
        The run folder.

    Raises:
        RecipeError: the recipe can't be used (every reason is given), or the folder holds something else.
        LinnetError: what the stages raise: data that can't be read, a loss that is NaN, ...
    """
    plan = parse(path, overrides=overrides, task_named=task_named)
    if plan.task.settled is not None:
        plan = plan.task.settled(plan)
    place = Path("runs") / plan.path.stem if out is None else Path(out)
    _refuse_other_content(place, plan)
    if all((place / stage.product).exists() for stage in _STAGES):
        _log.info("%s is finished; its report is %s. Nothing was done.", place, place / _STAGES[-1].product)
        return RunFolder.open(place)
    rank = Ranks.join(plan.train.compute()).rank
    work = _Work(plan, RunFolder(place))
    if not (place / "run.json").exists():
        _ = work.built  # data that can't be read leaves no folder behind
    if rank == 0:
        _write_start(place, plan)
    for stage in _STAGES:
        if (place / stage.product).exists():
            continue
        if stage.trained:
            _ = work.model  # every process takes part
        if rank == 0:
            _log.info("%s: %s", place, stage.name)
            stage.do(work)
    return work.folder


@dataclass(frozen=True)
class _Work:
    """A plan under way; what a stage needs is made when it asks."""

    plan: Plan
    folder: RunFolder

    @cached_property
    def built(self) -> Built:
        return self.plan.task.build(self.plan)

    @cached_property
    def result(self) -> FitResult:
        """The training, done, or gone on with, or (when it was complete) read from its last checkpoint."""
        train, built = self.plan.train, self.built
        metric, mode = self.plan.task.watch
        return fit(
            built.model,
            built.task,
            built.loader,
            optimizer=self.plan.optimizer.build(built.model, loss=self.plan.task.loss),
            epochs=train.epochs,
            schedule=train.rate(),
            compute=train.compute(),
            folder=self.folder.checkpoints,
            checkpoint_every=train.checkpoint_every,
            grad_clip=train.grad_clip,
            listeners=self.plan.optimizer.listeners(),
            early_stop=EarlyStop(metric, train.early_stop, mode) if train.early_stop else None,
            rng_seed=train.rng_seed,
            average=Average(train.average) if train.average else None,
        )

    @cached_property
    def model(self) -> nn.Module:
        """The trained network, in eval mode; with averaged weights if they were asked for."""
        model = self.result.model
        if self.result.averaged is not None:
            model.load_state_dict(self.result.averaged)
        return model.eval()


@dataclass(frozen=True)
class _Stage:
    """A part of a run.

    Attributes:
        name: What it does.
        product: File in the run folder that is there, whole, when the stage is done.
        do: Does it; writes the product last.
        trained: Whether it needs the trained network.
    """

    name: str
    product: str
    do: Callable[[_Work], object]
    trained: bool


def _evaluate(work: _Work) -> None:
    """Writes the course of training and the results in one piece, so that doing it again adds nothing twice."""
    write_records(work.folder.path / "record.jsonl", [*work.built.evaluate(work.model), *_course(work)])


def _course(work: _Work) -> list[Record]:
    """A record for each number of each epoch; the `epoch` in its context makes it a point of a curve."""
    rng_seed = work.plan.train.rng_seed
    records = []
    for epoch in work.result.history:
        numbers = {("loss", "train"): epoch.loss, ("lr", ""): epoch.lr}
        numbers |= {(name, "train"): value for name, value in epoch.metrics.items()}
        numbers |= {(name, "validation"): value for name, value in epoch.validation.items()}
        records += [
            Record.measured(name, value, split=split, rng_seed=rng_seed, context={"epoch": epoch.epoch + 1})
            for (name, split), value in numbers.items()
        ]
    return records


def _report(work: _Work) -> None:
    title = work.plan.report.title or work.folder.path.resolve().name
    sets = sorted({str(record.context["data"]) for record in work.folder.records() if "data" in record.context})
    lead = f"Data: {', '.join(sets)}." if sets else ""
    write_report(work.folder.path, work.folder.path / "report.html", title=title, lead=lead)


_STAGES = (
    _Stage("train", "weights.safetensors", lambda work: work.built.save(work.model, work.folder.weights), trained=True),
    _Stage("evaluate", "record.jsonl", _evaluate, trained=True),
    _Stage("report", "report.html", _report, trained=False),
)


def _write_start(place: Path, plan: Plan) -> None:
    """Makes the run folder if it isn't there, and puts the recipe in it."""
    if not (place / "run.json").exists():
        facts = {"recipe": plan.path.name, "settings": plan.settings()}
        RunFolder.create(place.parent, place.name, rng_seeds={"train": plan.train.rng_seed}, facts=facts)
    atomic_write(place / "recipe.toml", plan.text)


def _refuse_other_content(place: Path, plan: Plan) -> None:
    """A folder may be absent, empty, or hold a run with the same settings."""
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return
    if not (place / "run.json").is_file():
        what = "a folder with other things in it" if place.is_dir() else "a file"
        raise RecipeError(f"{place} is {what}; give the run a new or empty folder (`out`).")
    differences = _differences(RunFolder.open(place).facts.get("settings"), plan.settings())
    if differences:
        raise RecipeError(
            f"{place} holds a run with other settings: {'; '.join(differences)}. "
            "Give another folder (`out`), or remove this one to start anew."
        )


def _differences(before: Any, now: dict[str, Any]) -> list[str]:
    """What differs between two sets of settings, in words."""
    if not isinstance(before, dict):
        return ["it wasn't made from a recipe"]
    flat = [_flat(before), _flat(now)]
    names = list(dict.fromkeys([*flat[0], *flat[1]]))
    absent = "not there"
    pairs = [(name, flat[0].get(name, absent), flat[1].get(name, absent)) for name in names]
    return [f"{name} was {old!r} and is {new!r}" for name, old, new in pairs if old != new]


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        f"{section}.{key}": value
        for section, values in settings.items()
        for key, value in (values.items() if isinstance(values, dict) else [("", values)])
    }
