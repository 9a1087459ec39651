"""How large the study is: a name from smoke to gpu."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from torch import nn

from linnet import models
from papers.chen2020_padam.optimizers import ROWS
from papers.resnet18 import ResNet18

MAP_P = (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""p of the p-lr map."""


@dataclass(frozen=True)
class Problem:
    """Images and the network that learns them.

    Attributes:
        data: The set, as recipes name it.
        images: Training images that take part, a fifth of them for validation; 0: all.
        network: Makes the network.
        options: Of the network.
    """

    data: str
    images: int
    network: Callable[..., nn.Module]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Scale:
    """Everything that sets the size of the study.

    Attributes:
        name: smoke, cpu or gpu.
        problem: What is learned.
        second: What the rule for the learning rate is tested on; None: it isn't.
        epochs: Of each run.
        batch_size: Images of a step.
        seeds: Fresh seeds for each chosen optimizer.
        rows: Keys of the optimizers that take part.
        extensions: How often all grids may grow when a best value lies on an edge.
        grid: Most values of each axis; None: the whole grids.
        map_p: p of the map.
        map_lr: Learning rates of the map.
        second_p: p of the test on the second problem.
        workers: Processes.
        device: Where.
    """

    name: str
    problem: Problem
    second: Problem | None
    epochs: int
    batch_size: int
    seeds: int
    rows: tuple[str, ...]
    extensions: int
    grid: tuple[int, int] | None
    map_p: tuple[float, ...]
    map_lr: tuple[float, ...]
    second_p: tuple[float, ...]
    workers: int
    device: str

    def axes(self, row: str) -> dict[str, tuple[float, ...]]:
        """The grid of an optimizer before any extension."""
        grid = ROWS[row].grid
        if self.grid is None:
            return dict(grid)
        sizes = zip(grid.items(), self.grid, strict=True)
        return {name: values[2 : 2 + most] or values[:most] for (name, values), most in sizes}

    def quick(self) -> Scale:
        """The same study with 320 images and one epoch: does it run?"""
        second = None if self.second is None else replace(self.second, images=320)
        return replace(self, problem=replace(self.problem, images=320), second=second, epochs=1)


def _convnet(**options: Any) -> nn.Module:
    return models.create("convnet", **options)


_FASHION = Problem("fashion_mnist", 10_000, _convnet, {"widths": (8, 16, 64)})
_CIFAR = Problem("cifar10_jpeg", 10_000, _convnet, {"widths": (8, 16, 64)})

SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "smoke": Scale(
            "smoke", Problem("digits", 400, _convnet, {"widths": (4, 8)}), None, epochs=2, batch_size=32, seeds=2,
            rows=("sgdm", "adam", "padam_8"), extensions=1, grid=(2, 1), map_p=(0.0, 1 / 4), map_lr=(0.1, 1.0),
            second_p=(), workers=0, device="cpu",
        ),
        "cpu": Scale(
            "cpu", _FASHION, _CIFAR, epochs=4, batch_size=64, seeds=5, rows=tuple(ROWS), extensions=2, grid=None,
            map_p=MAP_P, map_lr=(0.001, 0.008, 0.064, 0.5, 4.0, 32.0), second_p=(1 / 8, 1 / 4, 1 / 2),
            workers=2, device="cpu",
        ),
        "gpu": Scale(
            "gpu", Problem("cifar10_jpeg", 0, ResNet18, {}), None, epochs=15, batch_size=128, seeds=5,
            rows=("sgdm", "adam", "amsgrad", "adamw", "adam_eps", "padam_4", "padam_8", "padam_16"), extensions=1,
            grid=None, map_p=(), map_lr=(), second_p=(), workers=1, device="auto",
        ),
    }
)  # fmt: skip
"""The three scales."""
