"""Measured milliseconds: the networks of all arms, in turns, apart from any training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from linnet.engine.compute.timing import timed
from linnet.models import VGG
from linnet.results import Record
from papers.qi2021_pruning.bench import ready
from papers.qi2021_pruning.scales import Scale, Stages
from papers.study import Finished, Trial

NAME = "qi2021_pruning.ms"
"""Of a record for each set, seed and batch size: its value is the dense network's median time."""
BATCHES = (1, 64)
_ENOUGH_S = 20.0


def time_trials(networks: Finished, scale: Scale) -> list[Trial]:
    """One trial for each set, seed and batch size whose dense network is trained."""
    found = sorted(
        {(int(r.context["seed"]), str(r.context["data"])) for r in networks.values() if r.context["stage"] == "arms"}
    )
    return [Trial("ms", {"data": data, "seed": seed, "batch": batch}) for seed, data in found for batch in BATCHES]


def time_trial(trial: Trial, *, networks: Finished, scale: Scale, data: Path | None) -> Record:
    """Times the networks of a set and a seed in turns: torch, one thread, eval mode.

    Time depends on widths, not on weights, so each is built anew from the widths of its record.

    Args:
        trial: Set, seed, batch size.
        networks: Records of the arms.
        scale: Sizes.
        data: Folder of the sets.
    """
    settings = trial.settings
    images = ready(scale, str(settings["data"]), data)
    batch = images.test_inputs[: int(settings["batch"])].float()
    chosen = _chosen(networks, settings)
    built = [_built(stages, images.image_shape, images.classes).to(batch.device) for stages in chosen.values()]
    with torch.inference_mode():
        times = timed(*(lambda net=net: net(batch) for net in built), repeats=scale.timing_rounds, enough_s=_ENOUGH_S)
    medians = dict(zip(chosen, (1e3 * found.p50_s for found in times), strict=True))
    facts = {f"ms {name}": value for name, value in medians.items()}
    facts["noise"] = max(found.noise for found in times)
    record = Record.measured(NAME, medians["dense"], unit="ms", n=times[0].runs, context=facts)
    return replace(record, command=f"python papers/qi2021_pruning/run.py --scale {scale.name} --time")


def _chosen(networks: Finished, settings: Mapping[str, Any]) -> dict[str, Stages]:
    """Widths by "dense" or "arm, budget"."""
    found = {}
    for record in networks.values():
        context = record.context
        own = context["stage"] == "arms" and (context["data"], context["seed"]) == (settings["data"], settings["seed"])
        if own and record.value is not None:
            name = "dense" if context["arm"] == "dense" else f"{context['arm']}, {context['budget']}"
            found[name] = tuple(tuple(map(int, stage.split())) for stage in str(context["widths"]).split("/"))
    return found


def _built(stages: Sequence[Sequence[int]], image_shape: tuple[int, int, int], classes: int) -> VGG:
    model = VGG(input_shape=image_shape, classes=classes, stages=stages)
    return model.eval().to(memory_format=torch.channels_last)
