"""The modules of a whole program, one a layer, and the top that joins them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from linnet.errors import FreezeError, InputError
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.integer.nodes import Add, Concat, Conv, Flatten, Linear, Node, Pool, Scores, Threshold, WeightedAdd
from linnet.jet.integer.table import table
from linnet.jet.verilog.convolution import convolution
from linnet.jet.verilog.linear import linear
from linnet.jet.verilog.module import Module
from linnet.jet.verilog.pointwise import plain, scores, threshold
from linnet.jet.verilog.pooling import pool
from linnet.jet.verilog.streams import Stream


@dataclass(frozen=True, eq=False)
class Layer:
    """One module of the design.

    Attributes:
        node: Name of the program's node.
        module: Name of the module.
        text: Verilog of the module and of its line buffer.
        source: What it reads.
        result: What it gives.
        latency: Clocks from the last input of a frame to its last output, at most.
    """

    node: str
    module: str
    text: str
    source: Stream
    result: Stream
    latency: int


@dataclass(frozen=True, eq=False)
class Design:
    """A program in Verilog.

    Attributes:
        name: Of the top module.
        graph: The program, for the design's frame size.
        layers: In order.
        input: The stream of pixels.
        output: The stream of results.
        share: "auto" where outputs share adders, else 1.
    """

    name: str
    graph: IntegerGraph
    layers: tuple[Layer, ...]
    input: Stream
    output: Stream
    share: str | int = "auto"

    @property
    def latency(self) -> int:
        """Clocks from the last pixel of a frame to its last output, at most."""
        return sum(layer.latency for layer in self.layers)

    @property
    def interface(self) -> dict[str, object]:
        """What `name.json` holds."""
        kind = "sign" if self.graph.output.kind == "sign" else "int"
        return {
            "top": self.name,
            "input": {**_sizes(self.input), "signed": self.input.signed},
            "output": {**_sizes(self.output), "kind": kind},
            "latency_clocks": self.latency,
            "share": self.share,
            "program_hash": self.graph.hash,
        }

    @property
    def text(self) -> str:
        """The .v file."""
        about = "\n".join(f"// {line}".rstrip() for line in table(self.graph).splitlines())
        head = f"// {self.name}: an integer program as a stream, written by linnet.\n//\n{about}\n"
        return "\n".join([head, *(layer.text for layer in self.layers), self._top()])

    def _top(self) -> str:
        lines = [
            f"// {self.input.height} x {self.input.width} pixels a frame, one at each clock with in_valid; the last "
            f"output comes at most {self.latency} clocks after the last pixel.",
            f"module {self.name} (",
            "    input clk,",
            "    input rst,",
            "    input in_valid,",
            f"    input [{self.input.bus - 1}:0] in_data,",
            "    output out_valid,",
            f"    output [{self.output.bus - 1}:0] out_data",
            ");",
        ]
        valid, bus = "in_valid", "in_data"
        for n, layer in enumerate(self.layers):
            lines += [f"    wire valid{n};", f"    wire [{layer.result.bus - 1}:0] data{n};"]
            lines += [
                f"    {layer.module} layer{n} (.clk(clk), .rst(rst), .in_valid({valid}), .in_data({bus}),"
                f" .out_valid(valid{n}), .out_data(data{n}));  // {layer.node}"
            ]
            valid, bus = f"valid{n}", f"data{n}"
        return "\n".join([*lines, f"    assign out_valid = {valid};", f"    assign out_data = {bus};", "endmodule", ""])


def design(graph: IntegerGraph, height: int, width: int, name: str, share: str | int = "auto") -> Design:
    """The Verilog of a program for one frame size.

    Args:
        graph: The program.
        height: Of a frame.
        width: Of a frame.
        name: Of the top module, and before every layer's.
        share: "auto": where positions come seldom, after pools and strides, outputs take turns in the same adders; 1:
            every output has its own.

    Raises:
        FreezeError: a layer that the stream can't hold; it is named with the remedy.
        InputError: the size doesn't fit the program, or `share` is neither.
    """
    if share != "auto" and (share != 1 or isinstance(share, (bool, float))):
        raise InputError(f'`share` must be "auto" or 1 (got {share!r}).')
    graph = graph.resized(height, width)
    builder = _Builder(name, _pixels(graph), share)
    for node in graph.nodes[1:]:
        builder.put(node)
    return builder.finished(graph)


class _Builder:
    """Appends one layer after another."""

    def __init__(self, name: str, pixels: Stream, share: str | int) -> None:
        self.name, self.share = name, share
        self.input = self.stream = pixels
        self.layers: list[Layer] = []
        self._names = {name}
        self._flat = False

    def put(self, node: Node) -> None:
        """Adds the layer of a node."""
        operation = node.operation
        if isinstance(operation, (Add, WeightedAdd, Concat)):
            raise FreezeError(
                f"`{node.name}` ({type(operation).__name__.lower()}) joins two branches, and the Verilog is one stream "
                "without branches. Use a network without it; Python and C take it."
            )
        if isinstance(operation, Flatten):
            self._flat = True
            return
        if self._flat and not isinstance(operation, Linear) and self._positions > 1:
            raise FreezeError(
                f"`{node.name}` works on a flattened map of {self._positions} positions, which come one after another. "
                "Move it in front of the flatten, or put a linear layer between them."
            )
        if isinstance(operation, (Conv, Linear)) and not (self.stream.is_sign or self.stream.is_plain):
            self._append(node, "numbers", plain)
        self._layer(node)

    def finished(self, graph: IntegerGraph) -> Design:
        """The design, with integers that are the program's."""
        last = graph.output
        if self._flat and len(last.shape) == 1 and last.shape[0] != self.stream.channels:
            raise FreezeError(
                f"`{last.name}` ends the network with a flattened map of {self._positions} positions. End it with the "
                "map, or with a linear layer."
            )
        if not (self.stream.is_sign or self.stream.is_plain):
            self._append(last, "numbers", plain)
        return Design(self.name, graph, tuple(self.layers), self.input, self.stream, self.share)

    @property
    def _positions(self) -> int:
        return self.stream.height * self.stream.width

    def _layer(self, node: Node) -> None:
        operation = node.operation
        if isinstance(operation, Conv):
            self._append(node, "", lambda m, s: convolution(m, node.name, operation, s, self.share))
        elif isinstance(operation, Threshold):
            self._append(node, "", lambda m, s: threshold(m, operation, s))
        elif isinstance(operation, Pool):
            self._append(node, "", lambda m, s: pool(m, operation, s))
        elif isinstance(operation, Scores):
            self._append(node, "", lambda m, s: scores(m, operation, s, self.share))
        else:
            assert isinstance(operation, Linear)
            weights, positions = operation.weights, self._positions
            if positions == 1:
                kernels = weights[:, :, None, None]
                self._append(node, "", lambda m, s: convolution(m, node.name, Conv(kernels), s, self.share))
            else:
                weights = weights.reshape(len(weights), -1, positions)
                self._append(node, "", lambda m, s: linear(m, weights, s, self.share))
            self._flat = False

    def _append(self, node: Node, suffix: str, fill) -> None:
        plain_name = "_".join(filter(None, (self.name, node.identifier, suffix)))
        name, count = plain_name, 1
        while {name, f"{name}_rows"} & self._names:
            count += 1
            name = f"{plain_name}_{count}"
        self._names |= {name, f"{name}_rows"}
        module = Module(name, f"{node.name}: {_word(node)} on {_size(self.stream)}.")
        found = fill(module, self.stream)
        result, rows = found if isinstance(found, tuple) else (found, "")
        text = "\n".join(filter(None, (rows, module.text())))
        self.layers.append(Layer(node.name, name, text, self.stream, result, module.latency))
        self.stream = result


