"""A trained classifier in one file: its weights with all that is needed to build and use the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from linnet import models
from linnet.engine.files.model_file import load, network_facts
from linnet.engine.files.tensor_file import Kind, read_tensors, write_tensors

CLASSIFIER = Kind("classifier")
"""What the weights of a run are; for `linnet.engine.files.tensor_file.read_tensors`."""


def save_classifier(
    model: nn.Module, path: Path, *, name: str, options: Mapping[str, Any], facts: Mapping[str, Any]
) -> Path:
    """Writes a classifier; the plan of its edits goes with it, so a pruned one is found as small as it was.

    Args:
        model: The network, pruned or not.
        path: The file; written whole or not at all.
        name: Of the network in `linnet.models`.
        options: With which `linnet.models.create` makes it, before any edit.
        facts: What else the file says: classes, statistics of the input, ...

    Returns:
        The path.
    """
    about = {"model": {"name": name, "options": dict(options)}, **facts, "network": network_facts(model)}
    return write_tensors(path, model.state_dict(), about, CLASSIFIER)


def load_classifier(path: str | Path) -> nn.Module:
    """The network that a run saved, in the size that it was saved in.

    Args:
        path: `weights.safetensors` of a run folder.

    Raises:
        CheckpointError: the file isn't whole, or isn't a classifier's.
    """
    tensors, facts = read_tensors(path, CLASSIFIER)
    model = models.create(facts["model"]["name"], **facts["model"]["options"])
    if "network" in facts:
        return load(model, path)
    model.load_state_dict(tensors)
    return model


def input_shape(path: str | Path) -> tuple[int, ...]:
    """(channels, height, width) of the images that a saved classifier takes.

    Raises:
        CheckpointError: the file isn't whole, or isn't a classifier's.
    """
    return tuple(read_tensors(path, CLASSIFIER)[1]["model"]["options"]["input_shape"])
