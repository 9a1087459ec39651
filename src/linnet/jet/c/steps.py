"""The calls of a program in order, with their tables: node after node, a convolution with its threshold in one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from linnet.errors import FreezeError
from linnet.jet.c.bit_tables import Layout, above, bit_tables, flips, int_kernels, limits, linear_rows
from linnet.jet.c.workspace import Buffer
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.integer.nodes import Add, Concat, Conv, Flatten, Linear, Node, Pool, Scores, Threshold, WeightedAdd
from linnet.jet.integer.shapes import window_of


@dataclass
class Steps:
    """The program in C, as it grows.

    Attributes:
        graph: The program.
        layout: How bits are stored.
        calls: Statements of the run function.
        tables: Constant tables.
        used: Sections of the runtime.
        buffers: In the workspace.
        places: Node number -> pointer to its bits or integers.
        ints: Node number -> pointer to its integers, where its own form is bits or pixels.
    """

    graph: IntegerGraph
    layout: Layout
    calls: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    buffers: dict[str, Buffer] = field(default_factory=dict)
    places: dict[int, str] = field(default_factory=dict)
    ints: dict[int, str] = field(default_factory=dict)

    def call(self, section: str, text: str, *pointers: str) -> None:
        """One statement, which reads or writes the buffers named."""
        self.used.add(section)
        for pointer in pointers:
            if pointer in self.buffers:
                self.buffers[pointer].last = len(self.calls)
        self.calls.append(text)

    def comment(self, text: str) -> None:
        """A line that says which layer comes."""
        self.calls.append(f"/* {text.replace('*/', '* /')} */")

    def buffer(self, name: str, kind: str, count: int) -> str:
        """A new buffer of `count` elements."""
        size = {"lj_word": self.layout.word_bits // 8, "int32_t": 4, "int16_t": 2}[kind]
        at = len(self.calls)
        self.buffers[name] = Buffer(name, kind, size * count, at, at)
        return name

    def bits(self, name: str, shape: Sequence[int]) -> str:
        """A buffer for a map of bits, with a word to spare: packing may clear the word after the last."""
        pixels = math.prod(shape[1:])
        return self.buffer(name, "lj_word", pixels * self.layout.words(shape[0]) + 1)

    def table(self, kind: str, name: str, values: np.ndarray | Sequence[int]) -> str:
        """A constant table; returns its name."""
        text = [_literal(kind, int(v)) for v in np.asarray(values).flatten().tolist()]
        per = {"lj_word": 4, "int32_t": 12}.get(kind, 20)
        lines = [", ".join(text[k : k + per]) for k in range(0, len(text), per)]
        kind_of = f"static const {kind} {name}[{len(text)}]"
        self.tables.append(f"{kind_of} = {{\n    " + ",\n    ".join(lines) + "};\n")
        return name

    def integers(self, number: int) -> str:
        """A pointer to a node's numbers as int32, spread out where they are bits or pixels."""
        node = self.graph.nodes[number]
        if node.kind not in ("sign", "pixels"):
            return self.places[number]
        if number not in self.ints:
            count, pixels = math.prod(node.shape), math.prod(node.shape[1:])
            out = self.buffer(f"spread{number}", "int32_t", count)
            if node.kind == "pixels":
                self.call("spread_pixels", f"lj_spread_pixels(input, {out}, {count});", out)
            else:
                source = self.places[number]
                self.call("spread_bits", f"lj_spread_bits({source}, {out}, {pixels}, {node.shape[0]});", source, out)
            self.ints[number] = out
        return self.ints[number]


def steps_of(graph: IntegerGraph, layout: Layout) -> Steps:
    """All calls of a program.

    Raises:
        FreezeError: a convolution reads numbers that don't fit into 16 bits.
    """
    steps = Steps(graph, layout, places={0: "input"})
    fused: dict[int, int] = {}
    for number, node in enumerate(graph.nodes):
        if number == 0 or number in fused.values():
            continue
        if isinstance(node.operation, Conv):
            after = _threshold_after(graph, number)
            if after is not None:
                fused[number] = after
            steps.comment(_titles(graph, number, after))
            _conv(steps, number, after)
        else:
            steps.comment(_titles(graph, number, None))
            _other(steps, number)
    _output(steps)
    return steps


def _threshold_after(graph: IntegerGraph, number: int) -> int | None:
    """The threshold that alone reads a convolution."""
    readers = graph.readers[number]
    if len(readers) == 1 and isinstance(graph.nodes[readers[0]].operation, Threshold):
        return readers[0]
    return None


