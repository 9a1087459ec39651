"""Detectors on disk: the network's weights with preset, thresholds and model card, in one safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from linnet import models
from linnet.engine.files.tensor_file import digest_of, read_tensors
from linnet.errors import CheckpointError, InputError
from linnet.nuclei.detector.detector import DOMAIN, KIND, Detector, Thresholds
from linnet.nuclei.detector.receptive_field import Reach
from linnet.nuclei.trust.domain import Domain

PRESETS = {"small": "small_unet", "paper": "residual_unet"}
DEFAULT = "default"
# What `reach` computes for the presets, written down because recording a program at every start costs a second and
# 70 MB; a test keeps both equal.
REACHES = {"small": Reach(stride=2, period=16, radius=101), "paper": Reach(stride=1, period=8, radius=51)}


def new_network(preset: str, *, sizes: bool = False) -> nn.Module:
    """A freshly initialised network of a preset.

    Args:
        preset: Its name.
        sizes: Whether it regresses the diameters of the nuclei too; of the presets `small` can.

    Raises:
        InputError: there is no such preset.
    """
    if preset not in PRESETS:
        raise InputError(f"`preset` is {preset!r}; choose one of: {', '.join(PRESETS)}.")
    if sizes and preset != "small":
        raise InputError(f"`sizes` needs the preset 'small' (got {preset!r}). Leave it out.")
    return models.create(PRESETS[preset], **({"sizes": True} if sizes else {}))


def load(name: str | Path = DEFAULT) -> Detector:
    """A detector: the shipped one ("default") or one that `Detector.save` wrote.

    Args:
        name: "default" or the path of a file.

    Raises:
        CheckpointError: the file is missing, damaged, or isn't a nucleus detector.

    Example:
        >>> import linnet.nuclei
        >>> linnet.nuclei.load("default").preset
        'small'
    """
    with _file(name) as path:
        return _read(path)


def file_digest(name: str | Path) -> str:
    """SHA-256 of the file that `load(name)` reads, as `linnet doctor` and the model card show it."""
    with _file(name) as path:
        return digest_of(path)


def _file(name: str | Path) -> AbstractContextManager[Path]:
    if str(name) == DEFAULT:
        return as_file(files("linnet.nuclei") / "weights" / "default.safetensors")
    return nullcontext(Path(name))


def _read(path: Path) -> Detector:
    tensors, facts = read_tensors(path, KIND)
    domain = {name: tensors.pop(name) for name in list(tensors) if name.startswith(DOMAIN)}
    try:
        network = new_network(facts["preset"], sizes=_has_sizes(tensors))
        _require_fitting(network, tensors)
        network.load_state_dict(tensors)
        return Detector(network.eval(), domain=_domain(domain), **_settings(facts))
    except (KeyError, TypeError, InputError) as error:
        raise CheckpointError(
            f"{path}: its weights don't fit this version's preset {facts.get('preset')!r} ({error}). Train it again or "
            "use the version that wrote it."
        ) from error


def _domain(tensors: Mapping[str, Tensor]) -> Domain | None:
    """The domain that a file holds; files of earlier versions hold none."""
    if not tensors:
        return None
    return Domain.from_arrays({name.removeprefix(DOMAIN): tensor.numpy() for name, tensor in tensors.items()})


def _require_fitting(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    needed = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = sorted(name for name in needed.keys() | given.keys() if needed.get(name) != given.get(name))
    if wrong:
        raise InputError(f"{len(wrong)} tensors are missing, surplus or of another shape, the first is `{wrong[0]}`")


def _has_sizes(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the network regresses diameters: its head has 2 x 2 cells of four channels instead of three."""
    head = tensors.get("head.weight")
    return head is not None and len(head) == 16


def _settings(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "preset": facts["preset"],
        "thresholds": Thresholds(**facts["thresholds"]),
        "reference_diameter_px": float(facts["reference_diameter_px"]),
        "card": facts["card"],
        "pixel_size_um": facts.get("pixel_size_um"),  # files of earlier versions lack these two
        "spacing_px": facts.get("spacing_px"),
        "reach": REACHES[facts["preset"]],
    }
