"""The rows of a network's Jacobian at a data set: captured once in blocks of samples, multiplied tile by tile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeVar

import torch
from torch import Tensor, nn

from linnet.core.capture.gram import mirror
from linnet.core.jacobian.layer_jacobian import LayerJacobian
from linnet.core.jacobian.linearisation import UNUSED, Linearisation
from linnet.errors import CaptureError, InputError
from linnet.spectra.rows.checks import check_finite, check_forward, check_inputs, check_mode, check_samples
from linnet.spectra.rows.gathered import GatheredLayers
from linnet.spectra.rows.model_state import preserved_state
from linnet.spectra.rows.spilled import Layers, SpilledBlocks, bytes_of, room_on_disk
from linnet.suggest import is_whole, nearest

Cotangents = Callable[[Tensor], Tensor]
"""From outputs f (n, C) to cotangents (passes, n, C): what each row of the Jacobian is taken along."""

# Captured at a time on the CPU where the rows that are kept hold less than half of (a, g): so much stays near the
# processor, and the same pages serve again. Fewer samples make slower convolutions.
_PART_BYTES = 2**26
_PART_SAMPLES = 16

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with the number of finished tiles and of all tiles."""


@dataclass
class LayerCost:
    """What one layer's part of a kernel took.

    Attributes:
        name: Path of the layer.
        kind: Its class.
        way: "positions", "gradients", or "rows" where the layer has one way alone.
        positions_cost: Predicted work by positions in multiply-accumulates; 0 where there is no choice.
        gradients_cost: By gradients.
        wall_s: Seconds that its products took.
    """

    name: str
    kind: str
    way: str
    positions_cost: float
    gradients_cost: float
    wall_s: float = 0.0


def every_output(f: Tensor) -> Tensor:
    """The identity: row (n, c) is the gradient of output c."""
    outputs = f.shape[1]
    return torch.eye(outputs, dtype=f.dtype, device=f.device)[:, None].expand(outputs, *f.shape)


