"""One trial: an arm or a variant carried out, and what came out as one record."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from linnet.errors import NonFiniteLoss
from linnet.results import Record
from papers.qi2021_pruning import ablation
from papers.qi2021_pruning.arms import Made, pruned, stages_of, within
from papers.qi2021_pruning.bench import Bench, ready
from papers.qi2021_pruning.headline import ALL_ARMS
from papers.qi2021_pruning.scales import Scale
from papers.study import Trial

NAME = "qi2021_pruning.run"
"""Of the record of each trial; its value is an accuracy: on test images for arms, on validation images else."""


def run_trial(trial: Trial, *, scale: Scale, data: Path | None, checkpoints: Path | None = None) -> Record:
    """Trains as a trial says; a run whose loss isn't finite has no value, and says so.

    Args:
        trial: Stage and settings.
        scale: Sizes.
        data: Folder with a sub-folder for each set; None: where `linnet.data` finds them.
        checkpoints: Where this trial's checkpoints are kept; None: nowhere.
    """
    settings = trial.settings
    split = "test" if trial.stage == "arms" else "validation"
    bench = replace(_bench(trial, scale, data), checkpoints=checkpoints)
    began = time.perf_counter()
    try:
        made = _made(trial, bench)
    except NonFiniteLoss:
        facts, value, n = {"diverged": True}, None, None
    else:
        judged = bench.judged(made.model, split)
        value, n = (
            judged["accuracy"],
            len(bench.ready.test_labels if split == "test" else bench.ready.validation_labels),
        )
        facts = {"nll": judged["nll"], "ece": judged["ece"], **_size(bench, made), **made.facts}
    facts["wall_s"] = round(time.perf_counter() - began, 2)
    record = Record.measured(NAME, value, n=n, rng_seed=int(settings["seed"]), split=split, context=facts)
    return replace(record, command=f"python papers/qi2021_pruning/run.py --scale {scale.name}")


def _bench(trial: Trial, scale: Scale, data: Path | None) -> Bench:
    settings = trial.settings
    if trial.stage == "ablation":
        limits = ablation.target(ablation.VARIANTS[str(settings["variant"])], scale).limits()
    else:
        limits = scale.target(str(settings["budget"])).limits() if "budget" in settings else {}
    return Bench(
        scale,
        ready(scale, str(settings["data"]), data),
        int(settings["seed"]),
        float(settings["lr"]),
        limits,
        float(settings.get("fine_tune", 1.0)),
    )


def _made(trial: Trial, bench: Bench) -> Made:
    if trial.stage == "ablation":
        return pruned(bench, **ablation.VARIANTS[str(trial.settings["variant"])].options)
    return ALL_ARMS[str(trial.settings["arm"])][1](bench)


def _size(bench: Bench, made: Made) -> dict[str, float | str]:
    """Costs of the network that is tested, its widths, and what its training took."""
    widths = "/".join(" ".join(map(str, stage)) for stage in stages_of(made.model))
    own = bench.macs(made.model)
    params = sum(parameter.numel() for parameter in made.model.parameters())
    shares = {f"used_{name}": share for name, share in within(bench, made.model).items()} if bench.limits else {}
    return {"macs": own, "params": params, "widths": widths, "train_macs": made.train_macs, **shares}
