"""Compute: where to compute and how precisely, as one frozen value."""

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch

from linnet.errors import InputError

Precision = Literal["float32", "bfloat16", "float16"]
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Compute:
    """A device and a precision.

    Weights stay float32; "bfloat16" and "float16" run the forward pass under torch's autocast. float16 has so small a
    range that `fit` scales its loss (GradScaler); bfloat16 needs no scaling.

    Attributes:
        device: As torch names it: "cpu", "cuda", "cuda:1".
        precision: "float32", "bfloat16" or "float16".

    Raises:
        InputError: the device isn't there, or the precision isn't one of the three.

    Example:
        >>> Compute.pick("cpu")
        Compute(device='cpu', precision='float32')
    """

    device: str = "cpu"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.precision not in _DTYPES:
            raise InputError(f"`precision` must be one of {', '.join(_DTYPES)} (got {self.precision!r}).")
        try:
            kind = torch.device(self.device)
        except (RuntimeError, TypeError) as error:
            raise InputError(
                f'`device` must be "auto", "cpu", "cuda" or another device of torch (got {self.device!r}).'
            ) from error
        if kind.type == "cuda" and (kind.index or 0) >= torch.cuda.device_count():
            raise InputError(
                f'`device` must be one that torch sees (got {self.device!r}; there are {_seen()}). Give "auto" or '
                '"cpu".'
            )

    @classmethod
    def pick(cls, device: str = "auto", precision: Precision = "float32") -> "Compute":
        """The named device, or with "auto" a GPU if torch sees one, else the CPU.

        Under `torchrun`, "auto" and "cuda" give each process its own GPU (by LOCAL_RANK).

        Args:
            device: "auto" or torch's name.
            precision: "float32", "bfloat16" or "float16".

        Raises:
            InputError: the device isn't there, or the precision isn't one of the three.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cuda" and "LOCAL_RANK" in os.environ:
            device = f"cuda:{os.environ['LOCAL_RANK']}"
        return cls(device, precision)

    @property
    def torch_device(self) -> torch.device:
        """The device as torch's object."""
        return torch.device(self.device)

    def autocast(self) -> AbstractContextManager[Any]:
        """A context in which the forward pass runs in this precision; nothing changes for float32."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.torch_device.type, dtype=_DTYPES[self.precision])

    def to_device(self, batch: Any) -> Any:
        """The batch with every tensor on the device.

        Args:
            batch: A tensor, or tuples, lists and dicts of them, nested at will; other values stay as they are.

        Returns:
            The same structure. Copies to a GPU don't wait (`non_blocking`).
        """
        if isinstance(batch, torch.Tensor):
            return batch.to(self.torch_device, non_blocking=True)
        return map_batch(self.to_device, batch)


def map_batch(change: Any, batch: Any) -> Any:
    """Applies a function to the items of a tuple, named tuple, list or dict and keeps the structure."""
    if isinstance(batch, dict):
        return {key: change(item) for key, item in batch.items()}
    if isinstance(batch, tuple) and type(batch) is not tuple:  # a named tuple wants its items one by one
        return type(batch)(*(change(item) for item in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(change(item) for item in batch)
    return batch


def _seen() -> str:
    count = torch.cuda.device_count()
    return f"{count} GPU{'s' if count != 1 else ''}" if count else "no GPU"
