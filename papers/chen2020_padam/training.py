"""One trial: a network trained with one optimizer, and what came out as one record."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from linnet.data import ArrayLoader, Standardise, hold_out
from linnet.engine import Compute, FitResult, Listener, Schedule, derive_seed, fit
from linnet.errors import NonFiniteLoss
from linnet.optim import Padam
from linnet.recipe.classify import Classification, Parts, scores
from linnet.results import Record
from papers.chen2020_padam.joins import ends_of_p
from papers.chen2020_padam.optimizers import ROWS, Row
from papers.chen2020_padam.scales import Problem, Scale
from papers.images import read_sets, subset
from papers.study import Trial

NAME = "chen2020_padam.run"
"""Of the record of each trial; its value is the accuracy on the validation images after the last epoch."""

_SCALE_LR = 1e-3  # of Adam, in the run that the gradients' size is read from: torch's default


@dataclass(frozen=True)
class Ready:
    """Images made ready for training.

    Attributes:
        parts: Training, validation and test images.
        standardise: Bytes to what the network sees.
        inputs: The training images, standardised.
    """

    parts: Parts
    standardise: Standardise
    inputs: Tensor


def run_trial(trial: Trial, *, scale: Scale, data: Path | None) -> Record:
    """Trains as a trial says; a run whose loss isn't finite has no value, and says so.

    Args:
        trial: Stage and settings.
        scale: Sizes.
        data: Folder with a sub-folder for each set; None: where `linnet.data` finds them.
    """
    record = ends_of_p(int(trial.settings["seed"])) if trial.stage == "joins" else _learned(trial, scale, data)
    return replace(record, command=f"python papers/chen2020_padam/run.py --scale {scale.name} --data DATA")


def _learned(trial: Trial, scale: Scale, data: Path | None) -> Record:
    problem = scale.second if trial.stage.startswith("second") else scale.problem
    assert problem is not None
    ready = _ready(problem.data, problem.images, data)
    began = time.perf_counter()
    try:
        found, value = _trained(trial, scale, problem, ready)
    except NonFiniteLoss:
        found, value = {"diverged": True}, None
    found |= {"data": problem.data, "wall_s": round(time.perf_counter() - began, 2)}
    facts = {"split": "validation", "n": len(ready.parts.validation), "rng_seed": int(trial.settings["seed"])}
    return Record.measured(NAME, value, context=found, **facts)


def _trained(trial: Trial, scale: Scale, problem: Problem, ready: Ready) -> tuple[dict[str, Any], float]:
    """(facts of the run, accuracy on the validation images)."""
    seed = int(trial.settings["seed"])
    if trial.stage.endswith("gradient scale"):
        row, listeners, epochs = Row("", torch.optim.Adam, {}, {"lr": _SCALE_LR}), [], 1
    else:
        row = ROWS[str(trial.settings["row"])]
        scale_found = trial.settings.get("gradient_scale")
        listeners = row.listeners(None if scale_found is None else float(scale_found))
        epochs = scale.epochs
    compute = Compute.pick(scale.device)
    model = _model(problem, ready, seed).to(memory_format=torch.channels_last)
    optimizer = row.optimizer(model.parameters(), trial.settings)
    result = _fitted(model, optimizer, ready, scale, compute, listeners, epochs=epochs, seed=seed)
    facts: dict[str, Any] = {
        "curve": _numbers([epoch.validation["accuracy"] for epoch in result.history]),
        "loss_curve": _numbers([epoch.loss for epoch in result.history]),
        "validation_nll": result.history[-1].validation["nll"],
    }
    if trial.stage == "final":
        losses, right = scores(result.model, ready.parts.test, ready.standardise, compute)
        facts |= {"test_accuracy": right.double().mean().item(), "test_nll": losses.mean().item()}
    if trial.stage.endswith("gradient scale"):
        facts["gradient_scale"] = gradient_scale(optimizer)
    if isinstance(optimizer, Padam) and not listeners:
        facts |= _rates(optimizer)
    return facts, result.history[-1].validation["accuracy"]


def gradient_scale(adam: torch.optim.Optimizer) -> float:
    """The typical size of a gradient: the mean over all elements of sqrt(v / (1 - b2^t)) in Adam's state.

    Args:
        adam: An optimizer with Adam's state, after some steps.
    """
    beta2 = adam.param_groups[0]["betas"][1]
    roots = [
        (state["exp_avg_sq"] / (1 - beta2 ** float(state["step"]))).sqrt().flatten() for state in adam.state.values()
    ]
    return torch.cat(roots).double().mean().item()


def _fitted(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    ready: Ready,
    scale: Scale,
    compute: Compute,
    listeners: list[Listener],
    *,
    epochs: int,
    seed: int,
) -> FitResult:
    loader = ArrayLoader(
        (ready.inputs, ready.parts.train.labels),
        batch_size=scale.batch_size,
        rng_seed=derive_seed(seed, "batches"),
        drop_last=True,
    )
    task = Classification(ready.parts.validation, ready.standardise)
    options: dict[str, Any] = {"schedule": Schedule("cosine"), "progress": "off", "rng_seed": seed}
    return fit(model, task, loader, optimizer=optimizer, epochs=epochs, compute=compute, listeners=listeners, **options)


def _model(problem: Problem, ready: Ready, seed: int) -> nn.Module:
    """The network with the seed's initial weights: the same for every optimizer."""
    train = ready.parts.train
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        return problem.network(input_shape=train.image_shape, classes=len(train.classes), **problem.options)


def _rates(optimizer: Padam) -> dict[str, float]:
    """Effective rates after the last step: 5, 50 and 95 % points of what one unit of m moves a weight."""
    [rates] = optimizer.effective_rates()
    return {"rate_low": rates.low, "rate_median": rates.median, "rate_high": rates.high}


def _numbers(values: list[float]) -> str:
    return " ".join(f"{value:.5g}" for value in values)


@cache
def _ready(name: str, images: int, data: Path | None) -> Ready:
    """The images; read once in each process."""
    whole, test = read_sets(name, data)
    train, validation = hold_out(subset(whole, images), 0.2, rng_seed=derive_seed(0, "validation"))
    standardise = Standardise(*train.channel_statistics())
    inputs = standardise(train.images).to(memory_format=torch.channels_last)
    return Ready(Parts(train, validation, test), standardise, inputs)
