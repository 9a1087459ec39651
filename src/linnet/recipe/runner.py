"""run: a recipe becomes a run folder with weights, records and a report."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from linnet.core.distributed import numbers_of_first
from linnet.engine import FitResult, Ranks
from linnet.prune import export
from linnet.recipe.ensembles import CALIBRATION, ENSEMBLE, UNCERTAINTY
from linnet.recipe.ensembles import ONNX as ENSEMBLE_ONNX
from linnet.recipe.folder import folder_of, is_prolonged, is_whole, only_one, prolong
from linnet.recipe.parsing import parse
from linnet.recipe.plan import Plan, RecipeTask
from linnet.recipe.stages import Work
from linnet.recipe.tasks import find_task
from linnet.report import write_report
from linnet.report.ensemble.sections import uncertainty_sections
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
    `record.jsonl`, `report.html`). With [prune] the weights are those of the small network, `plan.json` says which
    channels stayed and `life.json` how many were in use when; the network that isn't pruned is trained beside it if
    `compare` asks for it, and `model.onnx` is there if `export` does. With [hatch] the members follow
    (`ensemble.safetensors`), with [calibrate] their temperature (`calibration.json`), with [export] `ensemble.onnx`,
    and `uncertainty.json` has the numbers of the report's pictures. A stage whose file is there isn't done again: a
    run that was killed goes on where it was (training from its last checkpoint, to the same bits), and one that is
    finished is left alone, or trained further where the recipe has more epochs now. Weights count as there only
    if their digest is right. One process at a time works in a folder. Under `torchrun` all processes train, and
    the first one does the rest.

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
    place = folder_of(plan, out)
    stages = stages_of(plan)
    longer = is_prolonged(place, plan)
    if not longer and all(is_whole(place / stage.product) for stage in stages):
        _log.info("%s is finished; its report is %s. Nothing was done.", place, place / stages[-1].product)
        return RunFolder.open(place)
    rank = Ranks.join(plan.train.compute()).rank
    work = Work(plan, RunFolder(place))
    if not (place / "run.json").exists():
        _ = (
            work.pruner or work.ensembles or work.built
        )  # data that can't be read, or a budget out of reach, leaves no folder behind
    if rank == 0:
        _write_start(place, plan)
    with only_one(place) if rank == 0 else nullcontext():
        if rank == 0 and longer:
            prolong(place, plan, [stage.product for stage in stages])
        _do(stages, work, place, rank=rank)
    return work.folder


@dataclass(frozen=True)
class Stage:
    """A part of a run.

    Attributes:
        name: What it does.
        product: File in the run folder that is there, whole, when the stage is done.
        do: Does it; writes the product last.
        needs: Makes what it needs of trained networks, in every process.
        beside: Files that it writes before.
    """

    name: str
    product: str
    do: Callable[[Work], object]
    needs: Callable[[Work], object] | None = None
    beside: tuple[str, ...] = ()


def _do(stages: Sequence[Stage], work: Work, place: Path, *, rank: int) -> None:
    """The stages that are left, as the first process sees it."""
    done = numbers_of_first([is_whole(place / stage.product) for stage in stages])
    for stage, there in zip(stages, done, strict=True):
        if there:
            continue
        if stage.needs is not None:
            stage.needs(work)  # every process takes part
        if rank == 0:
            _log.info("%s: %s", place, stage.name)
            stage.do(work)


def _train(work: Work) -> None:
    if work.pruner is not None:
        atomic_write(work.folder.path / "plan.json", work.pruner.plan().to_json() + "\n")
        atomic_write(work.folder.path / "life.json", work.pruner.life.to_json() + "\n")
    work.built.save(work.model, work.folder.weights)


def _train_dense(work: Work) -> None:
    work.dense_built.save(work.dense_model, work.folder.path / _DENSE)


def _hatch(work: Work) -> None:
    work.members.save()


def _calibrate(work: Work) -> None:
    work.members.save_calibration()


def _export_ensemble(work: Work) -> None:
    work.members.export()


def _export(work: Work) -> None:
    export(work.model, work.folder.path / _ONNX, work.built.example)


def _evaluate(work: Work) -> None:
    """Writes the course of training and the results in one piece, so that doing it again adds nothing twice."""
    seed = work.plan.train.rng_seed
    if work.ensembles is not None:
        records = [*work.members.records(), *_course(work.result, seed)]
    elif work.pruner is None:
        records = [*work.built.evaluate(work.model), *_course(work.result, seed)]
    else:
        own = [*work.built.evaluate(work.model), *_course(work.result, seed)]
        records = [*_by("pruned", own), *work.model.report]  # pyright: ignore[reportGeneralTypeIssues]
        if work.plan.prune is not None and work.plan.prune.compare:
            rival = [*work.dense_built.evaluate(work.dense_model), *_course(work.dense_result, seed)]
            records += _by("dense", rival)
    write_records(work.folder.path / "record.jsonl", records)


def _by(method: str, records: Sequence[Record]) -> list[Record]:
    """Records that say whose they are, so that the report sets rivals side by side.

    The count of parameters is left out: the pruner tells it with the other costs.
    """
    return [replace(record, method=method) for record in records if record.name != "parameters"]


def _course(result: FitResult, rng_seed: int) -> list[Record]:
    """A record for each number of each epoch; the `epoch` in its context makes it a point of a curve."""
    records = []
    for epoch in result.history:
        numbers = {("loss", "train"): epoch.loss, ("lr", ""): epoch.lr}
        numbers |= {(name, "train"): value for name, value in epoch.metrics.items()}
        numbers |= {(name, "validation"): value for name, value in epoch.validation.items()}
        records += [
            Record.measured(name, value, split=split, rng_seed=rng_seed, context={"epoch": epoch.epoch + 1})
            for (name, split), value in numbers.items()
        ]
    return records


def _report(work: Work) -> None:
    title = work.plan.report.title or work.folder.path.resolve().name
    sets = sorted({str(record.context["data"]) for record in work.folder.records() if "data" in record.context})
    lead = f"Data: {', '.join(sets)}." if sets else ""
    facts = work.folder.path / UNCERTAINTY
    extra = uncertainty_sections(json.loads(facts.read_text())) if work.plan.hatch is not None else []
    write_report(work.folder.path, work.folder.path / "report.html", title=title, lead=lead, extra=extra)


_DENSE, _ONNX = "dense.safetensors", "model.onnx"


def stages_of(plan: Plan) -> tuple[Stage, ...]:
    """What a plan comes to, in order."""
    compares = plan.prune is not None and plan.prune.compare is not None
    dense = Stage("train the dense network", _DENSE, _train_dense, lambda work: work.dense_model)

    def networks(work: Work) -> None:
        _ = work.model, work.dense_model if compares else None

    if plan.hatch is not None:
        return _ensemble_stages(plan)
    pruned = () if plan.prune is None else ("plan.json", "life.json")
    export = Stage("export", _ONNX, _export, lambda work: work.model)
    return (
        Stage("train", "weights.safetensors", _train, lambda work: work.model, beside=pruned),
        *([dense] if compares else []),
        *([export] if plan.prune is not None and plan.prune.export is not None else []),
        Stage("evaluate", "record.jsonl", _evaluate, networks),
        Stage("report", "report.html", _report),
    )


def _ensemble_stages(plan: Plan) -> tuple[Stage, ...]:
    """What a plan with [hatch] comes to: with `at` the training itself ends in the members."""
    assert plan.hatch is not None

    def members(work: Work) -> None:
        _ = work.members

    train = Stage("train", "weights.safetensors", _train, lambda work: work.model)
    return (
        *([train] if plan.hatch.at is None else []),
        Stage("hatch", ENSEMBLE, _hatch, members),
        *([Stage("calibrate", CALIBRATION, _calibrate, members)] if plan["calibrate"] is not None else []),
        *([Stage("export", ENSEMBLE_ONNX, _export_ensemble, members)] if plan["export"] is not None else []),
        Stage("evaluate", "record.jsonl", _evaluate, members, beside=(UNCERTAINTY,)),
        Stage("report", "report.html", _report),
    )


def _write_start(place: Path, plan: Plan) -> None:
    """Makes the run folder if it isn't there, and puts the recipe in it."""
    if not (place / "run.json").exists():
        facts = {"recipe": plan.path.name, "settings": plan.settings()}
        RunFolder.create(place.parent, place.name, rng_seeds={"train": plan.train.rng_seed}, facts=facts)
    atomic_write(place / "recipe.toml", plan.text)
