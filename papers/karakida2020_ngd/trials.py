"""The trials of the study, one function for each stage: plain values in, one record out."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from linnet.core.jacobian.linearisation import Linearisation
from linnet.data import forster
from linnet.errors import InputError
from linnet.optim import NaturalGradient, predict
from linnet.results import Record
from linnet.spectra import ntk
from papers.karakida2020_ngd.problems import Problem, Scale, network, problem
from papers.study import Fact, Finished, Trial

LAYERWISE = ("exact", "block", "tridiagonal", "kfac")
CURVES = (*LAYERWISE, "unit", "gradient")


def next_trials(finished: Finished, *, scale: Scale, data: str) -> list[Trial]:
    """All trials of a scale, the most important first."""
    seeds = range(scale.seeds)
    trials = [Trial("curve", {"approx": a, "c": c, "seed": s}) for s in seeds for a in CURVES for c in (0.5, 1.0)]
    trials += [Trial("entry", {"seed": s}) for s in seeds]
    trials += [Trial("layers", {"layers": layers, "seed": s}) for s in seeds for layers in (3, 4, 5, 6, 7)]
    trials += [Trial("forster", {"transform": t, "seed": s}) for s in seeds for t in (False, True)]
    trials += [
        Trial("unit", {"width": w, "activation": a, "seed": s})
        for s in seeds for w in scale.widths for a in ("tanh", "relu")
    ]  # fmt: skip
    trials += [Trial("cross_entropy", {"approx": a, "seed": s}) for s in seeds for a in ("exact", "block")]
    trials += [
        Trial("width", {"width": w, "approx": a, "seed": s}) for s in seeds for w in scale.widths for a in LAYERWISE
    ]
    trials += [
        Trial("damping", {"approx": a, "damping": d, "seed": s})
        for s in seeds for d in scale.dampings for a in LAYERWISE
    ]  # fmt: skip
    if data != "digits":
        trials += [
            Trial("ten", {"approx": a, "data": d, "seed": s})
            for s in seeds
            for d in ("mnist10", "cifar10")
            for a in LAYERWISE
        ]
    return trials


def run_trial(trial: Trial, *, scale: Scale, data: str, root: Path | None) -> Record:
    """Does one trial."""
    start = time.perf_counter()
    settings = dict(trial.settings)
    seed = int(settings.pop("seed"))
    where = str(settings.pop("data", data))
    value, facts = STAGES[trial.stage](problem(where, scale.samples, seed, root), scale, seed, **settings)
    wall = round(time.perf_counter() - start, 2)
    context = {**facts, "wall_s": wall, "data": where, "scale": scale.name}
    command = f"python papers/karakida2020_ngd/run.py --scale {scale.name}{'' if data == 'digits' else ' --data DATA'}"
    return Record.measured(
        f"ngd.{trial.stage}", value, n=scale.samples, rng_seed=seed, context=context, command=command
    )


def curve(
    given: Problem, scale: Scale, seed: int, *, approx: str, c: float, damping: float = 0.0, depth: int = 3
) -> tuple[float, dict[str, Fact]]:
    """The largest distance of the measured training loss from its line, as a share of the loss at the start."""
    model = network(given, width=scale.width, depth=depth, rng_seed=seed)
    named: Any = approx
    line = predict(model, (given.x, given.y), (given.x_test, given.y_test), named, c, scale.steps, damping=damping)
    train, test, error = _measured(model, given, approx, c, scale.steps, damping, line.alpha)
    facts: dict[str, Fact] = {"alpha": line.alpha, "isotropy_error": error}
    for step in range(scale.steps + 1):
        facts |= {f"train_{step}": train[step], f"test_{step}": test[step]}
        facts |= {f"line_train_{step}": float(line.loss_train[step]), f"line_test_{step}": float(line.loss_test[step])}
    gaps = [abs(a - float(b)) for a, b in zip(train, line.loss_train, strict=True)]
    return max(gaps) / train[0], facts


def _measured(
    model: nn.Module, given: Problem, approx: str, c: float, steps: int, damping: float, alpha: float
) -> tuple[list[float], list[float], float]:
    """Losses on train and test before each step and after the last, and the first isotropy error."""
    model, error = copy.deepcopy(model), float("nan")
    named: Any = approx
    step = _descent(model, c / alpha) if approx == "gradient" else None
    optimizer = None if step else NaturalGradient(model, "mse", named, damping=damping, c=c)
    train, test = [_loss(model, given.x, given.y)], [_loss(model, given.x_test, given.y_test)]
    for number in range(steps):
        if optimizer is not None:
            optimizer.step(given.x, given.y)
            error = optimizer.report().isotropy_error if number == 0 else error
        else:
            assert step is not None
            step(given.x, given.y)
        train.append(_loss(model, given.x, given.y))
        test.append(_loss(model, given.x_test, given.y_test))
    return train, test, error


def _descent(model: nn.Module, lr: float) -> Callable[[Tensor, Tensor], None]:
    plain = torch.optim.SGD(model.parameters(), lr=lr)

    def step(x: Tensor, y: Tensor) -> None:
        plain.zero_grad()
        ((model(x) - y).square().sum() / (2 * len(y))).backward()
        plain.step()

    return step


@torch.no_grad()
def _loss(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((model(x) - y).square().sum() / (2 * len(y)))


def entry(given: Problem, scale: Scale, seed: int) -> tuple[float, dict[str, Fact]]:
    """Condition number of K for the entry-wise Fisher matrix, beside that of the NTK."""
    model = network(given, width=scale.entry_width, depth=3, rng_seed=seed)
    with Linearisation(model) as linear:
        f = linear.forward(given.x)
        layers = linear.rows(torch.eye(f.shape[1], dtype=f.dtype)[:, None].expand(f.shape[1], *f.shape))
    k = torch.zeros(f.numel(), f.numel(), dtype=torch.float64)
    for layer in layers:
        rows = layer.rows()
        diagonal = rows.square().sum(0) / len(f)
        k += rows @ torch.where(diagonal > 0, rows / diagonal, 0.0).T / len(f)
    theta = ntk(model, given.x)
    return _condition(k), {"condition_ntk": _condition(theta), "width": scale.entry_width}


def _condition(matrix: Tensor) -> float:
    values = torch.linalg.eigvalsh(matrix)
    return float(values[-1] / values[0])


def layers(given: Problem, scale: Scale, seed: int, *, layers: int) -> tuple[float | None, dict[str, Fact]]:
    """Tridiagonal alpha at damping 0 for a number of layers; None where it is refused."""
    model = network(given, width=scale.width, depth=layers, rng_seed=seed)
    try:
        optimizer = NaturalGradient(model, "mse", "tridiagonal")
    except InputError as error:
        return None, {"refused": str(error)}
    before = optimizer.step(given.x, given.y)
    report = optimizer.report()
    return report.alpha, {
        "isotropy_error": report.isotropy_error,
        "loss_share": _loss(model, given.x, given.y) / before,
    }


def width(given: Problem, scale: Scale, seed: int, *, width: int, approx: str) -> tuple[float, dict[str, Fact]]:
    """|f_1 - f_1^lin| on the test set after one step with c = 1, root mean square."""
    model = network(given, width=width, depth=3, rng_seed=seed)
    named: Any = approx
    line = predict(model, (given.x, given.y), given.x_test, named, 1.0, 1)
    NaturalGradient(model, "mse", named).step(given.x, given.y)
    with torch.no_grad():
        gap = float((model(given.x_test) - line.test[1]).square().mean().sqrt())
    return gap, {"train_share": _loss(model, given.x, given.y) / float(line.loss_train[0])}


def low_dimension(given: Problem, scale: Scale, seed: int, *, transform: bool) -> tuple[float, dict[str, Fact]]:
    """K-FAC's isotropy error where inputs have fewer dimensions than samples, M0 = N / 2."""
    size = scale.samples // 2
    _, _, axes = torch.linalg.svd(given.x, full_matrices=False)
    x = torch.nn.functional.normalize(given.x @ axes[:size].T, dim=1)
    x = forster(x).inputs if transform else x
    reduced = Problem(x, given.y, given.labels, x, given.y)
    optimizer = NaturalGradient(network(reduced, width=scale.width, depth=3, rng_seed=seed), "mse", "kfac")
    optimizer.step(reduced.x, reduced.y)
    report = optimizer.report()
    theory = scale.samples * (3 - 2) + size + 1
    return report.isotropy_error, {"alpha": report.alpha, "alpha_theory": theory, "dimensions": size}


