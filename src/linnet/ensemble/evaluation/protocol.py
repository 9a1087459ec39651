"""The protocol: the same measurements, by the same code, for every ensemble and every single network."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linnet.ensemble.calibration.scaling import fitted
from linnet.ensemble.evaluation.measures import Measured, detection, measure, uncertainties
from linnet.ensemble.evaluation.report import Report
from linnet.ensemble.evaluation.shift import shifted_sets
from linnet.ensemble.prediction.member_outputs import Ensemble, Gathered, Outputs, gather, task_of
from linnet.ensemble.prediction.shapes import TASKS
from linnet.results.calibration import BINS
from linnet.suggest import one_of


def evaluate(
    model: Any,
    clean: Any,
    shifted: Any = None,
    ood: Any = None,
    validation: Any = None,
    *,
    task: str | None = None,
    prepare: Any = None,
    batch_size: int = 256,
    bins: int = BINS,
    method: str = "",
    rng_seed: int | None = None,
) -> Report:
    """Accuracy, likelihood, calibration, selective prediction and detection of one ensemble or one module.

    `Report.metrics["clean"]` has accuracy, nll, brier, ece, ece_debiased, classwise_ece, aurc, e_aurc and disagreement
    of the pooled probabilities, and calibrated_nll, calibrated_brier and calibrated_ece where there is a temperature:
    from `validation`, else from the calibrated ensemble itself. ["shifted/<name>/<severity>"] has the same of each
    shifted set, with the temperature of the clean data, and ["shifted"] their means over the sets, never pooled.
    ["ood"] has auroc and fpr95 by entropy and by epistemic uncertainty. A regression has rmse, mae, nll,
    interval_error, aurc, and auroc and fpr95 by variance.

    Args:
        model: An ensemble (anything with `member_outputs`), or a module; it is asked in eval mode, without gradients,
            and every module is in its own mode afterwards.
        clean: Test data: a loader of (inputs, targets), or a pair of tensors.
        shifted: A mapping of name -> loader, or the name of a suite ("cifar15") or a `Shift`: the clean images under
            generated corruptions; `clean` must then give images in 0..1 or uint8, and `prepare` what the model needs.
        ood: Inputs from outside of the distribution: a tensor or a loader, or a mapping of name -> such.
        validation: Held-out data for the temperature; never the test data.
        task: Of a module: "classification", "regression" or "dense"; an ensemble has its own.
        prepare: Applied to the inputs of each batch before the model.
        batch_size: Of whole tensors.
        bins: Of the calibration errors, of equal width.
        method: Name in tables and records.
        rng_seed: Seed that the model was trained with; `compare` pairs by it.

    Raises:
        InputError: a source gives nothing or something else, labels don't fit, outputs are probabilities or not finite.

    Example:
        >>> import torch
        >>> from linnet.ensemble import evaluate
        >>> x, y = torch.tensor([[2.0, 0.0], [0.0, 2.0], [1.0, 0.0]]), torch.tensor([0, 1, 1])
        >>> report = evaluate(torch.nn.Identity(), (x, y))
        >>> round(report.metrics["clean"]["accuracy"], 4)
        0.6667
    """
    kind = one_of("task", task_of(model, task), TASKS)
    if validation is not None and validation is clean:
        warnings.warn(
            "`validation` is the test set itself, so the calibrated scores are better than on new data. Calibrate on "
            "data that was held out.",
            stacklevel=2,
        )

    def found(source: Any, argument: str) -> Gathered:
        return gather(model, source, argument=argument, task=kind, batch_size=batch_size, prepare=prepare)

    if validation is not None:
        temperature = fitted(found(validation, "validation"), task=kind).temperature
    else:
        temperature = _known_temperature(model)
    inside = found(clean, "clean")
    sets = {"clean": measure(inside, task=kind, temperature=temperature, bins=bins)}
    same_order = True
    for name, source in shifted_sets(shifted, clean, batch_size=batch_size):
        one = found(source, f"shifted[{name!r}]")
        same_order = same_order and one.targets is not None and torch.equal(one.targets, _targets(inside))
        sets[f"shifted/{name}"] = measure(one, task=kind, temperature=temperature, bins=bins)
    if len(sets) > 1:
        sets["shifted"] = _mean_over_sets(list(sets.values())[1:], same_order=same_order)
    for name, source in _named(ood).items():
        sets[name] = _detected(inside, found(source, name), task=kind)
    return Report(
        metrics={name: dict(one.metrics) for name, one in sets.items()},
        n={name: one.n for name, one in sets.items()},
        task=kind,
        members=len(_first(inside.outputs)),
        temperature=temperature,
        method=method or type(model).__name__,
        rng_seed=rng_seed,
        bins=bins,
        order=sha256(_targets(inside).numpy().tobytes()).hexdigest()[:16],
        samples={name: dict(one.samples) for name, one in sets.items() if not name.startswith("shifted/")},
    )


def _known_temperature(model: Any) -> float | None:
    known = model.temperature if isinstance(model, Ensemble) else None
    return None if known is None else float(known)


def _targets(found: Gathered) -> Tensor:
    """Targets, which `measure` has found to be there."""
    assert found.targets is not None
    return found.targets


def _detected(inside: Gathered, outside: Gathered, *, task: str) -> Measured:
    within, beyond = uncertainties(inside, task=task), uncertainties(outside, task=task)
    return Measured(detection(within, beyond), beyond, len(next(iter(beyond.values()))))


def _mean_over_sets(sets: list[Measured], *, same_order: bool) -> Measured:
    """Mean of each measure over the sets; of each sample too, where all sets have the same samples in one order."""
    metrics = {name: float(np.mean([one.metrics[name] for one in sets])) for name in sets[0].metrics}
    names = sets[0].samples if same_order else ()
    samples = {name: np.mean([one.samples[name] for one in sets], axis=0) for name in names}
    return Measured(metrics, samples, sum(one.n for one in sets))


def _named(ood: Any) -> dict[str, Any]:
    if ood is None:
        return {}
    return {f"ood/{name}": source for name, source in ood.items()} if isinstance(ood, Mapping) else {"ood": ood}


def _first(outputs: Outputs) -> Any:
    return outputs[0] if isinstance(outputs, tuple) else outputs
