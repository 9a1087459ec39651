"""One training of the study: an ordinary loop, its scores, and the kernels that it ends with."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn import functional

from linnet.data import ImageSet, circuit_boards, magnetic_tiles
from linnet.engine import derive_seed
from linnet.jet import JetConv2d, Program, freeze
from linnet.results import Record
from linnet.results.record import Fact
from papers.images import read_sets, subset
from papers.simons2021_jets import maps
from papers.simons2021_jets.networks import FROZEN, network
from papers.simons2021_jets.scales import BALANCED, Scale
from papers.study import Trial

BATCH = 100
BETAS = (0.5, 0.99)
SIDE = 32  # pixels of an inspection image
PIXELS = (2 / 255, -1.0)


@dataclass(frozen=True)
class Images:
    """Whole pixels and classes: training, held-out and test images."""

    train: tuple[Tensor, Tensor]
    held_out: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]
    classes: int


@cache
def images_of(name: str, scale: Scale, data: Path | None) -> Images:
    """The images of a set; gratings are drawn here."""
    if name == "gratings":
        drawn = [_gratings(n, k) for k, n in enumerate((scale.images, scale.held_out, scale.test_images))]
        return Images(drawn[0], drawn[1], drawn[2], 3)
    if name in BALANCED:
        return _inspected(name, data)
    train, test = read_sets(name, data)
    train, test = subset(train, scale.images + scale.held_out), subset(test, scale.test_images)
    pixels, classes = _tensors(train)
    split = scale.images
    return Images((pixels[:split], classes[:split]), (pixels[split:], classes[split:]), _tensors(test), 10)


def _inspected(name: str, data: Path | None) -> Images:
    read, folder = (circuit_boards, "deeppcb") if name == "deeppcb" else (magnetic_tiles, "research_only/magnetic_tile")
    root = None if data is None else data / folder
    train, held_out, test = (_tensors(read(split, root=root, side=SIDE)) for split in ("train", "val", "test"))
    return Images(train, held_out, test, 2)


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
    """Trains one network.

    The value is the held-out score of a rate, the test score of a seed, the LUTs of an area, or of maps the chance of a
    defect that the network gives their image.
    """
    began = time.perf_counter()
    settings = trial.settings
    kind, name, seed = (settings[key] for key in ("kind", "data", "seed"))
    images, balanced = images_of(str(name), scale, data), name in BALANCED
    net, held_out, loss = trained(settings, images, scale)
    diverged = math.isnan(loss)
    if trial.stage == "area":
        value, context = (None, {}) if diverged else _area(net, images)
        facts = {"name": "simons2021_jets.lut", "unit": "LUT"}
    elif trial.stage == "maps":
        value, context = (None, {}) if diverged else _maps(net, images, data)
        facts = {"name": "simons2021_jets.maps", "n": 1, "split": "val"}
    else:
        rate = trial.stage == "rate"
        shown = images.held_out if rate else images.test
        value, area_under = (held_out[-1], 0.0) if rate else _score(net, *shown, balanced=balanced)
        late = held_out[len(held_out) // 2 :]
        context = {
            "loss": loss,
            "held_out": json.dumps([round(value, 5) for value in held_out]),
            "epoch_sd": statistics.stdev(late) if len(late) > 1 else 0.0,
            "kinds": json.dumps(_kinds(net)),
            **({"auroc": area_under} if balanced and not rate else {}),
            **_cost(net, str(kind), images),
        }
        facts = {"name": "simons2021_jets.accuracy", "n": len(shown[0]), "split": "val" if rate else "test"}
    context |= {"scale": scale.name, "wall_s": round(time.perf_counter() - began, 2)}
    record = Record.measured(value=None if diverged else value, rng_seed=int(seed), context=context, **facts)
    return replace(record, command=f"python papers/simons2021_jets/run.py --scale {scale.name}")


def trained(settings: Mapping[str, Fact], images: Images, scale: Scale) -> tuple[nn.Sequential, list[float], float]:
    """A network of the study, trained.

    Args:
        settings: Its data, kind, width, lr and seed.
        images: Of that set.
        scale: How long it trains.

    Returns:
        The network, its held-out score after each epoch, and the mean loss of the last epoch.
    """
    kind, name, seed, width, lr = (settings[key] for key in ("kind", "data", "seed", "width", "lr"))
    torch.manual_seed(derive_seed(int(seed), f"{kind}-{width}"))
    net = network(str(kind), int(width), images.train[0].shape[-1], images.classes)
    return net, *_train(net, images, scale, float(lr), balanced=name in BALANCED)


def integer_program(net: nn.Module, images: Images) -> Program:
    """The network on whole pixels."""
    return freeze(net.eval(), images.test[0][:4], pixels=PIXELS)


def _train(net: nn.Module, images: Images, scale: Scale, lr: float, *, balanced: bool) -> tuple[list[float], float]:
    """Held-out score after each epoch, and the mean loss of the last one."""
    pixels, classes = images.train
    parameters = [p for p in net.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=lr, betas=BETAS)
    an_epoch = math.ceil(len(pixels) / BATCH)
    epochs = math.ceil(scale.steps / an_epoch)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * an_epoch)
    held_out, losses = [], []
    for _ in range(epochs):
        net.train()
        losses = []
        for index in torch.randperm(len(pixels)).split(BATCH):
            optimizer.zero_grad()
            loss = functional.cross_entropy(net(_seen(pixels[index])), classes[index])
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        held_out.append(_score(net, *images.held_out, balanced=balanced)[0])
    return held_out, statistics.fmean(losses)


def _seen(pixels: Tensor) -> Tensor:
    """0..255 as -1..1."""
    return pixels.float() * (2 / 255) - 1


def _score(net: nn.Module, pixels: Tensor, classes: Tensor, *, balanced: bool) -> tuple[float, float]:
    """Accuracy, or the mean of the classes' recalls; and for two classes the area under the ROC curve, else 0."""
    net.eval()
    with torch.no_grad():
        outputs = torch.cat([net(_seen(part)) for part in pixels.split(500)])
    right = outputs.argmax(1) == classes
    if not balanced:
        return float(right.double().mean()), 0.0
    defect = classes == 1
    recalls = [float(right[side].double().mean()) for side in (defect, ~defect)]
    return statistics.fmean(recalls), auroc((outputs[:, 1] - outputs[:, 0]).numpy(), defect.numpy())


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """The chance that a positive has a higher score than a negative, ties counted half (Mann and Whitney)."""
    ranks, count = stats.rankdata(scores), int(positive.sum())
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(scores) - count)))


