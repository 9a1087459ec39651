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
from linnet.core.program.companions import Companion, plain_copies, usual_copies
from linnet.errors import InputError


class Masks(Companion):
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
        batch_axis: The axis of the network's inputs along which samples lie; None measures a whole batch as one.

    Attributes:
        measuring: Whether forward passes in training mode with gradients get a gate.
        in_eval: Those in eval mode too.
        keeps_call: Whether the arguments of the next measured pass are kept in `call`.
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
        batch_axis: int | None = 0,
    ):
        sizes = [graph.classes[name].size for name in names]
        starts = np.cumsum([0, *sizes])
        self.names, self.total = tuple(names), int(starts[-1])
        self.slices = {name: slice(int(a), int(b)) for name, a, b in zip(names, starts, starts[1:], strict=False)}
        self.measuring, self.regrow, self.masked, self.in_eval = False, regrow, False, False
        self.batch_axis, self.keeps_call = batch_axis, False
        self.call: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self.gate: Tensor | None = None
        self._gates: list[Tensor] = []  # of all forward passes since the last measurement
        self._next: Tensor | None = None  # made beforehand: a compiled network can't make one
        self._keep = torch.ones(self.total + 1)  # the last 1 is for positions of other classes
        self._sites = {
            read.module: _Site(self, read.module, self._index(graph, read), last=read.last) for read in reads
        }
        self._handles: list[RemovableHandle] = []
        self._hooked: list[nn.Module] = []
        self.install(model)

    def install(self, model: nn.Module) -> None:
        """Puts the hooks on a network."""
        self._handles.append(model.register_forward_pre_hook(self._open, with_kwargs=True))
        for path, site in self._sites.items():
            self._handles.append(model.get_submodule(path).register_forward_pre_hook(site.multiply))
        self._hooked = [model, *(model.get_submodule(path) for path in self._sites)]
        for module in self._hooked:
            plain_copies(module)

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
        for module in self._hooked:
            usual_copies(module)
        self._hooked.clear()
        self._gates.clear()
        self.gate = None

    def _open(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Before the network runs: a gate for its samples, if this pass is to be measured."""
        self.gate = None
        if not (self.measuring and (module.training or self.in_eval) and torch.is_grad_enabled()):
            return
        if self.keeps_call and not torch.compiler.is_compiling():
            self.call, self.keeps_call = (args, dict(kwargs)), False
        first, rows = samples_of((args, kwargs), self.batch_axis)
        gate, self._next = self._next, None
        if gate is None or gate.shape[0] != rows or gate.device != first.device:
            gate = (_OUTSIDE if torch.compiler.is_compiling() else _new_gate)(self, first, rows)
        self.gate = gate
        self._gates.append(gate)

    def follow(self, device: torch.device) -> None:
        """Moves masks to where the network computes."""
        for site in self._sites.values():
            site.to(device)


def samples_of(arguments: Any, batch_axis: int | None) -> tuple[Tensor, int]:
    """A tensor among the arguments of a network, and the number of samples.

    A tensor with one row beside others with several belongs to all samples.

    Raises:
        InputError: there is no tensor, or their sizes along the axis disagree.
    """
    tensors = [tensor for tensor in tensors_in(arguments) if tensor.ndim]
    if not tensors:
        raise InputError(
            "The network must be called with a tensor that holds the samples. Give the batch as an argument of the "
            "network itself."
        )
    if batch_axis is None:
        return tensors[0], 1
    rows = [tensor.shape[batch_axis] for tensor in tensors if tensor.ndim > batch_axis]
    several = sorted({count for count in rows if count > 1})
    if len(several) > 1 or not rows:
        raise InputError(
            f"`batch_axis` must be the axis along which the samples lie in every input (got {batch_axis}, along which "
            f"the inputs have {' and '.join(map(str, several)) or 'no'} entries). Give Pruner(..., batch_axis=1) for "
            "sequences first, or batch_axis=None, which measures a whole batch as one."
        )
    return tensors[0], several[0] if several else rows[0]


def tensors_in(tree: Any) -> Iterator[Tensor]:
    """Every tensor in nested lists, tuples and dicts."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, (tuple, list, Mapping)):
        for item in tree.values() if isinstance(tree, Mapping) else tree:
            yield from tensors_in(item)


def _new_gate(masks: Masks, first: Tensor, rows: int) -> Tensor:
    """A gate of zeros, of float32 or the samples' type if that is finer."""
    kind = torch.promote_types(first.dtype, torch.float32) if first.is_floating_point() else torch.float32
    masks.follow(first.device)
    return torch.zeros(rows, masks.total + 1, device=first.device, dtype=kind, requires_grad=True)


# torch.compiler.disable would load the compiler at once
_OUTSIDE: Any = torch._disable_dynamo(_new_gate)  # pyright: ignore[reportPrivateImportUsage]


def has_masks(model: nn.Module) -> bool:
    """Whether a pruner's masks are on a network, or were copied along with it."""
    hooks = [hook for module in model.modules() for hook in module._forward_pre_hooks.values()]
    return any(isinstance(getattr(hook, "__self__", None), (Masks, _Site)) for hook in hooks)


class _Site(Companion):
    """The mask at one read.

    Attributes:
        flat: int64 (positions,): place in the flat mask.
        scale: (1, positions): the mask.
    """

    def __init__(self, masks: Masks, path: str, flat: Ints, *, last: bool):
        self.path = path
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
        return (x * self._shaped(scale, x), *inputs[1:])

    def _shaped(self, scale: Tensor, x: Tensor) -> Tensor:
        """(samples or 1, positions) laid along the axes of x that hold the samples and the channels."""
        scale = scale.to(x.dtype)
        if x.shape[0] == 1 and not (self.masks.batch_axis and x.ndim > 2):
            scale = scale.mean(dim=0, keepdim=True)  # what all samples share is measured for all of them at once
        rows = scale.shape[0]
        place = sample_axis(tuple(x.shape), rows, last=self.last, batch_axis=self.masks.batch_axis)
        if place is None:
            raise InputError(
                f"`{self.path}` gets {x.shape[0]} rows, which can't be shared out to {rows} samples. Give "
                "Pruner(..., batch_axis=None), which measures a whole batch as one."
            )
        axis, times = place
        if times > 1:  # several rows of each sample: one after another, or all samples in turn
            scale = scale.repeat(times, 1) if self.masks.batch_axis else scale.repeat_interleave(times, dim=0)
        shape = [1] * x.ndim
        shape[axis], shape[-1 if self.last else 1] = scale.shape
        return scale.reshape(shape)


def sample_axis(shape: Sequence[int], rows: int, *, last: bool, batch_axis: int | None) -> tuple[int, int] | None:
    """Where the samples lie in the input of a layer.

    Args:
        shape: Sizes of the input.
        rows: Number of samples, or 1 when all are masked alike.
        last: Whether channels lie on the last axis.
        batch_axis: Where samples lie in the network's inputs.

    Returns:
        (axis, rows of each sample); None when rows and samples don't fit.
    """
    if rows == 1:
        return 0, 1
    own = batch_axis or 0
    if own and last and len(shape) > own + 1 and shape[own] == rows:
        return own, 1
    return (0, shape[0] // rows) if shape[0] % rows == 0 else None
