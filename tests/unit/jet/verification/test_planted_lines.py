"""Faults planted into lines of the Verilog, by Icarus: each is caught, or is known to change nothing that counts."""

import random
import re

import numpy as np
import pytest
import torch
from torch import nn

from linnet.errors import MismatchError, ToolError
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Sign, freeze
from linnet.jet.reference.numpy_reference import run_numpy
from linnet.jet.verification.icarus import simulated_by_icarus
from linnet.jet.verilog.network import design
from tests.unit.jet.verilog.needs_simulator import needs_icarus

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
    pixels = torch.randint(0, 256, (200, 1, 6, 8))
    net = nn.Sequential(*layers)
    net(pixels.float())
    net.extend([BinaryLinear(net(pixels.float()).shape[1], 3), nn.BatchNorm1d(3)])
    for norm in (m for m in net if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))):
        norm.weight.data.normal_()
        norm.momentum = 1.0
    net(pixels.float())
    return freeze(net.eval(), pixels[:4])


def mutants(text, count, rng_seed):
    """(line number, old line, whole text) of so many slips, no two alike."""
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


def caught(made, text, pixels, expected):
    """Whether a changed design gives other values, undefined ones, too many or too few, or none that compile."""
    for rng_seed in (1, 2, 3):
        try:
            found, _ = simulated_by_icarus(made, text, pixels, rng_seed=rng_seed)
        except (MismatchError, ToolError):
            return True
        if found.shape != expected.shape or not np.array_equal(found, expected):
            return True
    return False


@needs_icarus
@pytest.mark.nightly
@pytest.mark.parametrize(("kind", "pad"), [(JetConv2d, 1), (BinaryConv2d, 0)])
def test_a_hundred_and_more_slips_a_network_are_caught_or_known_to_change_nothing(kind, pad):
    program = network(kind, pad=pad)
    pixels = torch.randint(0, 256, (40, 1, 6, 8)).numpy()
    made = design(program.graph, 6, 8, "net")
    expected = run_numpy(program.graph, pixels).astype(np.int64).reshape(-1)
    assert not caught(made, made.text, pixels, expected)
    survived = []
    planted = mutants(made.text, 130, 7)
    assert len(planted) == 130
    for number, line, changed, text in planted:
        if not caught(made, text, pixels, expected):
            survived.append((number, line.strip(), changed.strip()))
    unexplained = [s for s in survived if not any(re.search(pattern, s[1]) for pattern in EQUIVALENT)]
    assert not unexplained, "\n".join(f"{n}: {a}\n      {b}" for n, a, b in unexplained)


EQUIVALENT = ()