def _kinds(net: nn.Module) -> list[list[int]]:
    """How many pairs of each jet layer have 0, 1 and 2 differences, along y and along x together."""
    layers = [m for m in net.modules() if isinstance(m, JetConv2d)]
    return [torch.bincount(m.kinds()[..., :2].flatten().long(), minlength=3).tolist() for m in layers]


def _cost(net: nn.Module, kind: str, images: Images) -> dict[str, int]:
    """Additions of a frame, counted with the width of their results, where the network freezes."""
    if kind not in FROZEN:
        return {}
    cost = integer_program(net, images).cost()
    return {name: cost.total(name) for name in ("xnor", "adds", "bit_adds", "weight_bits")}


def _maps(net: nn.Module, images: Images, data: Path | None) -> tuple[float, dict[str, Fact]]:
    """The chance of a defect that the network gives one held-out patch with a defect, and its feature maps there."""
    side = images.train[0].shape[-1]
    name, pixels, box = maps.held_out_defect(None if data is None else data / maps.BOARDS, side)
    with torch.no_grad():
        chance = net.eval()(_seen(torch.from_numpy(pixels)[None].long())).softmax(1)[0, 1]
    return float(chance), maps.facts(integer_program(net, images), name, pixels, box)


def _area(net: nn.Module, images: Images) -> tuple[float, dict[str, Fact]]:
    """LUTs on ECP5 of one pixel a clock, by mapping alone, and where they go."""
    found = integer_program(net, images).synth("ecp5", seeds=())
    layers = json.dumps({name: cells.lut for name, cells in found.layers})
    told = {"ff": found.total.ff, "bram": found.total.bram, "dsp": found.total.dsp, "layers": layers}
    return float(found.total.lut), told | {"tool": found.versions[0]}
