"""Identity: the facts that make a run this one, so that it never resumes from another's checkpoint."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from torch import Tensor

from linnet.engine.events import Run
from linnet.engine.listeners.average import Average
from linnet.engine.listeners.schedule import Schedule


def identity_of(
    run: Run,
    *,
    rng_seed: int,
    schedule: Schedule,
    initial_lrs: Sequence[float],
    grad_clip: float | None,
    average: Average | None,
) -> dict[str, Any]:
    """The facts that two runs must share so that one can go on from the other's checkpoint, as JSON values.

    The names and shapes of the network's tensors are compared too, but stand in the checkpoint anyway.
    """
    names = {id(parameter): name for name, parameter in run.model.named_parameters()}
    groups = []
    for group in run.optimizer.param_groups:
        settings = {key: _plain(value) for key, value in group.items() if key not in ("params", "lr", "initial_lr")}
        groups.append({"parameters": [names[id(parameter)] for parameter in group["params"]], **settings})
    return {
        "model": type(run.model).__qualname__,
        "optimizer": type(run.optimizer).__qualname__,
        "optimizer groups": groups,
        "initial learning rates": list(initial_lrs),
        "rng_seed": rng_seed,
        "batches per epoch": run.epoch_steps,
        "precision": run.compute.precision,
        "schedule": _plain(asdict(schedule)),
        "grad_clip": grad_clip,
        "average": None if average is None else asdict(average),
    }


def differences_between(theirs: Mapping[str, Any], ours: Mapping[str, Any], path: str = "") -> list[str]:
    """What differs, in words. Keys that only one side has (another torch version) aren't compared."""
    found = []
    for key in theirs.keys() & ours.keys():
        there, here, name = theirs[key], ours[key], f"{path}{key}"
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            found += differences_between(there, here, f"{name} ")
        elif isinstance(there, list) and isinstance(here, list) and there and isinstance(there[0], Mapping):
            if len(there) != len(here):
                found.append(f"`{name}`: {len(there)} there, {len(here)} here")
            for index, (a, b) in enumerate(zip(there, here, strict=False)):
                found += differences_between(a, b, f"{name} {index} ")
        elif there != here:
            found.append(f"`{name}` is {_short(there)} there, {_short(here)} here")
    return sorted(found)


def shape_differences(theirs: Mapping[str, Tensor], ours: Mapping[str, Tensor]) -> list[str]:
    """The first weight, by name, that differs in shape or dtype, or that only one side has."""
    for name in sorted(theirs.keys() | ours.keys()):
        there, here = _tensor_kind(theirs.get(name)), _tensor_kind(ours.get(name))
        if there != here:
            return [f"weight `{name}` is {there} there, {here} here"]
    return []


def _tensor_kind(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _plain(value: Any) -> Any:
    """A setting as a JSON value; other values become text."""
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
