"""The problems of the time-to-target study: a network, its images, and how far a run goes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.small_networks import small_cnn, small_resnet
from linnet.data import ImageSet
from papers.images import read_sets

Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Scale:
    """How large the study is on one problem.

    Attributes:
        images: Training images.
        held_out: Further training images that settings are chosen by and the target is read on.
        tested: Test images, looked at after the last step.
        target: Accuracy on held-out images to reach.
        tune_steps: Steps of a trial of settings.
        steps: Steps of a final run.
        draws: Settings of each rival.
        seeds: Final runs of each rival.
        batch: Images of a step.
        every: Steps between looks at the accuracy.
    """

    images: int
    held_out: int
    tested: int
    target: float
    tune_steps: int
    steps: int
    draws: int = 12
    seeds: int = 5
    batch: int = 128
    every: int = 20


@dataclass(frozen=True)
class Problem:
    """A network and what it learns.

    Attributes:
        title: How tables call it.
        shape: Of one image.
        model: Makes the network from torch's random state.
    """

    title: str
    shape: tuple[int, int, int]
    model: Callable[[], nn.Module]


@dataclass(frozen=True)
class Images:
    """Standardised images and classes: training, held out, test."""

    train: Pair
    held_out: Pair
    test: Pair


PROBLEMS: Mapping[str, Problem] = {
    "fashion_mnist": Problem("Fashion-MNIST, small CNN", (1, 28, 28), small_cnn),
    "cifar10_jpeg": Problem("CIFAR-10 as JPEG, small ResNet", (3, 32, 32), small_resnet),
}
"""By the name of the set of images."""
_SMOKE = Scale(images=512, held_out=250, tested=250, target=0.5, tune_steps=8, steps=16, draws=1, seeds=1, batch=64,
               every=4)  # fmt: skip
SCALES: Mapping[str, Mapping[str, Scale]] = {
    "smoke": {"fashion_mnist": _SMOKE},
    "cpu": {
        "fashion_mnist": Scale(
            images=20_000, held_out=2_000, tested=10_000, target=0.85, tune_steps=60, steps=300
        ),
        "cifar10_jpeg": Scale(
            images=6_000, held_out=1_000, tested=4_000, target=0.30, tune_steps=60, steps=200, batch=64
        ),
    },
    "gpu": {
        "fashion_mnist": Scale(
            images=58_000, held_out=2_000, tested=10_000, target=0.90, tune_steps=450, steps=4_500, every=50
        ),
        "cifar10_jpeg": Scale(
            images=48_000, held_out=2_000, tested=8_000, target=0.65, tune_steps=450, steps=4_500, every=50
        ),
    },
}  # fmt: skip


def images(name: str, scale: Scale, data: Path | None) -> Images:
    """The images of a problem; without a folder ten made patterns under noise.

    Args:
        name: Of the problem.
        scale: How many.
        data: Folder that holds the data set's folder.
    """
    if data is None:
        problem = PROBLEMS[name]
        count = scale.images + scale.held_out + scale.tested
        generator = torch.Generator().manual_seed(0)
        y = torch.arange(count) % 10
        x = torch.randn(10, *problem.shape, generator=generator)[y]
        x += torch.randn(count, *problem.shape, generator=generator)
        cuts = [scale.images, scale.held_out, scale.tested]
        return Images(*zip(x.split(cuts), y.split(cuts), strict=True))
    whole, test = read_sets(name, data)
    x = whole.images[: scale.images].float() / 255
    mean, deviation = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)

    def taken(part: ImageSet, chosen: slice) -> Pair:
        return (part.images[chosen].float() / 255 - mean) / deviation, part.labels[chosen]

    return Images(
        taken(whole, slice(scale.images)),
        taken(whole, slice(-scale.held_out, None)),
        taken(test, slice(scale.tested)),
    )
