"""What is learned: two digits (or ten classes), a few samples, and a wide network in NTK parameterisation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from linnet.data import ImageSet, digits, hold_out
from linnet.models import ntk_mlp
from linnet.models.ntk_perceptron import NTKPerceptron
from papers.images import read_sets


@dataclass(frozen=True)
class Scale:
    """How large a run of the study is.

    Attributes:
        name: As the user spells it.
        samples: N, and as many test samples.
        width: Of hidden layers.
        widths: Of the items against width.
        entry_width: Of the entry-wise counter-example, which needs the Jacobian itself.
        seeds: Networks and draws of samples.
        steps: Steps of a curve.
        workers: Processes.
        dampings: Of the sweep.
        ten: Sets of ten classes; CIFAR-10 takes minutes to decode.
    """

    name: str
    samples: int
    width: int
    widths: tuple[int, ...]
    entry_width: int
    seeds: int
    steps: int
    workers: int
    dampings: tuple[float, ...]
    ten: tuple[str, ...] = ("mnist10",)


SCALES = {
    scale.name: scale
    for scale in (
        Scale("smoke", 20, 128, (64, 256), 64, 2, 3, 0, (1e-3,)),
        Scale("cpu", 100, 1024, (128, 256, 512, 1024), 384, 5, 4, 2, (1e-4, 1e-2, 1.0)),
        Scale(
            "gpu",
            100,
            4096,
            (128, 256, 512, 1024, 2048, 4096),
            1024,
            10,
            5,
            1,
            (1e-5, 1e-3, 0.1, 1.0),
            ("mnist10", "cifar10"),
        ),
    )
}


@dataclass(frozen=True)
class Problem:
    """Training and test samples, float64.

    Attributes:
        x: (N, M0): standardised over all training images of the classes, then unit rows.
        y: (N, C): +-0.5 for two classes, one-hot for ten.
        labels: (N,), class indices.
        x_test: (N', M0), by the training set's mean and deviation.
        y_test: (N', C).
    """

    x: Tensor
    y: Tensor
    labels: Tensor
    x_test: Tensor
    y_test: Tensor


def problem(data: str, samples: int, rng_seed: int, root: Path | None) -> Problem:
    """N samples of a set, drawn by the seed.

    Args:
        data: "digits" (of scikit-learn), "mnist" (each the pair 0 and 7), "mnist10" or "cifar10" (ten classes).
        samples: N.
        rng_seed: Of the draw.
        root: Folder with `mnist` and `cifar10_jpeg`; digits need none.
    """
    train, test = _sets(data, root)
    pair = (0, 7) if data in ("digits", "mnist") else None
    generator = torch.Generator().manual_seed(rng_seed)
    chosen, rest = _drawn(train, samples, pair, generator), _drawn(test, samples, pair, generator)
    (x, labels), (x_test, labels_test) = chosen, rest
    whole = _of_classes(train, pair)
    mean, deviation = whole.mean(0), whole.std(0)
    deviation = torch.where(deviation > 0, deviation, torch.inf)

    def prepared(rows: Tensor) -> Tensor:
        return torch.nn.functional.normalize((rows - mean) / deviation, dim=1)

    return Problem(prepared(x), _targets(labels, pair), labels, prepared(x_test), _targets(labels_test, pair))


def network(problem: Problem, *, width: int, depth: int, rng_seed: int, activation: str = "relu") -> NTKPerceptron:
    """A network without biases, weight variance 2, float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng_seed)
        model = ntk_mlp(
            depth=depth,
            width=width,
            inputs=problem.x.shape[1],
            outputs=problem.y.shape[1],
            activation=activation,
            weight_variance=2.0 if activation == "relu" else 1.0,
        )
    return model.double()


def _sets(data: str, root: Path | None) -> tuple[ImageSet, ImageSet]:
    if data == "digits":
        return hold_out(digits(), 0.5, rng_seed=0)
    return read_sets("cifar10_jpeg" if data == "cifar10" else "mnist", root)


def _of_classes(images: ImageSet, pair: tuple[int, int] | None) -> Tensor:
    """All samples of the classes: the statistics of N samples alone would take away one dimension of their rank."""
    kept = images.labels >= 0 if pair is None else (images.labels == pair[0]) | (images.labels == pair[1])
    return images.images[kept].flatten(1).double() / 255


def _drawn(
    images: ImageSet, samples: int, pair: tuple[int, int] | None, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The same number of each class."""
    classes = pair or tuple(range(10))
    each = samples // len(classes)
    chosen = []
    for label in classes:
        places = (images.labels == label).nonzero().squeeze(1)
        chosen.append(places[torch.randperm(len(places), generator=generator)[:each]])
    index = torch.cat(chosen)
    return images.images[index].flatten(1).double() / 255, images.labels[index]


def _targets(labels: Tensor, pair: tuple[int, int] | None) -> Tensor:
    if pair is not None:
        return torch.where(labels == pair[0], 0.5, -0.5).double().unsqueeze(1)
    return torch.nn.functional.one_hot(labels, 10).double()