def _titles(graph: IntegerGraph, number: int, after: int | None) -> str:
    nodes = [graph.nodes[n] for n in (number, after) if n is not None]
    words = [f"{node.name}: {type(node.operation).__name__.lower()}" for node in nodes]
    return f"{', '.join(words)} -> {' x '.join(map(str, nodes[-1].shape))}"


def _literal(kind: str, value: int) -> str:
    if kind == "lj_word":
        return f"LJ_W({value:#x})"
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def _target(steps: Steps, number: int) -> str:
    """Where a node's integers go: the caller's output, if it is the last."""
    node = steps.graph.nodes[number]
    if number == len(steps.graph.nodes) - 1:
        return "output"
    return steps.buffer(f"ints{number}", "int32_t", math.prod(node.shape))


def _conv(steps: Steps, number: int, after: int | None) -> None:
    node = steps.graph.nodes[number]
    conv, source = node.operation, steps.graph.nodes[node.sources[0]]
    assert isinstance(conv, Conv)
    last = number if after is None else after
    threshold = None if after is None else steps.graph.nodes[after].operation
    assert threshold is None or isinstance(threshold, Threshold)
    read = (_bit_conv if source.kind == "sign" else _int_conv)(steps, number, conv, threshold)
    if threshold is None:
        out = _target(steps, number)
        steps.places[number] = out
        arguments = f"0, {out}"
    else:
        out = steps.bits(f"bits{last}", node.shape)
        steps.places[last] = out
        arguments = f"{out}, 0"
    section, source_pointer, scratch = read
    call = f"lj_{section}(path, &conv{number}, {source_pointer}, {arguments}, {scratch});"
    steps.call(section, call, source_pointer, out, scratch)


def _bit_conv(steps: Steps, number: int, conv: Conv, threshold: Threshold | None) -> tuple[str, str, str]:
    node, layout = steps.graph.nodes[number], steps.layout
    source = steps.graph.nodes[node.sources[0]]
    channels, height, width = source.shape
    tables, words, at = bit_tables(conv, layout), layout.words(channels), steps.places[node.sources[0]]
    pad = conv.padding
    if pad:
        border = layout.packed(np.full(channels, conv.pad_value == 1))
        name = steps.table("lj_word", f"border{number}", border)
        padded = steps.bits(f"padded{number}", (channels, height + 2 * pad, width + 2 * pad))
        call = f"lj_pad_bits({at}, {padded}, {height}, {width}, {words}, {pad}, {name});"
        steps.call("pad_bits", call, at, padded)
        at = padded
    line = width + 2 * pad
    offsets = [(i * line + j) * words for places in tables.groups for i, j in places]
    shifts, masked = zip(*((p.shift, int(p.masked)) for p in tables.planes), strict=True)
    lists = {
        "places": [len(places) for places in tables.groups],
        "starts": tables.starts,
        "offsets": offsets,
        "plane_starts": [tables.starts[p.group] for p in tables.planes],
        "plane_words": tables.plane_words,
        "shifts": shifts,
        "masked": masked,
    }
    names = [steps.table("int32_t", f"{key}{number}", values) for key, values in lists.items()]
    sign = steps.table("lj_word", f"sign{number}", tables.sign)
    mask = steps.table("lj_word", f"mask{number}", tables.mask)
    limit = steps.table("int32_t", f"limit{number}", limits(tables.base, threshold, layout))
    flip = steps.table("unsigned char", f"flip{number}", flips(threshold, node.shape[0]))
    mask_words = sum(n for n, p in zip(tables.plane_words, tables.planes, strict=True) if p.masked)
    counts = f"{len(tables.groups)}, {len(tables.planes)}, {len(offsets)}, {tables.patch_words}"
    steps.tables.append(
        f"static const lj_bit_convolution conv{number} = {{\n    {counts}, {', '.join(names)},\n"
        f"    {sum(tables.plane_words)}, {mask_words}, {sign}, {mask}, {channels}, {line}, {words}, {conv.stride},\n"
        f"    {node.shape[1]}, {node.shape[2]}, {node.shape[0]}, {layout.words(node.shape[0])}, {limit}, {flip}}};\n"
    )
    return "bit_conv", at, steps.buffer(f"patch{number}", "lj_word", 4 * (tables.patch_words + 1))