class JacobianRows:
    """Rows (n, k): gradients of sum_c w_knc f_nc, read from inputs and output gradients that are captured once.

    Blocks of samples stay in memory where they fit into half of the budget; else they are spilled, to the host's memory
    from CUDA and to a temporary file from the host, and read back for each tile. A context manager: the files go.

    Args:
        model: The network, in eval mode.
        x: Inputs (N, ...).
        cotangents: What the rows are taken along.
        memory: Bytes for captured tensors and work.
        only: Read this layer alone; None for all.
        progress: Told how many tiles are done.

    Attributes:
        model: The network.
        x: The inputs.
        passes: Rows of a sample.
        f: Outputs (N, C), detached.
        costs: Layer -> what its products took so far.
        spilled_bytes: Written to the host's memory or to disk.
        held_bytes: What the captured tensors hold at most.

    Raises:
        InputError: as `checks` has it, or `only` names no layer.
        CaptureError: a parameter's rows can't be read; it is named.
    """

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        cotangents: Cotangents = every_output,
        *,
        memory: int,
        only: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        if not is_whole(memory, 1):
            raise InputError(f"`memory` must be a number of bytes, such as 2**30 (got {memory!r}).")
        if progress is not None and not callable(progress):
            raise InputError(f"`progress` must be a function progress(done, total) (got {progress!r}). None is silent.")
        check_mode(model)
        check_inputs(model, x)
        check_forward(model, x)
        self.model, self.x, self.memory = model, x, memory
        self.costs: dict[str, LayerCost] = {}
        self.spilled_bytes = 0
        self._cotangents, self._progress = cotangents, progress
        self._names: tuple[str, ...] | None = None
        with preserved_state(model):
            f, one = self._captured(x[:1], passes=1)
            self.passes = len(cotangents(f))
            if only is not None:
                self._names = _parameters_of(one, only)
                _, one = self._captured(x[:1], passes=1)
            captured, each = bytes_of(one, self.passes)
            self.widths = {layer.name: layer.width for layer in one if only in (None, layer.name)}
            check_samples(model, x)
            size = one[0].gram().element_size()
            tile = math.isqrt(memory // 4 // size) // self.passes
            fewer = x.device.type == "cpu" and 2 * each <= captured
            self.block = max(1, min(len(x), memory // (4 * (each if fewer else captured)), tile))
            part = min(memory // 4, max(_PART_BYTES, _PART_SAMPLES * captured)) // captured
            self._part = max(1, part) if fewer else self.block
            self._kept: list[Layers] = []
            self.held_bytes = each * (len(x) if 2 * each * len(x) <= memory else min(len(x), 2 * self.block))
            self._spilled: SpilledBlocks | None = None
            self._fits = 2 * each * len(x) <= memory
            self._recaptured = not self._fits and x.device.type == "cpu" and each * len(x) > room_on_disk()
            try:
                self.f = self._capture_all()
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def rows(self) -> int:
        """N times passes."""
        return len(self.x) * self.passes

    @property
    def parameters(self) -> int:
        """P, the trainable entries that are read."""
        return sum(self.widths.values())

    @property
    def starts(self) -> range:
        """First sample of each block."""
        return range(0, len(self.x), self.block)

    def close(self) -> None:
        """Lets go of the captured tensors and removes their files."""
        self._kept = []
        if self._spilled is not None:
            self._spilled.close()
            self._spilled = None

    def blocks(self) -> Iterator[tuple[slice, Layers]]:
        """(rows, layers) of each block of samples."""
        for number, start in enumerate(self.starts):
            layers = self._block(number)
            samples = layers[0].samples
            yield slice(start * self.passes, (start + samples) * self.passes), layers

    def kernel(self, other: JacobianRows | None = None) -> Tensor:
        """J J^T, or J(x) J(x')^T: the sum over the layers."""
        total = self._empty(other, 1)
        for layer, rows, columns, beside in self._tiles(other):
            self._add(total[rows, columns], layer, beside)
        return self._finished(total, other)

    def kernels(self, other: JacobianRows | None = None) -> dict[str, Tensor]:
        """The kernel of each layer, in order of first use."""
        found = {name: self._empty(other, len(self.widths)) for name in self.widths}
        for layer, rows, columns, beside in self._tiles(other):
            self._add(found[layer.name][rows, columns], layer, beside)
        return {name: self._finished(kernel, other) for name, kernel in found.items()}

    def primal(self) -> Tensor:
        """J^T J, (P, P), the parameters in the order of the layers."""
        total: Tensor | None = None
        for _, layers in self.blocks():
            rows = torch.cat([layer.rows() for layer in layers], dim=1).double()
            total = rows.T @ rows if total is None else total.addmm_(rows.T, rows)
        assert total is not None
        return total

    def diagonal(self) -> Tensor:
        """Squared lengths of the rows, (N passes,)."""
        work = max(1, self.memory // 4)
        parts = [
            torch.stack([layer.gram(max_bytes=work).diagonal() for layer in layers]).sum(0)
            for _, layers in self.blocks()
        ]
        return torch.cat(parts)

    def matrix(self) -> Tensor:
        """J itself, (N passes, P): for small networks."""
        return torch.cat([torch.cat([layer.rows() for layer in layers], dim=1) for _, layers in self.blocks()])

    def pull(self, v: Tensor) -> dict[str, Tensor]:
        """J^T v by parameter, for v (N passes,)."""
        total: dict[str, Tensor] = {}
        for rows, layers in self.blocks():
            for layer in layers:
                for name, part in layer.pull(v[rows]).items():
                    total[name] = total[name] + part if name in total else part
        return total

    def push(self, delta: dict[str, Tensor]) -> Tensor:
        """J delta, (N passes,)."""
        parts = []
        for _, layers in self.blocks():
            of = [layer.push(delta) for layer in layers]
            parts.append(torch.stack(of).sum(0))
        return torch.cat(parts)

    def product(self, v: Tensor) -> Tensor:
        """J J^T v, for v (N passes,), without a kernel."""
        own = v.to(self.f.dtype)
        if len(self.starts) == 1:
            return torch.stack([layer.product(own) for layer in self._block(0)]).sum(0).to(v.dtype)
        return self.push(self.pull(own)).to(v.dtype)

    def _empty(self, other: JacobianRows | None, layers: int) -> Tensor:
        columns = self.rows if other is None else other.rows
        check_room(self.rows, columns, self.f.dtype, self.f.device, layers)
        return self.f.new_zeros(self.rows, columns)

    def _finished(self, kernel: Tensor, other: JacobianRows | None) -> Tensor:
        if other is None:
            mirror(kernel)
        ends = torch.stack(kernel.aminmax())  # NaN where there is one; no copy of the kernel
        if not bool(torch.isfinite(ends).all()):
            check_finite(self.model, self.x, kernel, "the kernel")
        return kernel

    def _tiles(self, other: JacobianRows | None) -> Iterator[tuple[LayerJacobian, slice, slice, LayerJacobian | None]]:
        """(layer, rows, columns, layer of the columns or None for the same) of every tile, without mirror images."""
        right = self if other is None else other
        height, width = len(self.starts), len(right.starts)
        done, total = 0, height * (height + 1) // 2 if other is None else height * width
        for a in range(height):
            ours = self._block(a)
            rows = slice(self.starts[a] * self.passes, (self.starts[a] + ours[0].samples) * self.passes)
            for b in range(a if other is None else 0, width):
                same = other is None and a == b
                theirs = ours if same else right._block(b)
                first = right.starts[b]
                columns = slice(first * self.passes, (first + theirs[0].samples) * self.passes)
                for left, beside in zip(ours, theirs, strict=True):
                    yield left, rows, columns, None if same else beside
                done += 1
                if self._progress is not None:
                    self._progress(done, total)

    def _add(self, total: Tensor, left: LayerJacobian, right: LayerJacobian | None) -> None:
        """One layer's part of a tile, in place; of a tile on the diagonal its upper half alone."""
        self._timed(left, left.samples, lambda: left.add_gram(total, right, max_bytes=max(1, self.memory // 4)))

    def _condensed(self, layer: LayerJacobian, samples: int) -> LayerJacobian:
        """With its rows, where they are smaller than what they are made from: made once, not for each tile."""
        return self._timed(layer, samples, lambda: layer.condensed(samples))

    def _timed(self, layer: LayerJacobian, samples: int, run: Callable[[], T]) -> T:
        begin = time.perf_counter()
        found = run()
        if layer.name not in self.costs:
            self.costs[layer.name] = _cost(layer, samples)
        self.costs[layer.name].wall_s += time.perf_counter() - begin
        return found

    def _block(self, number: int) -> Layers:
        if self._recaptured:
            start = self.starts[number]
            with preserved_state(self.model):
                return self._captured_block(self.x[start : start + self.block])[1]
        return self._kept[number] if self._spilled is None else self._spilled.get(number)

    def _capture_all(self) -> Tensor:
        """Keeps or spills every block; gives the outputs."""
        outputs = []
        if not self._fits and not self._recaptured:
            self._spilled = SpilledBlocks(self.x.device)
        for start in self.starts:
            f, layers = self._captured_block(self.x[start : start + self.block])
            outputs.append(f)
            if self._spilled is not None:
                self._spilled.put(layers)
                self.spilled_bytes = self._spilled.bytes
            elif not self._recaptured:
                self._kept.append(layers)
        return torch.cat(outputs)

    def _captured_block(self, x: Tensor) -> tuple[Tensor, Layers]:
        """Outputs and layers with their rows, of all samples at once or of a few at a time."""
        if len(x) <= self._part:
            return self._captured_part(x, len(x))
        outputs, gathered = [], GatheredLayers(len(x))
        for part in x.split(self._part):
            f, layers = self._captured_part(part, len(x))
            gathered.add(layers)
            outputs.append(f)
        return torch.cat(outputs), gathered.layers

    def _captured_part(self, x: Tensor, samples: int) -> tuple[Tensor, Layers]:
        f, layers = self._captured(x)
        return f, tuple(self._condensed(layer, samples) for layer in layers)

    def _captured(self, x: Tensor, passes: int | None = None) -> tuple[Tensor, Layers]:
        with Linearisation(self.model, self._names) as linear:
            f = linear.forward(x)
            check_finite(self.model, x, f, "the model's outputs")
            layers = linear.rows(self._cotangents(f.detach())[:passes])
        refused = {name: why for name, why in linear.unread.items() if why != UNUSED}
        if refused:
            name, why = next(iter(refused.items()))
            raise CaptureError(f"`{name}` has no rows: {why}. Freeze it to leave it out of the kernel.")
        if not layers:
            raise InputError(
                "`model` must have a trainable parameter that its output depends on (got none). Check that the forward "
                "uses them and doesn't detach its result."
            )
        return f.detach(), layers


def check_room(rows: int, columns: int, dtype: torch.dtype, device: torch.device, matrices: int) -> None:
    """Refuses a result that doesn't fit in what the machine has free.

    Raises:
        InputError: with the bytes and the options that bring them down.
    """
    needed, free = matrices * rows * columns * dtype.itemsize, free_bytes(device)
    if needed > free:
        each = f"{matrices} kernels" if matrices > 1 else "A kernel"
        raise InputError(
            f"{each} of {rows:,} x {columns:,} must fit in memory: {needed:,} bytes are needed (got {free:,} free). "
            "Take fewer samples, or outputs='trace', which is C^2 times smaller"
            + (", or layers='sum', which keeps one." if matrices > 1 else "; `fisher(...).top(k)` needs no kernel.")
        )


def free_bytes(device: torch.device) -> int:
    """Memory that can be had now."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        with open("/proc/meminfo") as file:  # noqa: PTH123 (no file of a user)
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 2**63 - 1  # unknown on this system: torch itself says so when memory is short


def _parameters_of(layers: Layers, name: str) -> tuple[str, ...]:
    """Names of the parameters of one layer."""
    for layer in layers:
        if layer.name == name:
            return layer.parameters
    raise InputError(f"`layer` must be a layer with trainable parameters (got {name!r}){_ending(name, layers)}")


def _ending(name: str, layers: Layers) -> str:
    return nearest(name, [layer.name for layer in layers])


def _cost(layer: LayerJacobian, samples: int) -> LayerCost:
    plan = layer.plan(samples)
    kind = type(layer.module).__name__
    if plan is None:
        return LayerCost(layer.name, kind, "rows", 0.0, 0.0)
    return LayerCost(layer.name, kind, plan.way, plan.positions_cost, plan.gradients_cost)
