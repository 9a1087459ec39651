"""Instructions, flash and RAM on a Cortex-M4 beside our own int8 C of the same network, under QEMU."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch

from benchmarks.jet.networks import small_net
from linnet.jet import BinaryConv2d, JetConv2d, freeze
from linnet.jet.c.project import write_c
from linnet.jet.verification.cortex import CORE, GCC, QEMU, SIZE, missing_cortex
from linnet.jet.verilog.tools import tool
from linnet.results import Record

HERE = Path(__file__).parent
WIDTHS, SIDE, OUTPUTS = (8, 16, 32), 28, 10
KNOWN = 2 * 4_000_000  # instructions of the meter's loop
FRAMES = 4


@dataclass(frozen=True)
class Taken:
    """What one network takes: instructions a frame, bytes of flash and of RAM, and a sum over its output."""

    instructions: float
    flash: int
    ram: int
    check: int


def core(*, quick: bool) -> list[Record]:
    """A 28 x 28 frame through 8/16/32 channels: jets and binary layers beside int8."""
    if missing_cortex():
        return []
    plain, dsp = int8(plain=True), int8(plain=False)
    if plain.check != dsp.check:
        raise AssertionError(f"the two int8 networks give {plain.check} and {dsp.check}")
    found = []
    for kind, word in ((BinaryConv2d, "binary"),) if quick else ((BinaryConv2d, "binary"), (JetConv2d, "jets")):
        own = binarized(kind)
        for rival, name, beside in (
            (dsp, "dsp", "int8 with SMLAD, as CMSIS-NN works"),
            (plain, "plain", "int8, plain C"),
        ):
            for part, unit in (("instructions", "instructions"), ("flash", "bytes of flash"), ("ram", "bytes of RAM")):
                ours, theirs = getattr(own, part), getattr(rival, part)
                facts = {
                    "what": f"Cortex-M4, {unit} of {word} {'/'.join(map(str, WIDTHS))}", "beside": beside,
                    "ours": round(ours), "theirs": round(theirs), "goal": "measured",
                    "version": f"{tool(GCC).version}, {tool(QEMU).version}",
                }  # fmt: skip
                facts |= {"goal": ">= 3x fewer", "least": 3.0} if part == "instructions" else {}
                ratio = theirs / ours
                if part == "instructions" and ratio < 3:
                    facts["reason"] = (
                        f"{round(ours):,} against {round(theirs):,} a frame; the core has no population count (15 "
                        "instructions a word), and the first layer multiplies 8-bit pixels either way"
                    )
                found.append(Record.measured(f"jet.cortex.{word}.{name}.{part}", ratio, unit="x", context=facts))
    return found


def binarized(kind: type) -> Taken:
    """A network of jets or binary layers, at -O2 with words of 32 bits."""
    program = freeze(small_net(kind, WIDTHS), torch.randint(0, 256, (1, 1, SIDE, SIDE)))
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        folder = Path(place)
        write_c(program.graph, folder / "c", "net", word_bits=32, overwrite=False)
        for name in ("net.c", "net.h"):
            shutil.copy(folder / "c" / name, folder / name)
        (folder / "call.c").write_text(
            '#include "net.h"\nvoid frame_run(const uint8_t *input, int32_t *output);\n'
            "static uint64_t workspace[(NET_WORKSPACE_BYTES + 7) / 8];\n"
            "void frame_run(const uint8_t *input, int32_t *output) { net_run(input, output, workspace); }\n"
        )
        return _measured(folder, ("net.c", "call.c"))


def int8(*, plain: bool, rng_seed: int = 0) -> Taken:
    """The baseline with random weights: no loop depends on them."""
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        folder = Path(place)
        shutil.copy(HERE / "int8_net.c", folder / "net.c")
        (folder / "int8_tables.h").write_text(_tables(np.random.default_rng(rng_seed)))
        return _measured(folder, ("net.c",), *(["-DPLAIN"] if plain else []))


def _tables(rng: np.random.Generator) -> str:
    lines, names, channels, side, largest = [], [], 1, SIDE, SIDE * SIDE
    for n, width in enumerate(WIDTHS):
        taps = -(-9 * channels // 4) * 4
        weights = np.zeros((width, taps), np.int64)
        weights[:, : 9 * channels] = rng.integers(-127, 128, (width, 9 * channels))
        for kind, name, values in (
            ("int8_t", f"weights{n}", weights), ("int32_t", f"bias{n}", rng.integers(-9999, 9999, width)),
            ("int32_t", f"multipliers{n}", rng.integers(2**18, 2**21, width)),
        ):  # fmt: skip
            lines.append(_table(kind, name, values))
        names.append(n)
        side -= 2
        largest, side, channels = max(largest, side * side * width), side // 2, width
    lines.append(_table("int8_t", "HEAD", rng.integers(-127, 128, (OUTPUTS, side * side * channels))))
    lines.append(_table("int32_t", "HEAD_BIAS", rng.integers(-9999, 9999, OUTPUTS)))
    for kind, table in (("int8_t", "weights"), ("int32_t", "bias"), ("int32_t", "multipliers")):
        listed = ", ".join(f"{table}{n}" for n in names)
        lines.append(f"static const {kind} *const {table.upper()}[] = {{{listed}}};")
    lines.append(f"static const int WIDTHS[] = {{{', '.join(map(str, WIDTHS))}}};")
    patch = -(-9 * max(WIDTHS[:-1]) // 4) * 4
    sizes = {"LAYERS": len(WIDTHS), "SIDE": SIDE, "OUTPUTS": OUTPUTS, "LARGEST_MAP": largest, "LARGEST_PATCH": patch}
    return "\n".join([*(f"#define {name} {value}" for name, value in sizes.items()), *lines, ""])


def _table(kind: str, name: str, values: np.ndarray) -> str:
    flat = ", ".join(map(str, values.ravel().tolist()))
    aligned = "__attribute__((aligned(4))) " if kind == "int8_t" else ""
    return f"static const {kind} {name}[{values.size}] {aligned}= {{{flat}}};"


def _measured(folder: Path, sources: tuple[str, ...], *more: str) -> Taken:
    """Builds at -O2, counts the instructions of a frame, and reads the sizes of the network's own objects."""
    gcc = tool(GCC)
    for name in ("cortex_m.c", "cortex_m.ld"):
        (folder / name).write_text((files("linnet.jet.c") / "runtime" / name).read_text())
    shutil.copy(HERE / "meter.c", folder / "meter.c")
    (folder / "frame.h").write_text(
        f"#define FRAME {SIDE * SIDE}\n#define OUTPUTS {OUTPUTS}\n#define FRAMES {FRAMES}\n"
    )
    objects = []
    for name in sources:
        objects.append(name.replace(".c", ".o"))
        gcc.run(*CORE, "-std=gnu99", "-O2", *more, "-c", "-o", objects[-1], name, cwd=folder)
    start = gcc.run(*CORE, "--specs=rdimon.specs", "-print-file-name=rdimon-crt0.o").strip()
    gcc.run(
        *CORE, "-O2", "--specs=rdimon.specs", "-nostartfiles", "-T", "cortex_m.ld", "-o", "net.elf", "cortex_m.c",
        "meter.c", *objects, start, cwd=folder,
    )  # fmt: skip
    rows = [row.split() for row in tool(SIZE).run(*objects, cwd=folder).splitlines()[1:]]
    text, stored, zeroed = (sum(int(row[k]) for row in rows) for k in range(3))
    command = [
        *tool(QEMU).command, "-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none", "-icount",
        "shift=0", "-semihosting-config", "enable=on,target=native", "-kernel", "net.elf",
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder, timeout=300)
    known, taken, check = map(int, re.findall(r"-?\d+", run.stdout + run.stderr)[:3])
    return Taken(KNOWN * taken / known / FRAMES, text + stored, stored + zeroed, check)
