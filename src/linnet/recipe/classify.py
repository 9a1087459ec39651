"""The task "classify": an image classifier, from a set of images to its accuracy on images it never saw."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from linnet.data import (
    ArrayLoader,
    ImageSet,
    Standardise,
    cifar10_jpeg,
    data_root,
    digits,
    fashion_mnist,
    hold_out,
    image_folder,
)
from linnet.data import mnist as read_mnist
from linnet.data.augmentation.augment import Augment
from linnet.engine import Compute, derive_seed
from linnet.errors import DataError
from linnet.recipe.classifier_file import save_classifier
from linnet.recipe.plan import Built, HeldOut, Plan, RecipeTask
from linnet.recipe.sections.data import ImageSection
from linnet.recipe.sections.model import ClassifierSection
from linnet.results import Record, classification_records

_log = logging.getLogger(__name__)

_PREDICTION_BATCH = 512
_READERS: dict[str, Callable[..., ImageSet]] = {
    "fashion_mnist": fashion_mnist,
    "mnist": read_mnist,
    "cifar10_jpeg": cifar10_jpeg,
}


@dataclass(frozen=True)
class Parts:
    """A set of images, divided.

    Attributes:
        train: What the network learns from.
        validation: What its progress is measured on.
        test: What it is measured on in the end.
    """

    train: ImageSet
    validation: ImageSet
    test: ImageSet


@dataclass(frozen=True)
class Classification:
    """Cross-entropy of the classes; accuracy and negative log-likelihood (nll, in nats) on the validation images.

    Attributes:
        validation: Images that aren't trained on.
        standardise: Bytes to what the network sees.
    """

    validation: ImageSet
    standardise: Standardise

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean cross-entropy and accuracy of a batch (images, labels)."""
        images, labels = batch
        logits = model(images)
        return cross_entropy(logits, labels), {"accuracy": (logits.detach().argmax(1) == labels).float().mean()}

    def validate(self, model: nn.Module, compute: Compute) -> dict[str, float]:
        """Accuracy and nll on the validation images."""
        losses, right = scores(model, self.validation, self.standardise, compute)
        return {"accuracy": right.double().mean().item(), "nll": losses.mean().item()}


def settled(plan: Plan) -> Plan:
    """The plan with the set that is really used: `instead`, where no path is given and the named set isn't there."""
    section: ImageSection = plan["data"]
    if section.instead is None or section.path is not None:
        return plan
    try:
        root = data_root() / section.name
        where = f"is not at {root}"
    except DataError:
        root, where = None, "is not there (no folder of data sets was found; LINNET_DATA names it)"
    if root is not None and root.is_dir():
        return plan
    _log.warning("The set %s %s; [data] `instead` is used: %s.", section.name, where, section.instead)
    return replace(plan, sections={**plan.sections, "data": replace(section, name=section.instead, instead=None)})


def read_parts(plan: Plan) -> Parts:
    """The images that [data] names, divided by its seed.

    Raises:
        DataError: they can't be read, or the classes of training and test images differ.
        MissingExtra: the set comes with a package that isn't installed.
    """
    plan = settled(plan)
    section: ImageSection = plan["data"]
    whole, test = _read(plan, section)
    if test is None:
        whole, test = hold_out(whole, section.test_fraction or 0.2, rng_seed=derive_seed(section.split_seed, "test"))
    train, validation = hold_out(
        whole, section.validation_fraction, rng_seed=derive_seed(section.split_seed, "validation")
    )
    return Parts(train, validation, test)


@torch.inference_mode()
def logits_of(model: nn.Module, images: ImageSet, standardise: Standardise, compute: Compute) -> Tensor:
    """A network's logits.

    Args:
        model: A classifier in eval mode, on the device of `compute`.
        images: N images.
        standardise: Bytes to what the network sees.
        compute: Device and precision.

    Returns:
        float64 (N, classes), on the CPU.
    """
    found = []
    for pixels in images.images.split(_PREDICTION_BATCH):
        with compute.autocast():
            found.append(model(standardise(compute.to_device(pixels))).cpu().double())
    return torch.cat(found)


def scores(model: nn.Module, images: ImageSet, standardise: Standardise, compute: Compute) -> tuple[Tensor, Tensor]:
    """How a network does on each image; arguments as in `logits_of`.

    Returns:
        (losses, right): negative log-likelihood of the true class, float64 (N,), in nats; whether the class with the
        largest logit is the true one, bool (N,). Both on the CPU.
    """
    logits = logits_of(model, images, standardise, compute)
    return cross_entropy(logits, images.labels, reduction="none"), logits.argmax(1) == images.labels


