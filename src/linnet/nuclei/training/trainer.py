"""Train a detector from images and points, from scratch or from another detector."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from linnet.engine import Average, Compute, Schedule, fit
from linnet.errors import InputError, PointsError
from linnet.nuclei.detector.detector import Detector, as_image
from linnet.nuclei.detector.files import DEFAULT, load, new_network
from linnet.nuclei.training.crops import Annotated, CropLoader
from linnet.nuclei.training.known_pictures import knowing
from linnet.nuclei.training.points_check import check_points
from linnet.nuclei.training.rehearsal import rehearsal
from linnet.nuclei.training.targets import median_spacing
from linnet.nuclei.training.task import NucleusTask, choose_thresholds, score_images
from linnet.nuclei.trust.domain import LEAST

Images = Mapping[Any, Any] | Sequence[Any]


def train(
    images: Images,
    points: Images,
    *,
    start: str | Path | Detector | None = None,
    preset: str = "small",
    epochs: int = 10,
    batches: int = 100,
    batch_size: int = 16,
    lr: float | None = None,
    validation: float = 0.2,
    ignore: Images | None = None,
    pixel_size_um: float | None = None,
    trust_points: bool = False,
    rng_seed: int = 0,
    folder: str | Path | None = None,
    compute: Compute | None = None,
    progress: str = "auto",
) -> Detector:
    """A detector trained on annotated images.

    A part of the images is held out: it chooses the thresholds and gives the score in the detector's card. With fewer
    than 4 images nothing is held out; the thresholds then come from the training images, and the card says so.

    Args:
        images: Arrays (h, w) or (h, w, 3), as a sequence or by name.
        points: For each image its (n, 2) centres, y and x in pixels, in the same order or under the same names.
        start: Detector to go on from: "default", a file, or a detector; None trains from scratch. With "default" every
            second crop is one of the pictures that it was trained on, so that it doesn't forget them.
        preset: "small" or "paper", for training from scratch.
        epochs: Passes of `batches` steps.
        batches: Steps per epoch.
        batch_size: Crops per step.
        lr: Learning rate of AdamW; 3e-3 from scratch and 5e-4 from another detector (ours).
        validation: Share of the images that is held out, 0..0.5.
        ignore: For each image a (h, w) mask of regions that aren't annotated, or None.
        pixel_size_um: Side of a pixel of the images in micrometres, where all have the same: the detector then takes
            the scale of other images from theirs.
        trust_points: Takes the points as they are, even where many more of them would lie on nuclei that the detector
            `start` (else the default one) finds if they were read otherwise: x and y exchanged, in micrometres, of a
            picture of another size, of another origin, or of another image.
        rng_seed: Seed of weights, crops and the held-out part.
        folder: For checkpoints; the same call goes on from there after an interrupt.
        compute: Device and precision.
        progress: "auto", "bar", "log" or "off".

    Returns:
        The detector; `detector.save(path)` keeps it.

    Raises:
        PointsError: points and images don't belong together, or points lie outside their image, or would lie on many
            more nuclei if they were read otherwise.
        ImageError: what should be an image isn't one.
        InputError: an option is out of range.

    Source:
        Pixel-to-pixel regression of a proximity map: Xing et al. 2019; optimizer, schedule and constants are ours.
    """
    if not 0 <= validation <= 0.5:
        raise InputError(f"`validation` is {validation}; a share between 0 and 0.5 was needed, such as 0.2.")
    if lr is not None and not (np.isfinite(lr) and lr > 0):
        raise InputError(f"`lr` is {lr}; a positive learning rate was needed, such as 3e-3.")
    if not trust_points:
        judge = start if isinstance(start, Detector) else load(DEFAULT if start is None else start)
        check_points(_by_name(images), _by_name(points), judge)
    annotated = annotate(images, points, ignore=ignore)
    training, held_out = _hold_out(annotated, validation, rng_seed)
    network, preset = _network(start, preset, rng_seed)
    rate = lr if lr is not None else 3e-3 if start is None else 5e-4
    again = rehearsal() if start == DEFAULT else []
    loader = CropLoader(
        [*training, *again],
        _stride(network),
        batches=batches,
        batch_size=batch_size,
        rng_seed=rng_seed,
        balance=0.0 if again else 0.5,  # every second crop is one of those shown again
        sizes=bool(again),
    )
    result = fit(
        network,
        NucleusTask(held_out, preset=preset),
        loader,
        optimizer=torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=1e-2),
        epochs=epochs,
        schedule=Schedule("cosine", warmup_steps=min(100, epochs * batches // 10)),
        compute=compute,
        folder=folder,
        grad_clip=1.0,
        rng_seed=rng_seed,
        average=Average(0.995),
        progress=progress,  # pyright: ignore[reportArgumentType]
    )
    if result.averaged is not None:
        network.load_state_dict(result.averaged)
    return finish(
        network.cpu(),
        preset,
        training,
        held_out,
        again=again,
        pixel_size_um=pixel_size_um,
        steps=result.steps,
        rng_seed=rng_seed,
    )


def finish(
    network: nn.Module,
    preset: str,
    training: Sequence[Annotated],
    held_out: Sequence[Annotated],
    *,
    again: Sequence[Annotated] = (),
    pixel_size_um: float | None = None,
    **facts: Any,
) -> Detector:
    """The detector with thresholds chosen on the held-out images, and a card that says how it was made.

    Args:
        network: What was trained.
        preset: Its name.
        training: The images that it was trained on.
        held_out: Those that it wasn't.
        again: Pictures of an earlier training that were shown again: it knows them as well.
        pixel_size_um: Side of a pixel of the images in micrometres, where all have the same.
        facts: For the card.
    """
    judges = held_out or training
    raw = Detector(network.eval(), preset)
    detector = Detector(raw.network, preset, choose_thresholds(raw, judges))
    scores = score_images(detector, judges)
    card = {
        "date": date.today().isoformat(),
        "training_images": len(training),
        "training_nuclei": sum(len(image.points) for image in training),
        **({"rehearsed_images": len(again)} if again else {}),
        "thresholds_from": f"{len(judges)} {'held-out' if held_out else 'training'} images",
        "validation_f1": None if not held_out or not np.isfinite(scores.f1) else round(scores.f1, 4),
        **facts,
    }
    finished = Detector(
        raw.network,
        preset,
        detector.thresholds,
        card=card,
        pixel_size_um=pixel_size_um,
        spacing_px=median_spacing(i.points for i in training),
    )
    learned = [*training, *held_out, *again]
    return knowing(finished, ((i.pixels, k) for k, i in enumerate(learned))) if len(learned) >= LEAST else finished


def annotate(images: Images, points: Images, *, ignore: Images | None = None) -> list[Annotated]:
    """Images with their points, checked.

    Raises:
        PointsError: a name or number of images has no points or the other way round, points aren't finite (n, 2), or
            lie outside their image, or a mask has no image.
        ImageError: what should be an image isn't one.
        InputError: a mask has another size than its image.
    """
    pixels, truth, masks = _by_name(images), _by_name(points), _by_name(ignore or {})
    if pixels.keys() != truth.keys():
        lonely = [*(pixels.keys() - truth.keys()), *(truth.keys() - pixels.keys())]
        raise PointsError(
            f"`points` must hold the points of each of the `images` (got {len(pixels)} images, and points for "
            f"{len(truth)}). Without a partner: {', '.join(sorted(map(repr, lonely))[:5])}. An image without nuclei "
            "needs an empty list."
        )
    if not pixels:
        raise PointsError("`images` must hold at least one image with its points (got none).")
    if not masks.keys() <= pixels.keys():
        lost = ", ".join(sorted(map(repr, masks.keys() - pixels.keys()))[:5])
        raise PointsError(f"`ignore` has masks for images that `images` lacks: {lost}.")
    arrays = {k: as_image(np.asarray(image), f"Image {k!r}") for k, image in pixels.items()}
    return [Annotated(v, _inside(truth[k], v.shape, k), ignore=masks.get(k)) for k, v in arrays.items()]


def _by_name(values: Images) -> dict[Hashable, Any]:
    return dict(values) if isinstance(values, Mapping) else dict(enumerate(values))


def _inside(points: Any, shape: tuple[int, ...], name: Hashable) -> np.ndarray:
    array = np.asarray(points, dtype=np.float64).reshape(-1, 2) if np.size(points) == 0 else np.asarray(points, float)
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        raise PointsError(f"Image {name!r}: its points have shape {array.shape}; finite (n, 2), y and x, was needed.")
    outside = ~np.all((array >= -0.5) & (array < np.array(shape[:2]) - 0.5), axis=1)
    if outside.any():
        y, x = array[outside][0]
        raise PointsError(
            f"Image {name!r} is {shape[0]} x {shape[1]} pixels (height x width) and {int(outside.sum())} of its points "
            f"lie outside, the first at y = {y:g}, x = {x:g}. Are y and x exchanged, or is it another image's file?"
        )
    return array


def _hold_out(images: list[Annotated], share: float, rng_seed: int) -> tuple[list[Annotated], list[Annotated]]:
    count = round(share * len(images)) if len(images) >= 4 else 0
    if share > 0 and len(images) >= 4:
        count = max(1, count)
    order = np.random.default_rng([rng_seed, 1]).permutation(len(images))
    return [images[k] for k in sorted(order[count:])], [images[k] for k in sorted(order[:count])]


def _network(start: str | Path | Detector | None, preset: str, rng_seed: int) -> tuple[nn.Module, str]:
    if start is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng_seed)
            network = new_network(preset)
    else:
        detector = start if isinstance(start, Detector) else load(start)
        network, preset = copy.deepcopy(detector.network), detector.preset
    return network.to(memory_format=torch.channels_last), preset  # pyright: ignore[reportCallIssue]


def _stride(network: nn.Module) -> int:
    return int(network.stride)  # pyright: ignore[reportArgumentType]
