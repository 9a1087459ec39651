"""Slips of the pen in lines of the Verilog, whether Icarus sees them, and whether yosys proves that nothing changes."""

import random
import re
import tempfile
from pathlib import Path
from string import Template

import numpy as np
import torch
from torch import nn

from linnet.errors import MismatchError, ToolError
from linnet.jet import BinaryLinear, Sign, freeze
from linnet.jet.reference.numpy_reference import run_numpy
from linnet.jet.verification.cxxrtl import values_of
from linnet.jet.verification.icarus import simulated_by_icarus
from linnet.jet.verilog.network import design
from linnet.jet.verilog.project import hexadecimal
from linnet.jet.verilog.tools import tool

SIDE = (6, 8)

# What a line may be turned into: one operator or constant, as a slip of the pen or of the generator would have it.
SLIPS = (
    (r" \+ ", " - "), (r" - ", " + "), (r" == ", " != "), (r" != ", " == "), (r" >= ", " > "), (r" < ", " <= "),
    (r" && ", " || "), (r" \|\| ", " && "), (r"!rst && ", ""), (r"!draining", "draining"), (r" \^ ", " | "),
    (r"'d(\d+)", lambda m: f"'d{max(0, int(m[1]) - 1)}"), (r"'sd(\d+)", lambda m: f"'sd{int(m[1]) + 1}"),
    (r"'b(\d+)", lambda m: f"'b{m[1][:-1]}{'10'[int(m[1][-1])]}"), (r" <= (\w+) \? ", r" <= !\1 ? "),
    (r"\bif \((\w+)", r"if (!\1"), (r"= ~", "= "), (r"\[(\d+)\]", lambda m: f"[{max(0, int(m[1]) - 1)}]"),
)  # fmt: skip


def network(kind, *, pad):
    """Every kind of module: windows with a border, a pool, a queue with turns, a linear layer, serial scores.

    Norms are those of the pixels, so that every channel changes its sign often and no fault hides behind a constant.
    """
    torch.manual_seed(4)
    layers = [kind(1, 3, 3, padding=pad, pad_value=0), nn.BatchNorm2d(3), Sign(), nn.MaxPool2d((1, 2)),
              kind(3, 4, 2), nn.BatchNorm2d(4), Sign(), nn.Flatten()]  # fmt: skip
    pixels = torch.randint(0, 256, (200, 1, *SIDE))
    net = nn.Sequential(*layers)
    net(pixels.float())
    net.extend([BinaryLinear(net(pixels.float()).shape[1], 3), nn.BatchNorm1d(3)])
    for norm in (m for m in net if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))):
        norm.weight.data.normal_()
        norm.momentum = 1.0
    net(pixels.float())
    return freeze(net.eval(), pixels[:4])


def mutants(text, count, rng_seed):
    """(line number, old line, new line, whole text) of so many slips, no two alike."""
    lines = text.splitlines()
    places = []
    for number, line in enumerate(lines):
        code = line.split("//")[0]
        if re.match(r"\s*(module|input|output|\);|wire signed \[|reg |endmodule|\(\*)", code) and "=" not in code:
            continue
        for n, (pattern, _) in enumerate(SLIPS):
            places += [(number, n, found.span()) for found in re.finditer(pattern, code)]
    random.Random(rng_seed).shuffle(places)
    made = []
    for number, n, (start, end) in places:
        pattern, slip = SLIPS[n]
        line = lines[number]
        changed = line[:start] + re.sub(pattern, slip, line[start:end]) + line[end:]
        if changed != line:
            made.append((number, line, changed, "\n".join([*lines[:number], changed, *lines[number + 1 :]]) + "\n"))
        if len(made) == count:
            break
    return made


_RESETS = Template("""
module resets;
    reg clk, rst, in_valid, counting;
    reg [$in_high:0] in_data;
    wire out_valid;
    wire [$out_high:0] out_data;
    reg [$in_high:0] frames [0:$pixels * $count - 1];
    integer n, k;
    net net(.clk(clk), .rst(rst), .in_valid(in_valid), .in_data(in_data), .out_valid(out_valid), .out_data(out_data));
    always #5 clk = !clk;
    always @(posedge clk) if (counting && out_valid !== 1'b0 && !rst) $$display("OUT %h", out_data);
    initial begin
        $$readmemh("frames.hex", frames);
        clk = 0;
        rst = 1;
        in_valid = 0;
        in_data = 0;
        counting = 0;
        @(negedge clk);
        for (n = 0; n < $count; n = n + 1) begin
            // n pixels, a reset of one clock, and at once a whole frame: what the n pixels left behind must not show.
            rst = 0;
            counting = 0;
            for (k = 0; k < n; k = k + 1) begin
                in_valid = 1;
                in_data = $$random;
                @(negedge clk);
            end
            in_valid = 0;
            rst = 1;
            @(negedge clk);
            rst = 0;
            counting = 1;
            for (k = 0; k < $pixels; k = k + 1) begin
                in_valid = 1;
                in_data = frames[n * $pixels + k];
                @(negedge clk);
            end
            in_valid = 0;
            for (k = 0; k < $latency + 2; k = k + 1) @(negedge clk);
        end
        $$finish;
    end
endmodule
""")


