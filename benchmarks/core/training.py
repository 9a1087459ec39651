"""A network trained, narrowed in the middle with its optimizer, and trained on, beside the masked one.

The masked twin keeps all channels, with those that the narrow one lost at 0 after every step. The two loss curves must
be one, and a saved and loaded network must be the saved one.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.goal import bounded, missing
from benchmarks.subject import Subject
from linnet import ChannelGraph, load, resize, save
from linnet.data import data_root, read_idx, read_nucleus_set
from linnet.errors import DataError
from linnet.models import ResNet, SmallUNet
from linnet.results import Record

BOUND = 1e-9  # float64; rounding grows from step to step: measured 1e-15 after 100 steps
Batch = tuple[Tensor, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


def measure(*, quick: bool) -> list[Record]:
    """All records of the subject; without the data folders they stand as missing.

    Args:
        quick: Ten steps before and after the edit: does it run? The numbers are no claim.
    """
    rows: list[Record] = []
    for name, what, run in (("digits", "ResNet on 2,048 digits", _digits), ("nuclei", "U-Net on 20 tiles", _nuclei)):
        try:
            course = run(data_root(), steps=10 if quick else 100)
        except DataError as error:
            row = f"core.training.{name}"
            rows.append(missing(row, what, goal=BOUND, beside="masked twin", reason=str(error)))
            continue
        rows += course.rows(name, what)
    return rows


class Course:
    """The losses of both networks, step by step, and what the file gave back."""

    def __init__(self, before: list[float], narrow: list[float], masked: list[float], *, kept: float, restored: float):
        self.before, self.narrow, self.masked = before, narrow, masked
        self.kept, self.restored = kept, restored

    @property
    def apart(self) -> float:
        """Largest difference of the two losses of one step, relative to the masked one's."""
        pairs = zip(self.narrow, self.masked, strict=True)
        return max(abs(a - b) / abs(b) for a, b in pairs)

    def rows(self, name: str, what: str) -> list[Record]:
        """Two rows: the loss curves, and the file."""
        steps = f"{len(self.before)} steps, narrowed to {self.kept:.0%} of the parameters, {len(self.narrow)} more"
        words = f"{what}, {steps}: loss {self.before[0]:.3g}, {self.before[-1]:.3g}, {self.narrow[-1]:.3g}"
        row = f"core.training.{name}"
        curve = bounded(row, words, self.apart, bound=BOUND, goal=f"<= {BOUND:g}", beside="masked twin")
        file = bounded(
            f"core.training.{name}.file",
            f"{what}, saved and loaded",
            self.restored,
            bound=0.0,
            goal="0",
            beside="the network before saving",
        )
        return [curve, file]


def trained(
    make: Callable[[], nn.Module], batches: Sequence[Batch], loss: Loss, *, steps: int, rng_seed: int = 0
) -> Course:
    """Trains, narrows every free class to about half with the optimizer, and trains on beside the masked twin.

    Args:
        make: A fresh network in float64.
        batches: Inputs and targets, taken in turn.
        loss: Of output and target.
        steps: Before the edit, and the same number after it.
        rng_seed: Chooses the channels.

    Returns:
        The losses of both.
    """
    model = make()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-3)
    before = _steps(model, optimizer, batches, loss, range(steps))
    graph = ChannelGraph(model, batches[0][0])
    multiplicity = _halves(graph, rng_seed)
    twin = copy.deepcopy(model)
    other = torch.optim.AdamW(twin.parameters(), lr=1e-3, weight_decay=1e-3)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    size = sum(p.numel() for p in model.parameters())
    small = resize(model, graph, multiplicity, optimizer=optimizer)
    silence = _silence(twin, graph, multiplicity)
    silence()
    later = range(steps, 2 * steps)
    narrow = _steps(small, optimizer, batches, loss, later)
    masked = _steps(twin, other, batches, loss, later, after=silence)
    kept = sum(p.numel() for p in small.parameters()) / size
    return Course(before, narrow, masked, kept=kept, restored=_restored(small, make(), batches[0][0]))


