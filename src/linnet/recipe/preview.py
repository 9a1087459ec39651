"""Dry run: what a recipe would do, in words; nothing is trained and nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from linnet.core import cost
from linnet.ensemble import hatch
from linnet.ensemble.hatching.event import hatch_step
from linnet.prune import plan as one_shot
from linnet.prune.importance.criterion import FROM_DATA
from linnet.recipe.ensembles import EnsembleWork
from linnet.recipe.folder import folder_of
from linnet.recipe.parsing import parse
from linnet.recipe.plan import Built, Plan, RecipeTask
from linnet.recipe.runner import stages_of
from linnet.recipe.stages import pruner_of
from linnet.recipe.tasks import find_task


def dry_run(
    path: Path | str,
    *,
    out: Path | str | None = None,
    overrides: Mapping[str, Any] | None = None,
    task_named: Callable[[str], RecipeTask] = find_task,
) -> str:
    """What `run` with the same arguments would do. The data is read, since sizes depend on it.

    Args:
        path: The recipe.
        out: The run folder.
        overrides: Values that replace the recipe's.
        task_named: Gives the task of a name.

    Returns:
        Stages with what each will write, steps, costs, with [hatch] the members' training, and with [prune] the budget
        and a plan of the untrained network.

    Raises:
        RecipeError: the recipe can't be used, or the folder holds something else.
        LinnetError: the data can't be read, or the budget can't be reached.
    """
    plan = parse(path, overrides=overrides, task_named=task_named)
    if plan.task.settled is not None:
        plan = plan.task.settled(plan)
    place = folder_of(plan, out)
    built = plan.task.build(plan)
    return "\n".join(
        [*_stages(plan, place), *_training(plan, built), *_hatching(plan, built, place), *_pruning(plan, built)]
    )


def _stages(plan: Plan, place: Path) -> Iterator[str]:
    yield f"{plan.path} into {place}:"
    stages = stages_of(plan)
    width = max(len(stage.name) for stage in stages)
    for stage in stages:
        done = "  (is there already)" if (place / stage.product).exists() else ""
        files = ", ".join((stage.product, *stage.beside))
        yield f"  {stage.name:<{width}}  writes {files}{done}"


def _training(plan: Plan, built: Built) -> Iterator[str]:
    steps = len(built.loader)
    train = plan.train
    yield ""
    yield f"training: {train.epochs} epochs of {steps} batches of {train.batch_size}, {train.epochs * steps:,} steps"
    if built.example is not None:
        yield f"network: {type(built.model).__name__}, {cost(built.model, built.example)}"


def _hatching(plan: Plan, built: Built, place: Path) -> Iterator[str]:
    """The members' training: with `epochs` after the seed's, with `at` in what its budget leaves."""
    section = plan.hatch
    if section is None:
        return
    seed = EnsembleWork(plan, built, place).rng_seed("hatch")
    options = {**section.options(), "noise": 0.0}
    made = hatch(built.model, built.example, section.members, rng_seed=seed, **options).widenings
    facts = [widening for widening in made if widening is not None]
    one, all_members = facts[0].macs[0], sum(widening.macs[1] for widening in facts)
    steps = len(built.loader)
    if section.at is None:
        epochs = section.epochs or 0
        yield (
            f"hatching: {section.members} members, each for {epochs} epochs of {steps} batches, "
            f"{section.members * epochs * steps:,} steps of a member"
        )
    else:
        total = plan.train.epochs * steps
        first = hatch_step(section.at, total)
        left = (total - first) * one // all_members
        yield f"hatching: after {first:,} of the {total:,} steps, then {left:,} steps of all {section.members} members"
    yield f"members: {all_members:,} MACs for an image, {all_members / one:.2f} times the network's {one:,}"


def _pruning(plan: Plan, built: Built) -> Iterator[str]:
    section = plan.prune
    if section is None:
        return
    pruner = pruner_of(plan, built)
    time, every = pruner.time, pruner.time.every
    freeze = "where they hardly move any more" if time.freeze_at is None else f"at step {time.freeze_at:,}"
    pruner.remove()
    criterion: Any = section.criterion if section.criterion not in (None, *FROM_DATA) else "l1"
    found = one_shot(built.model, built.example, section.budget(), **section.choices(), criterion=criterion)
    yield f"pruning: measured every {every} steps, first mask at step {time.warmup_steps:,}, masks freeze {freeze}"
    yield ""
    yield f"By the untrained weights ({criterion}) this would stay; training decides by what it measures."
    yield str(found)