def after_resets(made, text, pixels):
    """The outputs of frames, the n-th after n pixels that a reset breaks off; with words that are undefined as -1."""
    source, result = made.input, made.output
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        folder = Path(place)
        (folder / "design.v").write_text(text)
        rows = pixels.transpose(0, 2, 3, 1).reshape(-1, source.channels)
        (folder / "frames.hex").write_text(hexadecimal(source, rows))
        sizes = {"in_high": source.bus - 1, "out_high": result.bus - 1, "pixels": source.height * source.width}
        (folder / "resets.v").write_text(_RESETS.substitute(sizes, count=len(pixels), latency=made.latency))
        tool("iverilog").run("-g2001", "-o", "resets", "design.v", "resets.v", cwd=folder)
        words = re.findall(r"^OUT (\S+)$", tool("vvp").run("resets", cwd=folder), re.MULTILINE)
    found = [word if re.fullmatch("[0-9a-f]+", word) else None for word in words]
    if None in found:
        return np.full(1, -1)
    return values_of(result, np.array([[int(w, 16) >> (32 * k) & 0xFFFFFFFF for k in range(-(-result.bus // 32))]
                                       for w in found], np.uint32))  # fmt: skip


class Bench:
    """A network's design under frames of every kind, simulated by Icarus.

    Args:
        program: The network.
    """

    def __init__(self, program):
        self.made = design(program.graph, *SIDE, "net")
        draw = np.random.default_rng(0)
        few = draw.integers(0, 256, (40, 1, *SIDE))
        many = draw.integers(0, 256, (300, 1, *SIDE))
        extreme = 255 * draw.integers(0, 2, (60, 1, *SIDE))
        flat = np.broadcast_to(draw.integers(0, 256, (60, 1, 1, 1)), (60, 1, *SIDE))
        steps = np.where(draw.random((60, 1, 1, 1)) < 0.5, np.arange(SIDE[1]), np.arange(SIDE[0])[:, None]) * 31
        mixed = np.concatenate((many, extreme, flat, np.broadcast_to(steps, (60, 1, *SIDE)), 255 - many[:40]))
        self.resets = draw.integers(0, 256, (130, 1, *SIDE))
        self.expected_after_resets = run_numpy(program.graph, self.resets).astype(np.int64).reshape(-1)
        self.first = [(few, 1), (few, 2), (few, 3)]
        self.more = [(mixed, 4), *((few, seed) for seed in range(5, 25))]
        self.expected = {id(x): run_numpy(program.graph, x).astype(np.int64).reshape(-1) for x in (few, mixed)}

    def catches(self, text, *, more=False):
        """Whether a design gives other values, undefined ones, too many or too few, or doesn't compile.

        Args:
            text: The Verilog.
            more: Whether resets at every place of a frame, frames of many kinds and twenty further ways of gaps are
                tried instead of the first three runs.
        """
        if more:
            found = after_resets(self.made, text, self.resets)
            if not np.array_equal(found, self.expected_after_resets):
                return True
        for pixels, rng_seed in self.more if more else self.first:
            expected = self.expected[id(pixels)]
            try:
                found, _ = simulated_by_icarus(self.made, text, pixels, rng_seed=rng_seed)
            except (MismatchError, ToolError):
                return True
            if found.shape != expected.shape or not np.array_equal(found, expected):
                return True
        return False


_PREPARED = (
    "read_verilog {0}.v; hierarchy -check -top {1}; proc; flatten; memory; simplemap; splitnets; "
    "opt_clean -purge; rename {1} {0}; design -stash {0}"
)


def proven_equal(text, changed, top):
    """Whether yosys proves that two modules, once they gave equal values for 5 clocks, never differ again.

    That is what equiv_induct proves, from any state of the registers; the simulations show the first 5 clocks.
    """
    script = [
        *(_PREPARED.format(name, top) for name in ("gold", "gate")),
        "design -copy-from gold gold; design -copy-from gate gate; equiv_make gold gate both; hierarchy -top both",
        "equiv_simple -seq 3; equiv_induct -seq 5; equiv_status -assert",
    ]
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        (Path(place) / "gold.v").write_text(text)
        (Path(place) / "gate.v").write_text(changed)
        try:
            tool("yosys").run("-q", "-p", "; ".join(script), cwd=Path(place))
        except ToolError as error:
            if "unproven" not in str(error):
                raise
            return False
    return True


def module_of(text, number):
    """The module in which a line stands."""
    before = "\n".join(text.splitlines()[: number + 1])
    return re.findall(r"^module (\w+)", before, re.MULTILINE)[-1]
