"""How large the study is, and the random networks that it looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import nn

KINDS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"tanh": (3.0, 0.64), "relu": (2.0, 0.1), "linear": (1.0, 0.1)}
)
"""Activation -> (weight variance, bias variance): linnet's choice."""
_LAYERS: Mapping[str, type[nn.Module]] = MappingProxyType({"tanh": nn.Tanh, "relu": nn.ReLU, "linear": nn.Identity})
DEPTH, CLASSES = 3, 10


@dataclass(frozen=True)
class Scale:
    """How large the study is.

    Attributes:
        name: "smoke", "cpu" or "gpu".
        regression: Width and number of networks of the regression spectrum.
        samples: N of the regression and softmax spectra.
        widths: M of the softmax statistics and of mean subtraction.
        seeds: Networks for each setting.
        ntk_samples: N of the NTK spectra.
        ntk_width: Their width.
        metric: Width and N of the input and feature metrics.
        training: Width, steps between looks and number of looks of the training with cross entropy.
        map_widths: Of the map of step sizes.
        images: Training and spectrum images of the real network, and its epochs.
        workers: Processes.
    """

    name: str
    regression: tuple[int, int]
    samples: int
    widths: tuple[int, ...]
    seeds: int
    ntk_samples: tuple[int, ...]
    ntk_width: int
    metric: tuple[int, int]
    training: tuple[int, int, int]
    map_widths: tuple[int, ...]
    images: tuple[int, int, int]
    workers: int


SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "smoke": Scale(
            "smoke", (40, 2), 20, (32, 64), 1, (10, 20), 64, (48, 40), (40, 4, 3), (16, 32), (200, 16, 1), 0
        ),
        "cpu": Scale(
            "cpu", (200, 20), 100, (100, 200, 400, 800), 3, (50, 100, 200, 400), 500, (500, 500), (500, 40, 8),
            (16, 32, 64, 128, 256, 512), (4000, 100, 2), 0,
        ),
        "gpu": Scale(
            "gpu", (200, 100), 100, (100, 200, 400, 800, 1600), 10, (100, 200, 400, 800, 1600), 1000, (500, 1000),
            (2000, 40, 12), (16, 32, 64, 128, 256, 512, 1024), (40000, 200, 5), 0,
        ),
    }
)  # fmt: skip


def perceptron(activation: str, width: int, outputs: int, *, rng_seed: int) -> nn.Sequential:
    """W ~ N(0, sigma_w^2 / fan_in), b ~ N(0, sigma_b^2), three weight layers, inputs of the same width.

    Args:
        activation: One of `KINDS`, or "relu0": ReLU with variances (2, 0).
        width: M.
        outputs: C.
        rng_seed: Of the weights.
    """
    weight, bias = (2.0, 0.0) if activation == "relu0" else KINDS[activation]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng_seed)
        layers: list[nn.Module] = []
        for number in range(DEPTH):
            linear = nn.Linear(width, outputs if number == DEPTH - 1 else width)
            nn.init.normal_(linear.weight, std=(weight / width) ** 0.5)
            nn.init.normal_(linear.bias, std=bias**0.5)
            layers += [linear, _LAYERS[activation.removesuffix("0")]()]
        return nn.Sequential(*layers[:-1])


def inputs(samples: int, width: int, rng_seed: int) -> torch.Tensor:
    """Standard normal, (N, M)."""
    return torch.randn(samples, width, generator=torch.Generator().manual_seed(1000 + rng_seed))
