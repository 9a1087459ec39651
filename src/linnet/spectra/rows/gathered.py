"""The captured layers of a block of samples, put together from those of a few samples at a time."""

from __future__ import annotations

from torch import Tensor

from linnet.core.jacobian.layer_jacobian import LayerJacobian

Layers = tuple[LayerJacobian, ...]


class GatheredLayers:
    """Layers whose tensors have room for a block of samples and are filled part by part.

    Args:
        samples: Of the block.
    """

    def __init__(self, samples: int) -> None:
        self._samples, self._filled = samples, 0
        self._layers: Layers = ()
        self._rooms: list[Tensor] = []  # one for each tensor that the layers hold, in their order

    def add(self, layers: Layers) -> None:
        """Copies what the next samples' layers hold."""
        known: dict[tuple[object, ...], Tensor] = {}  # a tensor that several layers hold is copied once
        rooms = iter(self._rooms)

        def copied(part: Tensor, axis: int) -> Tensor:
            key = (part.data_ptr(), part.shape, part.stride(), axis)
            if key in known:
                return known[key]
            if self._layers:
                room = next(rooms)
            else:
                room = self._room(part, axis)
                self._rooms.append(room)
            room.narrow(axis, self._filled, part.shape[axis]).copy_(part)
            known[key] = room
            return room

        filled = tuple(layer.with_tensors(copied, self._samples) for layer in layers)
        self._layers = self._layers or filled
        self._filled += layers[0].samples

    @property
    def layers(self) -> Layers:
        """The block's, once every sample is in."""
        assert self._filled == self._samples, (self._filled, self._samples)
        return self._layers

    def _room(self, part: Tensor, axis: int) -> Tensor:
        """An empty tensor for all samples; rows stay sample-major where a part's are, as their products read them."""
        if axis == 1 and part.transpose(0, 1).is_contiguous():
            return part.new_empty(self._samples, part.shape[0], *part.shape[2:]).transpose(0, 1)
        shape = [self._samples if i == axis else length for i, length in enumerate(part.shape)]
        return part.new_empty(shape)
