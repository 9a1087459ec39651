"""Masks and gates at the reads of a network: the masks make it the masked network, the gates measure its channels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from linnet.arrays import Ints
from linnet.core import ChannelGraph
from linnet.core.channels.reads import Read
from linnet.errors import InputError


class Masks:
    """Multiplies the input of every read by its channels' mask, and on demand by a gate of ones for each sample.

    With a gate z = 0 of shape (B, channels) the input becomes x * m * (1 + z), so after backward
    z.grad[b, c] = sum over reads and positions of x * dL/dx: the change of the loss of sample b
    without channel c, to first order. With `regrow` it is x * (m + z): masked channels are measured as well.

    Everything lives outside of the model's state: its parameters, buffers and keys stay as they are. Masks are tensors
    that change in place, so a compiled network is traced once with a gate and once without, whatever the masks become.

    Args:
        model: The unwrapped network; hooks are put on it.
        graph: Its channel graph.
        reads: Where channels are read.
        names: The classes that are masked.
        regrow: Measure masked channels too.

    Attributes:
        measuring: Whether forward passes in training mode with gradients get a gate.
        in_eval: Those in eval mode too.
        gate: That of the forward pass under way, (B, channels + 1).
        masked: Whether any channel is masked.

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
        self.measuring, self.regrow, self.masked, self.in_eval = False, regrow, False, False
        self.gate: Tensor | None = None
        self._gates: list[Tensor] = []  # of all forward passes since the last measurement
        self._next: Tensor | None = None  # made beforehand: a compiled network can't make one
        self._keep = torch.ones(self.total + 1)  # the last 1 is for positions of other classes
        self._sites = {read.module: _Site(self, self._index(graph, read), last=read.last) for read in reads}
        self._handles: list[RemovableHandle] = []
        self.install(model)

    def install(self, model: nn.Module) -> None:
        """Puts the hooks on a network."""
        self._handles.append(model.register_forward_pre_hook(self._open, with_kwargs=True))
        for path, site in self._sites.items():
            self._handles.append(model.get_submodule(path).register_forward_pre_hook(site.multiply))

    def remove(self) -> None:
        """Takes every hook off, and every mask out of what was compiled with it."""
        self._detach()
        for site in self._sites.values():
            site.scale.fill_(1)

    @contextmanager
    def lifted(self, model: nn.Module) -> Iterator[None]:
        """The network without hooks; they are back afterwards."""
        gates = list(self._gates)
        self._detach()
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
        self.masked = not kept.all()
        for site in self._sites.values():
            site.scale.copy_(self._keep[site.flat])

    def measured(self, *, signed: bool = False) -> tuple[Tensor, int] | None:
        """Takes what the gates measured: sum over samples of |z.grad| (channels,), and the number of samples.

        Args:
            signed: The sum of z.grad itself.

        Returns:
            None when no gated forward pass was followed by a backward pass. The gates are gone afterwards.
        """
        gates, self._gates, self.gate = self._gates, [], None
        gradients = [gate.grad for gate in gates if gate.grad is not None]
        if gates:
            gates[-1].grad, self._next = None, gates[-1]
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

    def _detach(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._gates.clear()
        self.gate = None

    def _open(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Before the network runs: a gate for its samples, if this pass is to be measured."""
        self.gate = None
        if not (self.measuring and (module.training or self.in_eval) and torch.is_grad_enabled()):
            return
        first = next((item for item in [*args, *kwargs.values()] if isinstance(item, Tensor) and item.ndim), None)
        if first is None:
            raise InputError(
                "The network must be called with a tensor, whose first size is the number of samples. Give the "
                "batch as a tensor argument of the network itself."
            )
        gate, self._next = self._next, None
        if gate is None or gate.shape[0] != first.shape[0] or gate.device != first.device:
            gate = (_OUTSIDE if torch.compiler.is_compiling() else _new_gate)(self, first)
        self.gate = gate
        self._gates.append(gate)

    def follow(self, device: torch.device) -> None:
        """Moves masks to where the network computes."""
        for site in self._sites.values():
            site.to(device)


def _new_gate(masks: Masks, first: Tensor) -> Tensor:
    """A gate of zeros, of float32 or the samples' type if that is finer."""
    kind = torch.promote_types(first.dtype, torch.float32) if first.is_floating_point() else torch.float32
    masks.follow(first.device)
    return torch.zeros(first.shape[0], masks.total + 1, device=first.device, dtype=kind, requires_grad=True)


# torch.compiler.disable would load the compiler at once
_OUTSIDE: Any = torch._disable_dynamo(_new_gate)  # pyright: ignore[reportPrivateImportUsage]


def has_masks(model: nn.Module) -> bool:
    """Whether a pruner's masks are on a network, or were copied along with it."""
    hooks = [hook for module in model.modules() for hook in module._forward_pre_hooks.values()]
    return any(isinstance(getattr(hook, "__self__", None), (Masks, _Site)) for hook in hooks)


class _Site:
    """The mask at one read.

    Attributes:
        flat: int64 (positions,): place in the flat mask.
        scale: (1, positions): the mask.
    """

    def __init__(self, masks: Masks, flat: Ints, *, last: bool):
        self.masks, self.last, self.flat = masks, last, torch.from_numpy(flat)
        self.scale = torch.ones(1, len(flat))
        run = np.array_equal(flat, np.arange(flat[0], flat[0] + len(flat)))
        self.index: slice | Tensor = slice(int(flat[0]), int(flat[-1]) + 1) if run else self.flat

    def to(self, device: torch.device) -> None:
        """Moves mask and index."""
        self.scale = self.scale.to(device)
        if isinstance(self.index, Tensor):
            self.index = self.index.to(device)

    def multiply(self, module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The layer's inputs, the first of them masked and gated."""
        x, gate = inputs[0], self.masks.gate
        compiled = torch.compiler.is_compiling()  # always with the mask then, so that its coming changes no graph
        if gate is not None and not (torch.is_grad_enabled() and (compiled or gate.grad is None)):
            gate = None
        if gate is None and not (self.masks.masked or compiled):
            return None
        scale = self.scale.to(x.device)
        if gate is not None:
            slope = gate[:, self.index].to(x.device)
            scale = scale + (slope if self.masks.regrow else scale * slope)
        return (x * _shaped(scale, x, last=self.last), *inputs[1:])


def _shaped(scale: Tensor, x: Tensor, *, last: bool) -> Tensor:
    """(samples or 1, positions) laid along the channel axis of x; samples repeat where x has several rows of each."""
    scale = scale.to(x.dtype)
    if last:
        rows = scale.shape[0]
        if rows > 1 and x.shape[0] != rows and x.shape[0] % rows == 0:
            scale = scale.repeat_interleave(x.shape[0] // rows, dim=0)
        return scale.reshape(scale.shape[0], *[1] * (x.ndim - 2), scale.shape[1])
    return scale.reshape(*scale.shape, *[1] * (x.ndim - 2))