def unit(given: Problem, scale: Scale, seed: int, *, width: int, activation: str) -> tuple[float, dict[str, Fact]]:
    """The unit-wise isotropy error at a width."""
    optimizer = NaturalGradient(
        network(given, width=width, depth=3, rng_seed=seed, activation=activation), "mse", "unit", isotropy_every=1
    )
    optimizer.step(given.x, given.y)
    report = optimizer.report()
    return report.isotropy_error, {"alpha": report.alpha}


def cross_entropy(given: Problem, scale: Scale, seed: int, *, approx: str) -> tuple[float, dict[str, Fact]]:
    """Isotropy error of R^T K R, and the loss after each step of c = 1 with two logits."""
    labels = (given.labels != given.labels.min()).long() if given.y.shape[1] == 1 else given.labels
    wide = Problem(given.x, torch.nn.functional.one_hot(labels).double(), labels, given.x_test, given.y_test)
    named: Any = approx
    model = network(wide, width=scale.width, depth=3, rng_seed=seed)
    optimizer = NaturalGradient(model, "cross_entropy", named, kl_clip=None, stop_above=None)  # the bare step
    losses = [optimizer.step(wide.x, labels)]
    error, alpha = optimizer.report().isotropy_error, optimizer.report().alpha
    losses += [optimizer.step(wide.x, labels) for _ in range(scale.steps)]
    return error, {"alpha": alpha, **{f"train_{step}": loss for step, loss in enumerate(losses)}}


def damping(given: Problem, scale: Scale, seed: int, *, approx: str, damping: float) -> tuple[float, dict[str, Fact]]:
    """A curve with c = 1 at a damping."""
    return curve(given, scale, seed, approx=approx, c=1.0, damping=damping)


def ten(given: Problem, scale: Scale, seed: int, *, approx: str) -> tuple[float, dict[str, Fact]]:
    """A curve with ten classes, c = 1."""
    return curve(given, scale, seed, approx=approx, c=1.0)


STAGES: Mapping[str, Callable[..., tuple[float | None, dict[str, Fact]]]] = {
    "curve": curve,
    "entry": entry,
    "layers": layers,
    "width": width,
    "forster": low_dimension,
    "unit": unit,
    "cross_entropy": cross_entropy,
    "damping": damping,
    "ten": ten,
}
