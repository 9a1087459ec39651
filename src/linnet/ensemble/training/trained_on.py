"""What a network was trained on, as long as it is there."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from linnet.data import ArrayLoader


class TrainedOn:
    """Whether data are those that members were trained on; they aren't kept alive, and copies forget them.

    Only identities are compared: the loader (or one of a list), or its whole inputs, as one tensor at the same place in
    memory. No numbers are read, so a copy or a part of the training data isn't noticed.

    Args:
        source: A loader, or a list of them; of None or an object that can't be referred to weakly, such as a list of
            batches, nothing is remembered.

    Example:
        >>> x, y = torch.zeros(4, 2), torch.zeros(4)
        >>> loader = ArrayLoader((x, y), batch_size=2)
        >>> known = TrainedOn(loader)
        >>> known.is_same(loader), known.is_same((x, y)), known.is_same((x.clone(), y)), TrainedOn().is_same(None)
        (True, True, False, False)
    """

    def __init__(self, source: Any = None) -> None:
        loaders = source if isinstance(source, (list, tuple)) else [source]
        self._loaders = _weak(loaders)
        self._inputs = _weak(map(_inputs_of, loaders))

    def is_same(self, source: Any) -> bool:
        """Whether `source` is such a loader, or a pair (inputs, targets), alone or in a list, with its inputs."""
        if source is None:
            return False
        if any(loader() is source for loader in self._loaders):
            return True
        pair = source[0] if isinstance(source, list) and len(source) == 1 else source
        place = _place(pair[0]) if isinstance(pair, tuple) and len(pair) == 2 else None
        return place is not None and any(_place(inputs()) == place for inputs in self._inputs)

    def __reduce__(self) -> tuple[type[TrainedOn], tuple[()]]:
        return TrainedOn, ()


def _weak(objects: Iterable[Any]) -> list[weakref.ref[Any]]:
    found = []
    for one in objects:
        try:
            found.append(weakref.ref(one))
        except TypeError:  # None, lists and tuples
            continue
    return found


def _inputs_of(loader: Any) -> Tensor | None:
    """The whole inputs that a loader holds in memory."""
    if isinstance(loader, ArrayLoader):
        return loader.arrays[0]
    if isinstance(loader, DataLoader) and isinstance(loader.dataset, TensorDataset):
        return loader.dataset.tensors[0]
    return None


def _place(array: Any) -> tuple[int, tuple[int, ...]] | None:
    """Address and shape of an array."""
    if isinstance(array, Tensor) and array.layout == torch.strided:
        return array.data_ptr(), tuple(array.shape)
    return (array.ctypes.data, array.shape) if isinstance(array, np.ndarray) else None
