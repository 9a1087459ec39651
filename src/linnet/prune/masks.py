"""Masks and gates at the reads of a network: what makes it the masked network, and what measures its channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from linnet.core import ChannelGraph
from linnet.core.atoms import Ints
from linnet.errors import InputError
from linnet.prune.reads import Read


class Masks:
    """Multiplies the input of every read by its channels' mask, and on demand by a gate of ones for each sample.

    With a gate z = 0 of shape (B, channels) the input becomes x * m * (1 + z), so after backward
    z.grad[b, c] = sum over reads and positions of x * dL/dx: what the loss of sample b would lose without channel c, to
    first order. With `regrow` it is x * (m + z): masked channels are measured as well.

    Everything lives outside of the model's state: its parameters, buffers and keys stay as they are.

    Args:
        model: The unwrapped network; hooks are put on it.
        graph: Its channel graph.
        reads: Where channels are read.
        names: The classes that are masked.
        regrow: Measure masked channels too.

    Attributes:
        measuring: Whether forward passes in training mode with gradients get a gate.
        in_eval: Those in eval mode too.

    Source:
        The early mask and the absolute value for each sample follow the published predecessor of the method (dynamic
        channel propagation); masks at the reads and signed sums over tied places: ours.
    """

    def __init__(
        self,
        model: nn.Module,
        graph: ChannelGraph,
        reads: Sequence[Read],
        names: Sequence[str],
        *,
        regrow: bool = False,
    ):
        sizes = [graph.classes[name].size for name in names]
        starts = np.cumsum([0, *sizes])
        self.names, self.total = tuple(names), int(starts[-1])
        self.slices = {name: slice(int(a), int(b)) for name, a, b in zip(names, starts, starts[1:], strict=False)}
        self.measuring, self.regrow, self.in_eval = False, regrow, False
        self._flat = {read.module: torch.from_numpy(self._index(graph, read)) for read in reads}
        self._last = {read.module: read.last for read in reads}
        self._keep = torch.ones(self.total + 1)  # the last 1 is for positions of other classes
        self._scales: dict[str, Tensor] = {}
        self._gates: list[Tensor] = []
        self._handles: list[RemovableHandle] = []
        self.install(model)

    def install(self, model: nn.Module) -> None:
        """Puts the hooks on a network."""
        self._handles.append(model.register_forward_pre_hook(self._open, with_kwargs=True))
        for path in self._flat:
            module = model.get_submodule(path)
            hook = lambda _, inputs, path=path: self._read(path, inputs)  # noqa: E731
            self._handles.append(module.register_forward_pre_hook(hook))

    def remove(self) -> None:
        """Takes every hook off."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._gates.clear()

    @contextmanager
    def lifted(self, model: nn.Module) -> Iterator[None]:
        """The network without hooks; they are back afterwards."""
        gates = list(self._gates)
        self.remove()
        try:
            yield
        finally:
            self.install(model)
            self._gates = gates

    @property
    def kept(self) -> np.ndarray:
        """bool (channels,): what stays, class after class."""
        return self._keep[:-1].numpy() > 0

    def keep(self, kept: np.ndarray) -> None:
        """Sets the mask.

        Args:
            kept: bool (channels,).
        """
        self._keep[:-1] = torch.from_numpy(kept.astype(np.float32))
        self._scales.clear()

    def measured(self, *, signed: bool = False) -> tuple[Tensor, int] | None:
        """Takes what the gates measured: sum over samples of |z.grad| (channels,), and the number of samples.

        Args:
            signed: The sum of z.grad itself.

        Returns:
            None when no gated forward pass was followed by a backward pass. The gates are gone afterwards.
        """
        gradients = [gate.grad for gate in self._gates if gate.grad is not None]
        self._gates.clear()
        if not gradients:
            return None
        total = torch.stack([(g if signed else g.abs())[:, :-1].sum(dim=0) for g in gradients]).sum(dim=0)
        return total.double().cpu(), sum(len(g) for g in gradients)

    def _index(self, graph: ChannelGraph, read: Read) -> Ints:
        """Place in the flat mask of each position of a read."""
        index = np.full(len(read.classes), self.total, dtype=np.int64)
        for number, name in enumerate(graph.classes):
            if name in self.slices:
                own = read.classes == number
                index[own] = self.slices[name].start + read.channels[own]
        return index

    def _open(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Before the network runs: a gate for its samples, if this pass is to be measured."""
        if not (self.measuring and (module.training or self.in_eval) and torch.is_grad_enabled()):
            return
        first = next((item for item in [*args, *kwargs.values()] if isinstance(item, Tensor) and item.ndim), None)
        if first is None:
            raise InputError(
                "the network was called without a tensor, so the number of samples is unknown; give the batch as a "
                "tensor argument of the network itself."
            )
        dtype = torch.float64 if first.dtype == torch.float64 else torch.float32  # under autocast too
        gate = torch.zeros(len(first), self.total + 1, device=first.device, dtype=dtype, requires_grad=True)
        self._gates.append(gate)

    def _read(self, path: str, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        x = inputs[0]
        gated = bool(self._gates) and self.measuring and torch.is_grad_enabled() and self._gates[-1].grad is None
        if not gated and bool(self._keep.all()):
            return None
        scale = self._scale(path, x)
        if gated:
            gate = self._gates[-1][:, self._flat_on(path, x.device)]
            scale = scale + (gate if self.regrow else scale * gate)
        return (x * _shaped(scale, x, last=self._last[path]), *inputs[1:])

    def _scale(self, path: str, x: Tensor) -> Tensor:
        """(1, positions) mask of a read, on the input's device and of its type."""
        scale = self._scales.get(path)
        if scale is None or scale.device != x.device or scale.dtype != x.dtype:
            with torch.inference_mode(mode=False):  # a validation may ask first; training uses it afterwards
                scale = self._keep[self._flat[path]][None].to(x.device, x.dtype)
            self._scales[path] = scale
        return scale

    def _flat_on(self, path: str, device: torch.device) -> Tensor:
        if self._flat[path].device != device:
            self._flat[path] = self._flat[path].to(device)
        return self._flat[path]


def _shaped(scale: Tensor, x: Tensor, *, last: bool) -> Tensor:
    """(samples or 1, positions) laid along the channel axis of x; samples repeat where x has several rows of each."""
    scale = scale.to(x.dtype)
    if last:
        rows = scale.shape[0]
        if rows > 1 and x.shape[0] != rows and x.shape[0] % rows == 0:
            scale = scale.repeat_interleave(x.shape[0] // rows, dim=0)
        return scale.reshape(scale.shape[0], *[1] * (x.ndim - 2), scale.shape[1])
    return scale.reshape(*scale.shape, *[1] * (x.ndim - 2))
