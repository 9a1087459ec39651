"""Distillation: one small network that answers as the ensemble does on the average."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core import cost
from linnet.engine import Compute, Schedule, as_loader
from linnet.ensemble.arguments import positive_number, running, whole_number
from linnet.ensemble.evaluation.protocol import evaluate
from linnet.ensemble.evaluation.report import Report
from linnet.ensemble.outputs import evaluating
from linnet.ensemble.training.fitting import MakeOptimizer
from linnet.errors import InputError, TrainingError

KEPT = ("accuracy", "nll", "ece")


@dataclass(frozen=True)
class Distilled:
    """What a distilled network kept.

    Attributes:
        student: The network, in eval mode.
        macs: MACs of one answer (student, ensemble).
        params: Parameters (student, ensemble).
        scores: "clean" or "shifted" -> measure -> (student, ensemble); empty without test data.
    """

    student: nn.Module
    macs: tuple[int, int]
    params: tuple[int, int]
    scores: Mapping[str, Mapping[str, tuple[float, float]]]

    def __str__(self) -> str:
        lines = [
            f"{self.macs[0]:,} of {self.macs[1]:,} MACs ({self.macs[0] / self.macs[1]:.1%}), {self.params[0]:,} of "
            f"{self.params[1]:,} parameters"
        ]
        for where, measures in self.scores.items():
            shown = ", ".join(f"{name} {own:.4g} (ensemble {pool:.4g})" for name, (own, pool) in measures.items())
            lines.append(f"{where}: {shown}")
        return "\n".join(lines)


class _Teach:
    """Cross-entropy between the ensemble's probabilities and the student's."""

    def __init__(self, teacher: Any) -> None:
        self._teacher = teacher

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch; see `linnet.engine.Task`."""
        x = batch[0] if isinstance(batch, (tuple, list)) else batch
        with torch.no_grad():
            wanted = self._teacher(x).probs
        logits = model(x)
        return -(wanted * logits.double().log_softmax(1)).sum(1).mean().to(logits.dtype), {}

    def validate(self, model: nn.Module, compute: Compute) -> dict[str, float]:
        """Nothing: `Distilled` has the scores."""
        return {}


def distilled(
    ensemble: Any,
    student: nn.Module,
    source: Any,
    *,
    epochs: int,
    optimizer: MakeOptimizer,
    lr: float,
    test: Any,
    shifted: Any,
    compute: Compute | None,
    rng_seed: int,
) -> Distilled:
    """Trains a student on the ensemble's calibrated probabilities, in place.

    Args:
        ensemble: Of classification or dense members.
        student: Any network with logits of the same shape.
        source: Batches of inputs, or tuples that begin with them; labels aren't used.
        epochs: Passes.
        optimizer: Called as optimizer(parameters, lr=rate).
        lr: Highest learning rate; warm-up over 5 %, then cosine to 0.
        test: Test data, to tell what was kept; None: nothing is measured.
        shifted: As for `evaluate`.
        compute: Device and precision.
        rng_seed: Of a plain iterable's shuffling and of dropout.

    Raises:
        InputError: a regression ensemble, no batch, or an argument of another kind; nothing was trained.
        TrainingError: the student's outputs have another shape.
    """
    from linnet.engine import fit  # loads rich, for its progress bar

    if ensemble.task == "regression":
        raise InputError('`ensemble` must give probabilities to be distilled (got task "regression").')
    if not isinstance(student, nn.Module):
        raise InputError(
            f"`student` must be a torch.nn.Module (got {type(student).__name__}): distill(student, loader)."
        )
    if not {id(own) for own in student.parameters()}.isdisjoint(id(one) for one in ensemble.parameters()):
        raise InputError(
            "`student` must have weights of its own (got some of the ensemble's, which would change while it teaches). "
            "Give a fresh network, or copy.deepcopy(member)."
        )
    positive_number("lr", lr)
    whole_number("epochs", epochs, least=1)
    compute = compute or Compute.pick()
    loader = as_loader(source, rng_seed=rng_seed)
    first = next(iter(loader.epoch(0)), None)
    if first is None:
        raise InputError("`loader` must give at least one batch of inputs (got none).")
    inputs = first[0] if isinstance(first, (tuple, list)) and first else first
    if not isinstance(inputs, Tensor):
        raise InputError(f"`loader` must give batches of inputs (got a {type(first).__name__}). Give tensors.")
    example = inputs[:1]
    ensemble.to(compute.torch_device).eval()
    pool = None if test is None else evaluate(ensemble, test, shifted)  # before the training, so that bad data shows
    student.to(compute.torch_device)
    with evaluating(student), torch.no_grad(), running("loader", student, inputs):
        _require_student(student(inputs.to(compute.torch_device)), ensemble(inputs.to(compute.torch_device)).probs)
    steps = epochs * len(loader)
    fit(
        student,
        _Teach(ensemble),
        loader,
        optimizer=optimizer(student.parameters(), lr=lr),
        epochs=epochs,
        schedule=Schedule("cosine", warmup_steps=round(0.05 * steps)),
        compute=compute,
        progress="off",
        rng_seed=rng_seed,
        alone=True,
    )
    student.eval()
    own, members = cost(student, example), [cost(member, example) for member in ensemble.members]
    return Distilled(
        student,
        (own.macs, sum(one.macs for one in members)),
        (own.params, sum(one.params for one in members)),
        {} if pool is None else _scores([evaluate(student, test, shifted, task=ensemble.task), pool]),
    )


def _require_student(logits: Any, wanted: Tensor) -> None:
    if not isinstance(logits, Tensor) or logits.shape != wanted.shape:
        shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise TrainingError(
            f"`student` gives {shape}; logits of the ensemble's shape {tuple(wanted.shape)} are needed. Give a network "
            "with as many classes."
        )


def _scores(reports: Sequence[Report]) -> dict[str, dict[str, tuple[float, float]]]:
    return {
        where: {name: tuple(report.metrics[where][name] for report in reports) for name in KEPT}  # type: ignore[misc]
        for where in ("clean", "shifted")
        if where in reports[0].metrics
    }
