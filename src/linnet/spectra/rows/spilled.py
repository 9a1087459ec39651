"""Captured rows that are kept outside the memory they were made in: CUDA's in the host's memory, the host's on disk."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from linnet.core.jacobian.layer_jacobian import LayerJacobian

Layers = tuple[LayerJacobian, ...]


class SpilledBlocks:
    """Blocks of captured rows, each read back as it was put in; a folder for temporary files holds those of the host.

    Attributes:
        bytes: Written so far.
    """

    def __init__(self, device: torch.device) -> None:
        self.bytes = 0
        self._device = device
        self._folder = Path(tempfile.mkdtemp(prefix="linnet-rows-")) if device.type == "cpu" else None
        if self._folder is not None:
            self._gone = weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._skeletons: list[Layers] = []
        self._hosted: list[list[Tensor]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._skeletons)

    def put(self, layers: Layers) -> None:
        """Keeps one more block."""
        held: list[Tensor] = []

        def take(tensor: Tensor, axis: int) -> Tensor:
            held.append(tensor if self._folder is not None else tensor.to("cpu"))
            self.bytes += tensor.numel() * tensor.element_size()
            return torch.empty_like(tensor, device="meta")

        self._skeletons.append(tuple(layer.with_tensors(take) for layer in layers))
        if self._folder is None:
            self._hosted.append(held)
            return
        with self._path(len(self._skeletons) - 1).open("wb") as file:
            for tensor in held:
                file.write(np.ascontiguousarray(tensor.numpy()).data)

    def get(self, number: int) -> Layers:
        """A block as it was put in."""
        skeleton = self._skeletons[number]
        if self._folder is None:
            hosted = iter(self._hosted[number])
            return tuple(layer.with_tensors(lambda _, axis: next(hosted).to(self._device)) for layer in skeleton)
        with self._path(number).open("rb") as file:

            def read(like: Tensor, axis: int) -> Tensor:
                values = np.empty(tuple(like.shape), _NUMPY[like.dtype])
                file.readinto(values.reshape(-1).view(np.uint8).data)
                return torch.from_numpy(values)

            return tuple(layer.with_tensors(read) for layer in skeleton)

    def close(self) -> None:
        """Removes the files."""
        if self._folder is not None:
            self._gone()
        self._skeletons, self._hosted = [], []

    def _path(self, number: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{number}.bin"


def room_on_disk() -> int:
    """Bytes that temporary files may take: half of what is free."""
    return shutil.disk_usage(tempfile.gettempdir()).free // 2


def bytes_of(one: Sequence[LayerJacobian], passes: int) -> tuple[int, int]:
    """Memory that a sample's rows of so many passes hold as they are captured, and once they are condensed.

    Args:
        one: The layers of one sample with one pass.
        passes: How many there will be.
    """
    sizes = [(layer.bytes_with(passes), layer.bytes_of_rows() * passes) for layer in one]
    return max(1, sum(captured for captured, _ in sizes)), max(1, sum(map(min, sizes)))


_NUMPY = {
    torch.float32: np.float32,
    torch.float64: np.float64,
    torch.int64: np.int64,
    torch.int32: np.int32,
    torch.int16: np.int16,
    torch.int8: np.int8,
    torch.uint8: np.uint8,
    torch.bool: np.bool_,
}
