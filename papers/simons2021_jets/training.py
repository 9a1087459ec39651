"""One training of the study: an ordinary loop, its accuracies, and the kernels that it ends with."""

from __future__ import annotations

import json
import math
import statistics
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from linnet.data import ImageSet
from linnet.engine import derive_seed
from linnet.jet import JetConv2d, freeze
from linnet.results import Record
from papers.images import read_sets, subset
from papers.simons2021_jets.networks import network
from papers.simons2021_jets.scales import Scale
from papers.study import Trial

BATCH = 100
BETAS = (0.5, 0.99)


@dataclass(frozen=True)
class Images:
    """Whole pixels and classes: training, held-out and test images."""

    train: tuple[Tensor, Tensor]
    held_out: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    classes: int


@cache
def images_of(scale: Scale, data: Path | None) -> Images:
    """The images of a scale; MNIST's, or gratings drawn here."""
    if scale.data == "gratings":
        drawn = [_gratings(n, k) for k, n in enumerate((scale.images, scale.held_out, scale.test_images))]
        return Images(drawn[0], drawn[1], drawn[2], 3)
    train, test = read_sets(scale.data, data)
    train, test = subset(train, scale.images + scale.held_out), subset(test, scale.test_images)
    pixels, classes = _tensors(train)
    split = scale.images
    return Images((pixels[:split], classes[:split]), (pixels[split:], classes[split:]), _tensors(test), 10)


def _tensors(images: ImageSet) -> tuple[Tensor, Tensor]:
    return images.images.long(), images.labels


def _gratings(count: int, stream: int) -> tuple[Tensor, Tensor]:
    """Stripes across, down or aslant in noise, 16 x 16, 0..255."""
    rng = np.random.default_rng(stream)
    classes = rng.integers(0, 3, count)
    y, x = np.mgrid[:16, :16]
    waves = np.stack([y, x, (x + y) / 1.4])[classes] + rng.uniform(0, 6, (count, 1, 1))
    pixels = (127.5 + 60 * np.sin(waves) + rng.normal(0, 25, waves.shape)).clip(0, 255).round()
    return torch.from_numpy(pixels).long()[:, None], torch.from_numpy(classes)


def run_trial(trial: Trial, scale: Scale, data: Path | None) -> Record:
    """Trains one network; the value is the held-out accuracy of a rate, or the test accuracy of a seed."""
    began = time.perf_counter()
    settings = trial.settings
    kind, seed, width, lr = (settings[key] for key in ("kind", "seed", "width", "lr"))
    images = images_of(scale, data)
    torch.manual_seed(derive_seed(int(seed), f"{kind}-{width}"))
    net = network(str(kind), int(width), images.train[0].shape[-1], images.classes)
    held_out, loss = _train(net, images, scale, float(lr))
    final = held_out[-1] if trial.stage == "rate" else _accuracy(net, *images.test)
    late = held_out[len(held_out) // 2 :]
    context = {
        "scale": scale.name,
        "data": scale.data,
        "loss": loss,
        "held_out": json.dumps([round(value, 5) for value in held_out]),
        "epoch_sd": statistics.stdev(late) if len(late) > 1 else 0.0,
        "kinds": json.dumps(_kinds(net)),
        "wall_s": round(time.perf_counter() - began, 2),
        **_cost(net, images),
    }
    value = None if math.isnan(loss) else final
    rate = trial.stage == "rate"
    n, split = (len(images.held_out[0]), "val") if rate else (len(images.test[0]), "test")
    record = Record.measured("simons2021_jets.accuracy", value, n=n, split=split, rng_seed=int(seed), context=context)
    return replace(record, command=f"python papers/simons2021_jets/run.py --scale {scale.name}")


def _train(net: nn.Module, images: Images, scale: Scale, lr: float) -> tuple[list[float], float]:
    """Held-out accuracy after each epoch, and the mean loss of the last one."""
    pixels, classes = images.train
    parameters = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=lr, betas=BETAS)
    steps = scale.epochs * math.ceil(len(pixels) / BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    held_out, losses = [], []
    for _ in range(scale.epochs):
        net.train()
        losses = []
        for index in torch.randperm(len(pixels)).split(BATCH):
            optimizer.zero_grad()
            loss = functional.cross_entropy(net(_seen(pixels[index])), classes[index])
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        held_out.append(_accuracy(net, *images.held_out))
    return held_out, statistics.fmean(losses)


def _seen(pixels: Tensor) -> Tensor:
    """0..255 as -1..1."""
    return pixels.float() * (2 / 255) - 1


def _accuracy(net: nn.Module, pixels: Tensor, classes: Tensor) -> float:
    net.eval()
    with torch.no_grad():
        parts = zip(pixels.split(500), classes.split(500), strict=True)
        right = sum(int((net(_seen(part)).argmax(1) == truth).sum()) for part, truth in parts)
    return right / len(pixels)


def _kinds(net: nn.Module) -> list[list[int]]:
    """How many pairs of each jet layer have 0, 1 and 2 differences, along y and along x together."""
    layers = [m for m in net.modules() if isinstance(m, JetConv2d)]
    return [torch.bincount(m.kinds()[..., :2].flatten().long(), minlength=3).tolist() for m in layers]


def _cost(net: nn.Module, images: Images) -> dict[str, int]:
    """Additions of a frame, counted with the width of their results, where the network freezes."""
    if not isinstance(net[0], JetConv2d) and type(net[0]).__name__ != "BinaryConv2d":
        return {}
    cost = freeze(net.eval(), images.test[0][:4], pixels=(2 / 255, -1.0)).cost()
    return {name: cost.total(name) for name in ("xnor", "adds", "bit_adds", "weight_bits")}
