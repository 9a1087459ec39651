"""`Program`: a trained network as integers. It runs, tells its cost, and is saved.

The data that all backends read is `program.graph`, an `integer.graph.IntegerGraph`:

    graph.nodes          in order of execution; nodes[0] is the input, nodes[-1] the output
    graph.input          Input(low, high, scale, shift);  graph.input_shape (C, H, W)
    graph.readers        for each node the numbers of the nodes that read it
    graph.resized(h, w)  the same program for frames of another size
    graph.hash           SHA-256 over operations, arrays and shapes
    node.operation       Input, Conv, Threshold, Pool, Flatten, Linear, Add, WeightedAdd, Concat or Scores
                         (integer/nodes.py)
    node.sources .shape .kind .low .high .bits .name .identifier
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from linnet.errors import InputError
from linnet.jet.integer.cost import ProgramCost, cost_of
from linnet.jet.integer.file import read_graph, write_graph
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.integer.nodes import Scores
from linnet.jet.integer.table import table
from linnet.jet.reference.numpy_reference import run_numpy
from linnet.jet.reference.torch_reference import trace_torch
from linnet.suggest import one_of

if TYPE_CHECKING:
    from linnet.jet.synthesis.synthesis import Synthesis
    from linnet.jet.verification.records import Verification

BATCH = 256  # frames that `run` takes at once; more only needs more memory


@dataclass(frozen=True)
class Facts:
    """What freezing found on its example.

    Attributes:
        examples: Rows of the example.
        ties: Signs that float64 can't tell, where the program's exact answer differs from float64's.
        close_rows: Rows whose two best scores lie within the scores' rounding, the only ones whose argmax could differ.
    """

    examples: int
    ties: int
    close_rows: int


@dataclass(frozen=True, eq=False)
class Program:
    """An integer program.

    Attributes:
        graph: Its operations as plain data; what backends read.
        facts: What freezing found on its example.
    """

    graph: IntegerGraph
    facts: Facts

    def run(self, x: Tensor | np.ndarray, *, backend: str = "numpy") -> Tensor:
        """The output for whole pixels.

        Args:
            x: Integers (N, C, H, W), or (N, F) for a network of vectors; one frame may come without the first axis.
            backend: "numpy" or "torch"; both give the same integers.

        Returns:
            int64 (N, *output shape): signs (+-1), sums, or fixed-point scores.

        Raises:
            InputError: floats, pixels out of range, or another number of channels or size.
        """
        one_of("backend", backend, ("numpy", "torch"))
        pixels = self.pixels(x)
        parts = []
        for part in pixels.split(BATCH) if len(pixels) else ():
            if backend == "torch":
                parts.append(trace_torch(self.graph, part)[-1])
            else:
                parts.append(torch.from_numpy(run_numpy(self.graph, part.numpy()).astype(np.int64)))
        return torch.cat(parts) if parts else torch.empty((0, *self.graph.output.shape), dtype=torch.int64)

    def predict(self, x: Tensor | np.ndarray) -> Tensor:
        """The class with the largest output: int64 (N,), or (N, h, w) for maps; the first one wins among equals."""
        return self.run(x).argmax(1)

    def trace(self, x: Tensor | np.ndarray) -> dict[str, Tensor]:
        """The integers of every node by name: int64 (N, *node shape)."""
        values = trace_torch(self.graph, self.pixels(x))
        return {node.name: value for node, value in zip(self.graph.nodes, values, strict=True)}

    def logits(self, x: Tensor | np.ndarray) -> Tensor:
        """What the trained network would give: float64 of the output's integers, scores within `score_error`."""
        found, operation = self.run(x).double(), self.graph.output.operation
        if isinstance(operation, Scores):
            return found * 2.0**-operation.shift
        shifts = torch.tensor([float(s) for s in self.graph.shifts], dtype=torch.float64)
        return found * float(self.graph.scale) + shifts.reshape(-1, *[1] * (found.ndim - 2))

    def pixels(self, x: Tensor | np.ndarray) -> Tensor:
        """Checked pixels: int64 (N, *input shape).

        Raises:
            InputError: floats, pixels out of range, or another number of channels or size.
        """
        return _pixels(self.graph, x)

    @property
    def score_error(self) -> float:
        """Proven bound of |score * 2^-shift - logit|; 0 where the output isn't scores."""
        operation = self.graph.output.operation
        return operation.error if isinstance(operation, Scores) else 0.0

    @property
    def hash(self) -> str:
        """SHA-256 over all operations, arrays and shapes."""
        return self.graph.hash

    def cost(self) -> ProgramCost:
        """Operations, weight bits and buffers, and beside them those of the same net with binary convolutions."""
        return cost_of(self.graph)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the program into one safetensors file, without a pickle.

        Raises:
            CheckpointError: it can't be written.
        """
        facts = {"examples": self.facts.examples, "ties": self.facts.ties, "close_rows": self.facts.close_rows}
        return write_graph(self.graph, path, facts)

    def to_c(
        self,
        directory: str | os.PathLike[str],
        name: str = "linnet_jet",
        *,
        word_bits: int = 64,
        overwrite: bool = False,
    ) -> list[Path]:
        """Writes the program as one C file with its header, an example, a Makefile and a page on how to build it.

        C99, no heap, no floating point; portable, AVX2 and AVX-512 paths in one file, chosen at run time.

        Args:
            directory: The folder, new or empty.
            name: Of the function `name_run`, its macros and files: a C identifier.
            word_bits: 64, or 32 for a microcontroller (portable path only).
            overwrite: Whether files of the same names may be replaced.

        Returns:
            The paths of the files.

        Raises:
            InputError: the name is no identifier, or the folder holds files.
            FreezeError: a convolution reads numbers beyond 16 bits.
        """
        from linnet.jet.c.project import write_c

        return write_c(self.graph, directory, name, word_bits=word_bits, overwrite=overwrite)

    def to_verilog(
        self,
        directory: str | os.PathLike[str],
        height: int | None = None,
        width: int | None = None,
        name: str = "linnet_jet",
        *,
        share: str | int = "auto",
        overwrite: bool = False,
    ) -> list[Path]:
        """Writes the program as Verilog that takes one pixel a clock, with a test bench and a top for few pins.

        Frames may come with gaps anywhere or back to back, and nothing is needed after the last pixel. Adders and
        comparators only: no multiplier, no vendor's primitive.

        Args:
            directory: The folder, new or empty.
            height: Of a frame; None: as it was frozen.
            width: Likewise.
            name: Of the top module, and before the name of every layer's.
            share: "auto": after pools and strides positions come seldom, and up to sixteen outputs take turns in the
                same adders; 1: each output has its own, which answers sooner.
            overwrite: Whether files of the same names may be replaced.

        Returns:
            The paths of the files.

        Raises:
            InputError: the name, the size or `share` can't be, the network takes vectors, or the folder holds files.
            FreezeError: a layer that a stream can't hold, with what to change: branches, padding that enlarges a map.
        """
        from linnet.jet.verilog.project import write_verilog

        return write_verilog(self.graph, directory, height, width, name, share=share, overwrite=overwrite)

    def verify(
        self,
        x: Tensor | np.ndarray,
        backends: Sequence[str] | str = ("c",),
        directory: str | os.PathLike[str] | None = None,
        *,
        thorough: bool = True,
    ) -> Verification:
        """Proves on frames that all backends give the same integers.

        torch and numpy are compared at every layer, the other backends at the output; where one differs, the layer is
        searched for. C is built with -O0, -O3, -Os, sanitizers and -m32, and run on each path that this CPU has.

        Args:
            x: Whole pixels (N, C, H, W).
            backends: Of "c", "cortex-m4" (the C on a core that QEMU emulates), "rtl" (the Verilog by yosys and a C++
                compiler) and "icarus" (by Icarus Verilog), or "available" for all that can run here.
            directory: A folder written by `to_c` or `to_verilog`, whose files are checked as they stand.
            thorough: False builds C in one way only.

        Returns:
            What ran: builds, values compared, seconds, versions, hashes; and what was skipped, with the reason.

        Raises:
            MismatchError: a value differs; backend, layer, frame, y, x, channel and both values are named.
            ToolError: a backend that was asked for can't run here.
            InputError: other frames than the program takes, or an unknown backend.
        """
        from linnet.jet.verification.proof import prove

        return prove(self.graph, self.pixels(x), backends, directory, thorough=thorough)

    def synth(
        self,
        device: str = "ecp5",
        height: int | None = None,
        width: int | None = None,
        *,
        seeds: Sequence[int] = (1, 2, 3),
        max_lut: int | None = None,
        share: str | int = "auto",
    ) -> Synthesis:
        """What the Verilog takes on a chip: LUTs, flip-flops, block RAMs and multipliers, by layer, and the clock.

        Yosys maps it, nextpnr places it once for each seed. The wide ports lie behind shift registers, whose cells are
        taken off and stated. The first run of a tool from a wheel takes minutes, in which it compiles itself, once.

        Args:
            device: "ecp5", "ice40", or "xc7" (mapping alone).
            height: Of a frame; None: as it was frozen.
            width: Likewise.
            seeds: Of the placement, three or more; () for mapping alone.
            max_lut: LUTs that it may take.
            share: As in `to_verilog`.

        Returns:
            The cells of each layer and of the whole, and the clock of each seed.

        Raises:
            BudgetError: it takes more LUTs than `max_lut`, or than the chip has; the largest layer is named.
            InputError: an unknown device, one or two seeds, or a size that can't be.
            FreezeError: a layer that a stream can't hold.
            ToolError: a tool is missing or fails.
        """
        from linnet.jet.synthesis.synthesis import synthesised

        if not isinstance(seeds, Iterable):
            raise InputError(f"`seeds` must be whole numbers >= 0 (got {seeds!r}). E.g. (1, 2, 3).")
        return synthesised(self.graph, device, height, width, seeds=tuple(seeds), max_lut=max_lut, share=share)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Program:
        """Reads what `save` wrote.

        Raises:
            CheckpointError: the file isn't whole, is of another kind or version, or its hash is wrong.
        """
        graph, facts = read_graph(path)
        return cls(graph, Facts(**_known(facts)))

    def __str__(self) -> str:
        return table(self.graph)


def _known(facts: Mapping[str, Any]) -> dict[str, int]:
    return {name: int(facts[name]) for name in ("examples", "ties", "close_rows")}


def _pixels(graph: IntegerGraph, x: Any) -> Tensor:
    x = torch.from_numpy(x.astype(np.int64)) if isinstance(x, np.ndarray) and x.dtype.kind in "iu" else x
    if not isinstance(x, Tensor) or x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        what = str(x.dtype) if isinstance(x, (Tensor, np.ndarray)) else type(x).__name__
        raise InputError(
            f"`x` must hold whole pixels as integers (got {what}). The program takes the pixels themselves, not the "
            "network's prepared floats: e.g. images.to(torch.uint8)."
        )
    shape = graph.input_shape
    x = x[None] if x.ndim == len(shape) else x
    if tuple(x.shape[1:]) != shape:
        wanted = ", ".join(map(str, shape))
        raise InputError(f"`x` must have the size (N, {wanted}) (got {tuple(x.shape)}). The program is made for it.")
    x, limits = x.detach().cpu().long(), graph.input
    outside = (x < limits.low) | (x > limits.high)
    if outside.any():
        place = tuple(torch.nonzero(outside)[0].tolist())
        raise InputError(
            f"`x` must hold pixels of {limits.low}..{limits.high} (got {int(x[place])} at {place}). Scale the images, "
            "or freeze with another `input_range`."
        )
    return x
