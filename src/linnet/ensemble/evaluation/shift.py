"""Shifted sets: named loaders, or the clean images under the generated suite of corruptions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from linnet.data import corrupt, corruption_names
from linnet.ensemble.prediction.member_outputs import batches_of
from linnet.errors import InputError


@dataclass(frozen=True)
class Shift:
    """The clean images under corruptions of the generated suite.

    Attributes:
        suite: "cifar15", "extra4" or "all19"; see `linnet.data.corruption_names`. `saturate` is left out for images of
            one channel.
        severities: Of 1 .. 5.
        names: Of single corruptions, instead of a suite.
        rng_seed: Of their random draws.
    """

    suite: str = "cifar15"
    severities: Sequence[int] = (1, 2, 3, 4, 5)
    names: Sequence[str] | None = None
    rng_seed: int = 0


def shifted_sets(shifted: Any, clean: Any, *, batch_size: int) -> Iterator[tuple[str, Any]]:
    """Name and source of each shifted set.

    Args:
        shifted: A mapping of name -> source, a `Shift`, the name of a suite, or None.
        clean: Source of the images that are corrupted: uint8 (N, H, W, C) or (N, C, H, W), or floats (N, C, H, W) in
            [0, 1].
        batch_size: Of whole tensors.

    Raises:
        InputError: it is something else, or the clean inputs are no images in 0..1.
    """
    if shifted is None:
        return
    if isinstance(shifted, Mapping):
        yield from shifted.items()
        return
    settings = Shift(shifted) if isinstance(shifted, str) else shifted
    if not isinstance(settings, Shift):
        raise InputError(
            f"`shifted` must be a mapping of names to loaders, the name of a suite, or a Shift (got "
            f'{type(shifted).__name__}). Give shifted="cifar15".'
        )
    severities = _some("severities", settings.severities, "(1, 3, 5)")
    wrong = [one for one in severities if isinstance(one, bool) or one not in range(1, 6)]
    if wrong:
        raise InputError(
            f"`severities` must be whole numbers from 1 to 5 (got {', '.join(map(repr, wrong))}). Give "
            "severities=(1, 3, 5), or leave it out for all five."
        )
    if settings.names is not None:
        names = _some("names", settings.names, '("fog",)')
    else:
        first, _ = next(iter(batches_of(clean, argument="clean", batch_size=1)))
        names = corruption_names(settings.suite, channels=1 if 1 in (first.shape[1], first.shape[-1]) else 3)
    for name in names:
        for severity in severities:
            yield f"{name}/{severity}", _corrupted(clean, name, severity, settings.rng_seed, batch_size)


def _some(argument: str, given: Any, example: str) -> tuple[Any, ...]:
    """Its elements, of which there must be one or more."""
    found = () if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not found:
        raise InputError(
            f"`{argument}` must hold at least one of those to be measured (got {given!r}). Give {argument}={example}."
        )
    return found


def _corrupted(clean: Any, name: str, severity: int, rng_seed: int, batch_size: int) -> Iterator[Any]:
    for images, targets in batches_of(clean, argument="clean", batch_size=batch_size):
        yield _of_any_layout(images, name, severity, rng_seed), targets


def _of_any_layout(images: Tensor, name: str, severity: int, rng_seed: int) -> Tensor:
    """uint8 images as data sets hold them, (N, C, H, W), beside the layouts that `corrupt` takes."""
    channels_first = images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[-1] not in (1, 3)
    if images.is_floating_point() or not channels_first:
        return corrupt(images, name, severity, rng_seed)
    return corrupt(images.permute(0, 2, 3, 1), name, severity, rng_seed).permute(0, 3, 1, 2)
