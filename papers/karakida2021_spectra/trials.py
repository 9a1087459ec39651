"""The trials of the study: each measures one network and gives one record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from linnet.data import ImageSet
from linnet.models import ConvNet
from linnet.results import Record
from linnet.spectra import feature_metric, fisher, input_metric, lr_map, ntk, safe_lr, theory
from papers.images import read_sets, subset
from papers.karakida2021_spectra.problems import CLASSES, KINDS, Scale, inputs, perceptron
from papers.study import Finished, Trial

Facts = dict[str, Any]
MOMENTS = ("start", "middle", "end")


def next_trials(finished: Finished, *, scale: Scale) -> list[Trial]:
    """All trials of a scale; none depends on another."""
    found = [Trial("regression", {"seed": seed}) for seed in range(scale.regression[1])]
    found += [
        Trial("softmax", {"activation": kind, "width": width, "seed": seed})
        for width in scale.widths
        for kind in KINDS
        for seed in range(scale.seeds)
    ]
    found += [Trial("ntk", {"samples": n, "seed": seed}) for n in scale.ntk_samples for seed in range(scale.seeds)]
    found += [Trial("centred", {"width": m, "seed": seed}) for m in scale.widths for seed in range(scale.seeds)]
    found += [Trial("metric", {"seed": seed}) for seed in range(scale.seeds)]
    found += [Trial("training", {"seed": seed}) for seed in range(scale.seeds)]
    return [*found, Trial("map", {}), Trial("real", {})]


def run_trial(trial: Trial, *, scale: Scale, root: Path | None) -> Record:
    """Does one trial."""
    begin = time.perf_counter()
    run: Mapping[str, Callable[[], tuple[float, Facts]]] = {
        "regression": partial(_regression, scale, _seed(trial)),
        "softmax": lambda: _softmax(
            scale, str(trial.settings["activation"]), int(trial.settings["width"]), _seed(trial)
        ),
        "ntk": lambda: _ntk(scale, int(trial.settings["samples"]), _seed(trial)),
        "centred": lambda: _centred(int(trial.settings["width"]), _seed(trial)),
        "metric": partial(_metric, scale, _seed(trial)),
        "training": partial(_training, scale, _seed(trial)),
        "map": partial(_map, scale),
        "real": partial(_real, scale, root),
    }
    value, facts = run[trial.stage]()
    facts["wall_s"] = round(time.perf_counter() - begin, 2)
    return Record.measured(f"karakida2021_spectra.{trial.stage}", value, rng_seed=_seed(trial), context=facts)


def as_text(values: Sequence[float] | Tensor) -> str:
    """Numbers in one fact."""
    return " ".join(f"{float(value):.6g}" for value in values)


def numbers(text: object) -> list[float]:
    """The numbers of such a fact."""
    return [float(word) for word in str(text).split()]


def _seed(trial: Trial) -> int:
    return int(trial.settings.get("seed", 0))


def _regression(scale: Scale, seed: int) -> tuple[float, Facts]:
    width, n = scale.regression[0], scale.samples
    found = fisher(perceptron("tanh", width, CLASSES, rng_seed=seed), inputs(n, width, seed))
    expected = theory(3, "tanh", *KINDS["tanh"], width, n, CLASSES)
    facts: Facts = {"mean": found.mean, "second_moment": found.second_moment}
    facts |= {"theory_mean": expected.mean, "theory_second_moment": expected.second_moment, "theory_max": expected.max}
    facts |= {"theory_bulk": expected.bulk, "bulk": float(found.eigenvalues[CLASSES:].mean())}
    return found.max, facts | {
        "eigenvalues": as_text(found.eigenvalues) if seed == 0 else as_text(found.eigenvalues[:CLASSES])
    }


def _softmax(scale: Scale, kind: str, width: int, seed: int) -> tuple[float, Facts]:
    model, x = perceptron(kind, width, CLASSES, rng_seed=seed), inputs(scale.samples, width, seed)
    with torch.no_grad():
        p = model(x).softmax(1)
    shape = (3, kind, *KINDS[kind], width, scale.samples, CLASSES)
    own, drawn = theory(*shape, "cross_entropy", probs=p), theory(*shape, "cross_entropy", networks=300)
    found, mse = fisher(model, x, "cross_entropy"), theory(*shape)
    facts: Facts = {
        "mean": found.mean,
        "second_moment": found.second_moment,
        "outliers": as_text(found.eigenvalues[:CLASSES]),
    }
    facts |= {
        "theory_mean": own.mean,
        "theory_second_moment": own.second_moment,
        "lower": own.lower,
        "upper": own.upper,
    }
    facts |= {"predicted": as_text(own.outliers), "a_priori": as_text(drawn.outliers), "theory_mse_max": mse.max}
    return found.max, facts


def _ntk(scale: Scale, n: int, seed: int) -> tuple[float, Facts]:
    """In NTK parameterisation: every layer's kernel by its fan-in, so that leaf weights have variance 1."""
    width, model = scale.ntk_width, perceptron("relu0", scale.ntk_width, 2, rng_seed=seed)
    each = ntk(model, inputs(n, width, seed), layers="each")
    # leaf W' = W sqrt(fan_in / sigma_w^2): its gradient is sqrt(sigma_w^2 / fan_in) times that of W; without bias here
    kernel = sum(k.double() for k in each.values()) * (2.0 / width)
    values = torch.linalg.eigvalsh(kernel).flip(0)
    expected = theory(3, "relu", 2.0, 0.0, width, n, 2)
    grid = kernel.view(n, 2, n, 2)
    grid = grid - grid.mean(0, keepdim=True)
    centred = (grid - grid.mean(2, keepdim=True)).reshape(2 * n, 2 * n)
    facts: Facts = {"mean": float(values.mean()), "bulk": float(values[2:].mean())}
    facts |= {"theory_mean": expected.ntk_mean, "theory_max": expected.ntk_max, "theory_bulk": expected.ntk_bulk}
    return float(values[0]), facts | {"centred": float(torch.linalg.eigvalsh(centred)[-1])}