def _int_conv(steps: Steps, number: int, conv: Conv, threshold: Threshold | None) -> tuple[str, str, str]:
    node = steps.graph.nodes[number]
    source = steps.graph.nodes[node.sources[0]]
    low, high = source.range
    if low < -(2**15) or high >= 2**15:
        raise FreezeError(
            f"`{node.name}` reads numbers of {low}..{high}, and a convolution in C reads 16 bits. Put a Sign before "
            "it, or pool smaller windows."
        )
    channels, height, width = source.shape
    pad, at = conv.padding, steps.places[node.sources[0]]
    line = width + 2 * pad
    wide = steps.buffer(f"wide{number}", "int16_t", channels * (height + 2 * pad) * line)
    section = "widen" if source.kind == "pixels" else "narrow"
    call = f"lj_{section}({at}, {wide}, {height}, {width}, {channels}, {pad}, {conv.pad_value});"
    steps.call(section, call, at, wide)
    kernels = int_kernels(conv, steps.layout)
    pairs = kernels.shape[1]
    weights = steps.table("int8_t", f"kernels{number}", kernels)
    limit = steps.table("int32_t", f"above{number}", above(threshold, node.shape[0], steps.layout))
    flip = steps.table("unsigned char", f"flip{number}", flips(threshold, node.shape[0]))
    steps.tables.append(
        f"static const lj_int_convolution conv{number} = {{\n    {conv.size}, {pairs}, {weights}, {channels}, {line}, "
        f"{conv.stride},\n    {node.shape[1]}, {node.shape[2]}, {node.shape[0]}, {steps.layout.words(node.shape[0])}, "
        f"{limit}, {flip}}};\n"
    )
    return "int_conv", wide, steps.buffer(f"patch{number}", "int16_t", 4 * (2 * pairs + 2))


def _other(steps: Steps, number: int) -> None:
    operation = steps.graph.nodes[number].operation
    if isinstance(operation, Threshold):
        _threshold(steps, number, operation)
    elif isinstance(operation, Pool):
        _pool(steps, number, operation)
    elif isinstance(operation, Flatten):
        _flatten(steps, number)
    elif isinstance(operation, Linear):
        _linear(steps, number, operation)
    elif isinstance(operation, Add):
        _add(steps, number)
    elif isinstance(operation, WeightedAdd):
        _weighted_add(steps, number, operation)
    elif isinstance(operation, Concat):
        _concat(steps, number)
    else:
        assert isinstance(operation, Scores)
        _scores(steps, number, operation)


def _threshold(steps: Steps, number: int, threshold: Threshold) -> None:
    node = steps.graph.nodes[number]
    at = steps.integers(node.sources[0])
    limit = steps.table("int32_t", f"above{number}", threshold.thresholds - 1)
    flip = steps.table("unsigned char", f"flip{number}", flips(threshold, node.shape[0]))
    out = steps.places[number] = steps.bits(f"bits{number}", node.shape)
    pixels = math.prod(node.shape[1:])
    steps.call("threshold", f"lj_threshold({at}, {out}, {pixels}, {node.shape[0]}, {limit}, {flip});", at, out)


def _pool(steps: Steps, number: int, pool: Pool) -> None:
    node = steps.graph.nodes[number]
    source = steps.graph.nodes[node.sources[0]]
    channels, _, width = source.shape
    window, stride = window_of(pool, source.shape)
    window_table = steps.table("int32_t", f"window{number}", [*window, *stride])
    sizes = f"{node.shape[1]}, {node.shape[2]}, {window_table}"
    if pool.mode == "bits":
        assert pool.conjunction is not None
        both = steps.table("lj_word", f"both{number}", steps.layout.packed(pool.conjunction))
        at, out = steps.places[node.sources[0]], steps.bits(f"bits{number}", node.shape)
        words = steps.layout.words(channels)
        steps.call("pool_bits", f"lj_pool_bits({at}, {out}, {width}, {words}, {sizes}, {both});", at, out)
    else:
        at, out = steps.integers(node.sources[0]), _target(steps, number)
        largest = int(pool.mode == "max")
        steps.call("pool_ints", f"lj_pool_ints({at}, {out}, {width}, {channels}, {sizes}, {largest});", at, out)
    steps.places[number] = out


def _flatten(steps: Steps, number: int) -> None:
    """Nothing where only linear layers read it: their weights are in the order of the map."""
    node = steps.graph.nodes[number]
    source = steps.graph.nodes[node.sources[0]]
    readers = [steps.graph.nodes[n].operation for n in steps.graph.readers[number]]
    pixels = math.prod(source.shape[1:])
    if pixels == 1 or (readers and all(isinstance(reader, Linear) for reader in readers)):
        steps.places[number] = steps.places[node.sources[0]]
        if node.sources[0] in steps.ints:
            steps.ints[number] = steps.ints[node.sources[0]]
        if number == len(steps.graph.nodes) - 1 and node.kind != "sign":
            count = f"(size_t){math.prod(node.shape)} * sizeof(int32_t)"
            at = steps.integers(number)
            if at != "output":
                steps.call("", f"memcpy(output, {at}, {count});", at)
        return
    at = steps.integers(node.sources[0])
    bits = node.kind == "sign"
    out = steps.buffer(f"row{number}", "int32_t", node.shape[0]) if bits else _target(steps, number)
    steps.call("channel_first", f"lj_channel_first({at}, {out}, {pixels}, {source.shape[0]});", at, out)
    if bits:
        packed = steps.bits(f"bits{number}", node.shape)
        steps.call("gather_bits", f"lj_gather_bits({out}, {packed}, {node.shape[0]});", out, packed)
        steps.ints[number], out = out, packed
    steps.places[number] = out


