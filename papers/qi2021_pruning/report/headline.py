"""The headline: VGG-16 under both of the abstract's limits at once, beside narrow networks and another pruner."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from linnet import cost
from linnet.core import Cost
from papers.page import section
from papers.qi2021_pruning.plan import next_trials
from papers.qi2021_pruning.report.abstract import SEEDS_NEEDED, decided, shown
from papers.qi2021_pruning.report.findings import Study, difference, label, numbers
from papers.table import Table
from papers.verdict import mean_and_sd


def is_headline(name: str) -> bool:
    """Whether a scale is one of the headline's."""
    return name.startswith("headline")


def section_of(studies: Sequence[Study]) -> str:
    """The section of the README; empty where nothing was trained."""
    parts: list[Table | str] = []
    for study in studies:
        parts += [f"### {_network(study)}\n", _words(study) + "\n", table(study)]
    if not parts:
        return ""
    share = ", ".join(f"{value:.1%} of the {name}" for name, value in (("MACs", 0.238), ("parameters", 0.059)))
    return section(f"The headline: {share}, at once", *parts)


def first_line(studies: Sequence[Study]) -> str:
    """What the page begins with: who won, and how much of it is finished."""
    if not studies:
        return ""
    study = studies[0]
    won = [label(arm) for arm in rivals(study) if _verdict(study, arm) == "does not hold"]
    lost = [label(arm) for arm in rivals(study) if _verdict(study, arm) == "holds"]
    open_ = [label(arm) for arm in rivals(study) if label(arm) not in won + lost]
    said = [f"**The headline** ({_network(study)}): {_finished(study)}."]
    if won:
        said.append(f"Better than our pruner by more than the paired interval: {'; '.join(won)}.")
    if lost:
        said.append(f"Our pruner is better than: {'; '.join(lost)}.")
    if open_:
        said.append(f"Not decided: {'; '.join(open_)}.")
    return " ".join(said)


def rivals(study: Study) -> list[str]:
    """All other small networks."""
    return [arm for arm in study.scale.arms if arm not in ("ours", "dense")]


def table(study: Study) -> Table:
    """Every arm: accuracy, differences, both costs, what its training took, milliseconds and widths."""
    (data,), (target,) = study.scale.sets, study.scale.budgets
    whole = dense_cost(study)
    rows = [_row(study, data, target.name, arm, whole) for arm in study.scale.arms]
    columns = [
        "arm", "n", "accuracy (sd)", "points to dense", "ours - it, points", "MACs", "parameters", "training MACs",
        "ms, batch 1", "ms, batch 64", "widths (seed 1)",
    ]  # fmt: skip
    caption = (
        f"`{data}`, all test images, last epoch; differences paired by seed, 95 % t intervals; costs as shares of the "
        "dense network's, those of training of its training's"
    )
    return Table(caption, columns, [row for row in rows if row])


def dense_cost(study: Study) -> Cost:
    """Cost of the network before pruning."""
    import torch

    from linnet.models import VGG

    return cost(VGG(stages=study.scale.stages), torch.zeros(1, 3, 32, 32))


def _row(study: Study, data: str, budget: str, arm: str, whole: Cost) -> list[str]:
    runs, dense, ours = (study.arm(data, budget, name) for name in (arm, "dense", "ours"))
    if not runs:
        return []
    mean, sd = mean_and_sd(numbers(runs))
    trained = study.scale.epochs * whole.macs
    times = [study.ms(data, budget, arm, batch) for batch in (1, 64)]
    return [
        label(arm),
        str(len(runs)),
        f"{mean:.4f}" + (f" ({sd:.4f})" if len(runs) > 1 else ""),
        "-" if arm == "dense" else shown(difference(runs, dense)),
        "-" if arm in ("ours", "dense") else shown(difference(ours, runs)),
        f"{fmean(numbers(runs, 'macs')) / whole.macs:.3f}",
        f"{fmean(numbers(runs, 'params')) / whole.params:.3f}",
        f"{fmean(numbers(runs, 'train_macs')) / trained:.3f}",
        *("-" if ms is None else f"{ms:.2f}" for ms in times),
        str(runs[min(runs)].context["widths"]).replace("/", ", "),
    ]


def _verdict(study: Study, arm: str) -> str:
    (data,), (target,) = study.scale.sets, study.scale.budgets
    return decided(difference(study.arm(data, target.name, "ours"), study.arm(data, target.name, arm)))


def _finished(study: Study) -> str:
    asked = next_trials({}, study.scale, peer=True)
    done = sum(trial.key in study.trainings for trial in asked)
    return f"{done} of {len(asked)} trainings are finished"


def _network(study: Study) -> str:
    width = "VGG-16" if study.scale.stages[0][0] == 64 else "VGG-16 of half width"
    return f"{width} with batch norm, {study.scale.epochs} epochs, {study.scale.seeds} seed" + "s" * (
        study.scale.seeds > 1
    )


def _words(study: Study) -> str:
    scale, few = study.scale, study.scale.seeds < SEEDS_NEEDED
    said = (
        f"Scale `{scale.name}`: {_finished(study)}. All training images of `{scale.sets[0]}`, flipped and shifted by "
        f"up to 4 pixels, batches of {scale.batch_size}; SGD with Nesterov momentum 0.9, weight decay 5e-4, a rate "
        f"that rises to {scale.lrs[0]:g} over a quarter of the updates and falls along a cosine, label smoothing 0.1; "
        f"{scale.precision}, channels last; widths of ours and of the rank in multiples of {scale.align}. Rate and "
        "factor of fine-tuning were chosen by the study at scale `cpu`, for no arm anew."
    )
    return said + (" One seed decides nothing." if few else "")