def _read(plan: Plan, section: ImageSection) -> tuple[ImageSet, ImageSet | None]:
    """(training images, test images), or (all images, None) when the set isn't divided."""
    if section.name == "digits":
        return digits(), None
    if section.name != "image_folder":
        root = None if section.path is None else plan.beside(section.path)
        read = _READERS[section.name]
        return read("train", root=root), read("test", root=root)
    assert section.path is not None
    whole = image_folder(plan.beside(section.path), size=section.size)
    if section.test_path is None:
        return whole, None
    test = image_folder(plan.beside(section.test_path), size=section.size)
    if (whole.classes, whole.image_shape) != (test.classes, test.image_shape):
        raise DataError(
            f"{section.path} and {section.test_path} must have the same classes and image shapes (got "
            f"{', '.join(whole.classes)} with {whole.image_shape}, and {', '.join(test.classes)} with "
            f"{test.image_shape}). Shapes are (channels, height, width)."
        )
    return whole, test


def _build(plan: Plan) -> Built:
    parts = read_parts(plan)
    rng_seed = plan.train.rng_seed
    model_section: ClassifierSection = plan["model"]
    standardise = Standardise(*parts.train.channel_statistics())
    with torch.random.fork_rng(devices=[]):  # a network is made on the CPU
        torch.manual_seed(derive_seed(rng_seed, "weights"))
        model = model_section.build(input_shape=parts.train.image_shape, classes=len(parts.train.classes))
    loader = ArrayLoader(
        (parts.train.images, parts.train.labels),
        batch_size=plan.train.batch_size,
        rng_seed=derive_seed(rng_seed, "batches"),
        drop_last=len(parts.train) >= plan.train.batch_size,  # batch norm has no use for a last batch of one image
        transform=_Prepare(plan["data"].augment(), standardise),
    )
    return Built(
        model=model,
        task=Classification(parts.validation, standardise),
        loader=loader,
        evaluate=lambda trained: _evaluate(trained, plan, parts, standardise),
        save=lambda trained, path: _save(trained, path, plan, parts, standardise),
        example=torch.zeros(1, *parts.train.image_shape),
        held_out=HeldOut(
            (parts.validation.images, parts.validation.labels),
            (parts.test.images, parts.test.labels),
            standardise,
            parts.test.classes,
        ),
    )


@dataclass(frozen=True)
class _Prepare:
    """Bytes to augmented, standardised floats; a `Transform` of `ArrayLoader`."""

    augment: Augment
    standardise: Standardise

    def __call__(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
        images, labels = batch
        return self.standardise(self.augment(images.float() / 255, generator)), labels


def _evaluate(model: nn.Module, plan: Plan, parts: Parts, standardise: Standardise) -> list[Record]:
    """Accuracy, nll, calibration and the accuracy in each class, on the test images."""
    test, rng_seed = parts.test, plan.train.rng_seed
    facts = {"split": "test", "rng_seed": rng_seed, "context": {"data": test.name, "model": plan["model"].name}}
    logits = logits_of(model, test, standardise, plan.train.compute())
    records = classification_records(logits.numpy(), test.labels.numpy(), classes=test.classes, facts=facts)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    records.append(Record.measured("parameters", parameters, rng_seed=rng_seed, context=facts["context"]))
    return records


def _save(model: nn.Module, path: Path, plan: Plan, parts: Parts, standardise: Standardise) -> Path:
    """Weights in one file with all that is needed to use them."""
    section: ClassifierSection = plan["model"]
    shape = parts.train.image_shape
    options = {"input_shape": shape, "classes": len(parts.train.classes), **section.options()}
    facts = {
        "classes": parts.train.classes,
        "input": {"mean": standardise.mean, "deviation": standardise.deviation},
        "data": {part: getattr(parts, part).digest for part in ("train", "validation", "test")},
        "settings": plan.settings(),
    }
    return save_classifier(model, path, name=section.name, options=options, facts=facts)


TASK = RecipeTask(
    name="classify",
    sections={"data": ImageSection, "model": ClassifierSection},
    build=_build,
    watch=("nll", "min"),
    loss="cross_entropy",
    settled=settled,
)