def _steps(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Batch],
    loss: Loss,
    steps: range,
    after: Callable[[], None] = lambda: None,
) -> list[float]:
    losses = []
    for step in steps:
        x, y = batches[step % len(batches)]
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        after()
        losses.append(float(value.detach()))
    return losses


def _halves(graph: ChannelGraph, rng_seed: int) -> dict[str, Any]:
    generator = np.random.default_rng(rng_seed)
    drawn = {}
    for known in graph.classes.values():
        if known.frozen is None:
            drawn[known.name] = generator.integers(0, 2, known.size)
            drawn[known.name][generator.integers(known.size)] = 1
    return drawn


def _silence(twin: nn.Module, graph: ChannelGraph, multiplicity: Mapping[str, Any]) -> Callable[[], None]:
    """What makes the twin the masked network again after a step."""
    places: list[tuple[Tensor, int, Tensor]] = []
    for name, numbers in multiplicity.items():
        for slot in graph.classes[name].slots:
            if slot.role == "consume":
                gone = torch.from_numpy(slot.index[np.flatnonzero(numbers == 0)].ravel())
                places.append((twin.get_parameter(slot.tensor), slot.axis, gone))

    def silence() -> None:
        with torch.no_grad():
            for tensor, axis, gone in places:
                tensor.index_fill_(axis, gone, 0.0)

    return silence


def _restored(small: nn.Module, fresh: nn.Module, x: Tensor) -> float:
    """Largest difference between the outputs of a network and of its file."""
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        found = load(fresh, save(small, Path(folder) / "small.safetensors"))
        return float((found.eval()(x) - small.eval()(x)).abs().max())


def _digits(data: Path, *, steps: int) -> Course:
    folder = data / "mnist"
    images = read_idx(folder / "train-images-idx3-ubyte.gz")[:2048]
    labels = read_idx(folder / "train-labels-idx1-ubyte.gz")[:2048]
    x = torch.tensor(images, dtype=torch.float64)[:, None, ::2, ::2] / 255
    y = torch.tensor(labels, dtype=torch.long)

    def make() -> nn.Module:
        torch.manual_seed(0)
        return ResNet(input_shape=(1, 14, 14), classes=10, depth=8, width=8).double()

    return trained(make, list(zip(x.split(64), y.split(64), strict=True)), nn.functional.cross_entropy, steps=steps)


def _nuclei(data: Path, *, steps: int) -> Course:
    images = read_nucleus_set(data / "nuclei_dsb2018", "train")[:20]
    batches = [_tiles(images[start : start + 4]) for start in range(0, len(images), 4)]

    def make() -> nn.Module:
        torch.manual_seed(0)
        return SmallUNet(widths=(16, 24, 32), stem=8).double()

    return trained(make, batches, map_loss, steps=steps)


def _tiles(images: Sequence[Any], side: int = 64) -> Batch:
    """One corner of each image, and where its nuclei are on the grid of stride 2."""
    x, y = (
        torch.zeros(len(images), 3, side, side, dtype=torch.float64),
        torch.zeros(len(images), 1, side // 2, side // 2),
    )
    for number, image in enumerate(images):
        pixels = np.asarray(image.pixels(), dtype=np.float64)[:side, :side]
        pixels = pixels[..., :3] if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
        x[number, :, : pixels.shape[0], : pixels.shape[1]] = torch.from_numpy(pixels / 255).permute(2, 0, 1)
        for row, column in image.points // 2:
            if row < side // 2 and column < side // 2:
                y[number, 0, int(row), int(column)] = 1
    return x, nn.functional.max_pool2d(y, 3, 1, 1)


def map_loss(output: Tensor, target: Tensor) -> Tensor:
    """Cross entropy of the first channel's map."""
    return nn.functional.binary_cross_entropy_with_logits(output[:, :1], target)


SUBJECT = Subject({"training": measure})