def _map_of(graph: IntegerGraph, number: int) -> Node:
    """The map in whose order a vector stands."""
    node = graph.nodes[number]
    readers = [graph.nodes[n].operation for n in graph.readers[number]]
    if isinstance(node.operation, Flatten) and all(isinstance(reader, Linear) for reader in readers):
        return graph.nodes[node.sources[0]]
    return node


def _linear(steps: Steps, number: int, linear: Linear) -> None:
    node, layout = steps.graph.nodes[number], steps.layout
    origin = _map_of(steps.graph, node.sources[0])
    shape = (*origin.shape, 1, 1)[:3]
    outputs, features = linear.weights.shape
    weights = steps.table("lj_word", f"weights{number}", linear_rows(linear.weights, shape, layout))
    kind = steps.graph.nodes[node.sources[0]].kind
    out = _target(steps, number)
    sizes = f"{layout.words(features)}, {features}, {outputs}"
    if kind == "sign":
        at, pixels = steps.places[node.sources[0]], shape[1] * shape[2]
        if shape[0] % layout.word_bits and pixels > 1:
            packed = steps.buffer(f"packed{number}", "lj_word", layout.words(features) + 1)
            steps.call("pack", f"lj_pack({at}, {packed}, {pixels}, {shape[0]});", at, packed)
            at = packed
        steps.call("linear_bits", f"lj_linear_bits(path, {at}, {weights}, {out}, {sizes});", at, out)
    else:
        at = steps.integers(node.sources[0])
        steps.call("linear_ints", f"lj_linear_ints({at}, {weights}, {out}, {sizes});", at, out)
    steps.places[number] = out


def _add(steps: Steps, number: int) -> None:
    node = steps.graph.nodes[number]
    first, second = (steps.integers(source) for source in node.sources)
    out = steps.places[number] = _target(steps, number)
    steps.call("add", f"lj_add({first}, {second}, {out}, {math.prod(node.shape)});", first, second, out)


def _weighted_add(steps: Steps, number: int, operation: WeightedAdd) -> None:
    node = steps.graph.nodes[number]
    first, second = (steps.integers(source) for source in node.sources)
    table = steps.table("int32_t", f"multipliers{number}", operation.multipliers)
    out = steps.places[number] = _target(steps, number)
    sizes = f"{math.prod(node.shape[1:])}, {node.shape[0]}"
    call = f"lj_weighted_add({first}, {second}, {out}, {sizes}, {table});"
    steps.call("weighted_add", call, first, second, out)


def _concat(steps: Steps, number: int) -> None:
    node = steps.graph.nodes[number]
    at, channels = steps.places[node.sources[0]], steps.graph.nodes[node.sources[0]].shape[0]
    pixels = math.prod(node.shape[1:])
    for place, source in enumerate(node.sources[1:], 1):
        more = steps.graph.nodes[source].shape[0]
        name = f"bits{number}" if place == len(node.sources) - 1 else f"part{number}_{place}"
        out, other = steps.bits(name, (channels + more, *node.shape[1:])), steps.places[source]
        steps.call("concat", f"lj_concat({at}, {other}, {out}, {pixels}, {channels}, {more});", at, other, out)
        at, channels = out, channels + more
    steps.places[number] = at


def _scores(steps: Steps, number: int, scores: Scores) -> None:
    node = steps.graph.nodes[number]
    at = steps.integers(node.sources[0])
    tables = [steps.table("int32_t", f"{w}{number}", getattr(scores, w)) for w in ("multipliers", "offsets")]
    out = steps.places[number] = _target(steps, number)
    pixels = math.prod(node.shape[1:])
    steps.call("scores", f"lj_scores({at}, {out}, {pixels}, {node.shape[0]}, {', '.join(tables)});", at, out)


def _output(steps: Steps) -> None:
    """Signs go out as +1 and -1."""
    last = len(steps.graph.nodes) - 1
    node = steps.graph.nodes[last]
    if node.kind == "sign":
        at, pixels = steps.places[last], math.prod(node.shape[1:])
        steps.comment("the output: signs as +1 and -1")
        steps.call("spread_bits", f"lj_spread_bits({at}, output, {pixels}, {node.shape[0]});", at)