def _centred(width: int, seed: int) -> tuple[float, Facts]:
    """N = M, C = 2."""
    found = fisher(perceptron("relu", width, 2, rng_seed=seed), inputs(width, width, seed))
    expected = theory(3, "relu", *KINDS["relu"], width, width, 2)
    return found.centered().max, {"raw": found.max, "theory_raw": expected.max, "theory": expected.centered_max}


def _metric(scale: Scale, seed: int) -> tuple[float, Facts]:
    width, n = scale.metric
    model, x = perceptron("tanh", width, CLASSES, rng_seed=seed), inputs(n, width, seed)
    expected = theory(3, "tanh", *KINDS["tanh"], width, n, CLASSES)
    of_input, of_feature = input_metric(model, x), feature_metric(model, x, "3")
    facts: Facts = {"input_mean": of_input.mean, "feature_mean": of_feature.mean, "feature_max": of_feature.max}
    facts |= {"theory_input_max": expected.metric(0).max, "theory_input_mean": expected.metric(0).mean}
    return of_input.max, facts | {
        "theory_feature_max": expected.metric(2).max,
        "theory_feature_mean": expected.metric(2).mean,
    }


def _training(scale: Scale, seed: int) -> tuple[float, Facts]:
    """Cross entropy, two classes by the sign of a random teacher; the largest eigenvalue of both F along the way."""
    width, every, looks = scale.training
    model, x = perceptron("relu", width, 2, rng_seed=seed), inputs(scale.samples, width, seed)
    with torch.no_grad():
        y = perceptron("relu", width, 2, rng_seed=500 + seed)(x).argmax(1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5 * float(safe_lr(model, x, "cross_entropy")))
    rows: dict[str, list[float]] = {name: [] for name in ("mse", "softmax", "lower", "upper", "loss")}
    for look in range(looks):
        for _ in range(every if look else 0):
            optimizer.zero_grad()
            cross_entropy(model(x), y).backward()
            optimizer.step()
        with torch.no_grad():
            f = model(x)
        expected = theory(3, "relu", *KINDS["relu"], width, len(x), 2, "cross_entropy", probs=f.softmax(1))
        measured = fisher(model, x).max, fisher(model, x, "cross_entropy").max
        known = expected.lower, expected.upper, float(cross_entropy(f, y))
        for name, value in zip(rows, (*measured, *known), strict=True):
            rows[name].append(value)
    return rows["softmax"][-1], {"every": every, **{name: as_text(values) for name, values in rows.items()}}


def _map(scale: Scale) -> tuple[float, Facts]:
    """Step sizes over widths; the value is the largest gap between edge and line, in steps of the grid."""
    ratio = 1.25
    lrs = [2e-3 * ratio**k for k in range(26)]
    found = lr_map(
        lambda m: perceptron("relu", m, 2, rng_seed=0), scale.map_widths, lrs, lambda m: inputs(20, m, 0), steps=60
    )
    gaps = [
        abs(torch.log(torch.tensor(edge / limit)).item())
        for edge, limit in zip(found.edges(), found.limits, strict=True)
    ]
    facts: Facts = {"widths": as_text(found.widths), "lrs": as_text(found.lrs), "limits": as_text(found.limits)}
    facts |= {"edges": as_text(found.edges()), "peaks": as_text(found.peaks.clamp(max=1e9).flatten())}
    return max(gaps) / torch.log(torch.tensor(ratio)).item(), facts | {
        "losses": as_text(found.losses.clamp(max=1e9).flatten())
    }


def _real(scale: Scale, root: Path | None) -> tuple[float, Facts]:
    """A convolutional classifier at the start, in the middle and at the end of its training."""
    many, few, epochs = scale.images
    train, _ = read_sets("digits" if scale.name == "smoke" else "fashion_mnist", root)
    train = subset(train, many)
    x, y = _standardised(train), train.labels
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ConvNet(input_shape=train.image_shape, classes=len(train.classes))
        facts: Facts = {"set": train.name}
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        total = epochs * (len(x) // 50)
        for step in range(total + 1):
            if step in (0, total // 2, total):
                facts |= _looked(model, x[:few], y[:few], MOMENTS[(0, total // 2, total).index(step)])
            rows = torch.randperm(len(x))[:50]
            model.train()
            optimizer.zero_grad()
            cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return float(facts["end_max"]), facts


def _looked(model: ConvNet, x: Tensor, y: Tensor, when: str) -> Facts:
    model.eval()
    found = fisher(model, x, "cross_entropy")
    with torch.no_grad():
        loss = float(cross_entropy(model(x), y))
    values = {
        "max": found.max,
        "centred": found.centered().max,
        "lr": float(safe_lr(model, x, "cross_entropy")),
        "loss": loss,
    }
    return {f"{when}_{name}": value for name, value in values.items()} | {
        f"{when}_top": as_text(found.eigenvalues[:40])
    }


def _standardised(images: ImageSet) -> Tensor:
    pixels = images.images.float()
    return (pixels - pixels.mean()) / pixels.std()
