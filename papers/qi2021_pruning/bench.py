"""Bench: images, seed and training that all arms share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy

from linnet import cost
from linnet.data import ArrayLoader, Augment, ImageSet, Standardise, hold_out
from linnet.engine import Checkpoints, Compute, Listener, Schedule, derive_seed, fit
from linnet.models import VGG
from linnet.results import classification_records
from papers.images import read_sets, subset
from papers.qi2021_pruning.scales import Scale, Stages

_AUGMENT = Augment(flip=True, shift_px=4)
_TEST_BATCH = 500


@dataclass(frozen=True, eq=False)
class Data:
    """Images made ready, on the device.

    Attributes:
        inputs: Training images, standardised.
        labels: Theirs.
        validation_inputs: Images that settings are chosen on.
        validation_labels: Theirs.
        test_inputs: Images that arms are compared on.
        test_labels: Theirs.
        classes: How many.
    """

    inputs: Tensor
    labels: Tensor
    validation_inputs: Tensor
    validation_labels: Tensor
    test_inputs: Tensor
    test_labels: Tensor
    classes: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        _, channels, height, width = self.inputs.shape
        return channels, height, width


@dataclass(frozen=True)
class Bench:
    """What an arm gets.

    Attributes:
        scale: Sizes.
        ready: Images.
        seed: Of start values and batches; the same for all arms.
        lr: Learning rate, chosen for the dense network.
        limits: The budget.
        fine_tune: Factor on the rate for fine-tuning.
        checkpoints: Where a training keeps its checkpoints; None: nowhere.
    """

    scale: Scale
    ready: Data
    seed: int
    lr: float
    limits: Mapping[str, float]
    fine_tune: float = 1.0
    checkpoints: Path | None = None

    @property
    def example(self) -> Tensor:
        """Zeros of one image."""
        return torch.zeros(1, *self.ready.image_shape)

    @property
    def epoch_steps(self) -> int:
        """Updates of an epoch."""
        return len(self.ready.inputs) // self.scale.batch_size

    def fresh(self, stages: Stages | None = None) -> VGG:
        """A network with the seed's start values, on the CPU."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, "weights"))
            return VGG(
                input_shape=self.ready.image_shape, classes=self.ready.classes, stages=stages or self.scale.stages
            ).to(memory_format=torch.channels_last)

    def macs(self, model: nn.Module) -> int:
        """Multiply-accumulates of one image."""
        return cost(model, self.example).macs

    def costs(self, model: nn.Module) -> dict[str, int]:
        """What each limit is about."""
        found = cost(model, self.example)
        return {name: getattr(found, name) for name in self.limits}

    def train(
        self, model: nn.Module, epochs: int, lr: float, *, listeners: Sequence[Listener] = (), part: str = "training"
    ) -> None:
        """SGD with momentum, weight decay and a cosine schedule; the last epoch is kept.

        With a folder for checkpoints, a training that was killed goes on from its last one.
        """
        recipe = self.scale.recipe
        loader = ArrayLoader(
            (self.ready.inputs, self.ready.labels),
            batch_size=self.scale.batch_size,
            rng_seed=derive_seed(self.seed, part),
            drop_last=True,
            transform=_augmented if self.scale.augmented else None,
        )
        model.to(self.scale.compute().torch_device)
        optimizer = torch.optim.SGD(
            model.parameters(), lr=lr, momentum=0.9, weight_decay=recipe.weight_decay, nesterov=recipe.nesterov
        )
        warmup = round(recipe.warmup * epochs * self.epoch_steps)
        folder = None if self.checkpoints is None else self.checkpoints / part
        options: dict[str, Any] = {"schedule": Schedule("cosine", warmup_steps=warmup), "progress": "off"}
        options |= {
            "rng_seed": self.seed,
            "checkpoints": Checkpoints(folder, every=self.scale.checkpoint_steps or None),
        }
        fit(
            model, _Learning(recipe.label_smoothing), loader, optimizer=optimizer, epochs=epochs,
            compute=self.scale.compute(), listeners=listeners, **options,
        )  # fmt: skip

    def judged(self, model: nn.Module, split: str) -> dict[str, float]:
        """Accuracy, negative log-likelihood (nat) and calibration error on "validation" or "test" images."""
        inputs = self.ready.test_inputs if split == "test" else self.ready.validation_inputs
        labels = self.ready.test_labels if split == "test" else self.ready.validation_labels
        compute = self.scale.compute()
        with torch.inference_mode(), compute.autocast():
            logits = torch.cat([model.eval()(part).float().cpu() for part in inputs.split(_TEST_BATCH)])
        found = classification_records(logits.numpy(), labels.cpu().numpy())
        return {record.name: float(record.value or 0) for record in found if record.name in ("accuracy", "nll", "ece")}


@dataclass(frozen=True)
class _Learning:
    """Cross-entropy; nothing is looked at on the way."""

    label_smoothing: float

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy of a batch (images, labels)."""
        images, labels = batch
        return cross_entropy(model(images), labels, label_smoothing=self.label_smoothing), {}

    def validate(self, model: nn.Module, compute: Compute) -> dict[str, float]:
        """Nothing."""
        return {}


@cache
def ready(scale: Scale, name: str, folder: Path | None) -> Data:
    """The images of a set; read once in each process."""
    whole, test = read_sets(name, folder)
    if scale.images > 0:
        whole = subset(whole, scale.images + scale.validation_images)
    train, held = whole, []
    if scale.tuned:
        train, validation = hold_out(whole, scale.validation_images / len(whole), rng_seed=derive_seed(0, "validation"))
        held = [validation]
    test = subset(test, scale.test_images)
    standardise, device = Standardise(*train.channel_statistics()), scale.compute().torch_device

    def inputs(images: ImageSet) -> Tensor:
        standard = standardise(images.images.to(device))
        halved = avg_pool2d(standard, 2) if scale.halved else standard
        return halved.contiguous(memory_format=torch.channels_last)

    parts = [(inputs(images), images.labels.to(device)) for images in (train, *held, test)]
    none = tuple(x[:0] for x in parts[0])
    chosen_on = parts[1] if held else none
    return Data(*parts[0], *chosen_on, *parts[-1], classes=len(train.classes))


def _augmented(batch: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
    """Flipped and shifted where the images are: the batch's generator seeds one on their device."""
    images, labels = batch
    own = torch.Generator(images.device).manual_seed(generator.initial_seed())
    return _AUGMENT(images, own), labels