def _word(node: Node) -> str:
    operation = node.operation
    if isinstance(operation, Conv):
        return f"{operation.family} convolution {operation.size} x {operation.size}"
    return type(operation).__name__.lower()


def _size(stream: Stream) -> str:
    return f"{stream.channels} channels of {stream.height} x {stream.width}"


def _sizes(stream: Stream) -> dict[str, int]:
    return {"channels": stream.channels, "height": stream.height, "width": stream.width, "bits": stream.bits}


def _pixels(graph: IntegerGraph) -> Stream:
    limits, (channels, height, width) = graph.input, graph.input_shape
    bits = 8 if (limits.low >= 0 and limits.high < 256) or (limits.low >= -128 and limits.high < 128) else 16
    if not (limits.low >= -(2**15) and limits.high < 2**15 + 2**15 * (limits.low >= 0)):
        raise InputError(f"`input_range` must fit into 16 bits (got {limits.low}..{limits.high}).")
    ends = (np.full(channels, limits.low, np.int64), np.full(channels, limits.high, np.int64))
    ones = np.ones(channels, np.int64)
    return Stream(channels, height, width, *ends, ones, ones * 0, port_bits=bits)


def output_values(design_: Design) -> int:
    """Numbers that a frame gives."""
    return math.prod(design_.graph.output.shape)
