"""Faults planted into the tables of the C: every one is caught, or has no effect on any input there is.

The network takes 3 x 3 frames of two grey values, so that all 512 inputs can be tried: a table that gives the right
answer on all of them computes the same function.
"""

import ctypes
import itertools
import re
import subprocess

import numpy as np
import pytest
import torch
from torch import nn

from linnet.errors import MismatchError
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Sign, freeze
from linnet.jet.c import source
from linnet.jet.c.source import c_source
from linnet.jet.verification import c_builds
from tests.jet_networks import random_network
from tests.unit.jet.c.needs_compiler import needs_compiler

SIZES = {
    "lj_word": ctypes.c_uint32,
    "int32_t": ctypes.c_int32,
    "int8_t": ctypes.c_int8,
    "unsigned char": ctypes.c_uint8,
}
FRAMES = np.array(list(itertools.product([0, 1], repeat=9)), np.uint8)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A library whose tables can be written, its tables, and the right results."""
    torch.manual_seed(1)
    net = nn.Sequential(
        JetConv2d(1, 6, 2, padding=1, pad_value=0), nn.BatchNorm2d(6), Sign(),
        JetConv2d(6, 8, 3), nn.BatchNorm2d(8), Sign(), nn.MaxPool2d(2),
        BinaryConv2d(8, 8, 1), nn.BatchNorm2d(8), Sign(), nn.Flatten(), BinaryLinear(8, 3), nn.BatchNorm1d(3),
    )  # fmt: skip
    for norm in (m for m in net if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d))):
        norm.weight.data.normal_()
        norm.running_mean.normal_()
    program = freeze(net.eval(), torch.from_numpy(FRAMES.reshape(-1, 1, 3, 3).astype(np.int64)), input_range=(0, 1))
    folder = tmp_path_factory.mktemp("planted")
    made = c_source(program.graph, "net", 32)
    tables = re.findall(r"static const (lj_word|int32_t|int8_t|unsigned char) (\w+)\[(\d+)\]", made.source)
    writable = re.sub(r"static const (lj_word|int32_t|int8_t|unsigned char) (\w+\[\d+\] =)", r"\1 \2", made.source)
    (folder / "net.c").write_text(writable)
    (folder / "net.h").write_text(made.header)
    command = ["gcc", "-std=c99", "-O1", "-shared", "-fPIC", "-o", str(folder / "net.so"), str(folder / "net.c")]
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(folder / "net.so"))
    expected = program.run(FRAMES.reshape(-1, 1, 3, 3)).numpy()
    return library, [(kind, name, int(count)) for kind, name, count in tables], expected, made.workspace_bytes


def results(library, room, frames):
    workspace = np.zeros(room, np.uint8)
    found = np.empty((len(frames), 3), np.int32)
    for n, frame in enumerate(frames):
        library.net_run(frame.ctypes.data_as(ctypes.c_void_p), found[n].ctypes.data_as(ctypes.c_void_p),
                        workspace.ctypes.data_as(ctypes.c_void_p))  # fmt: skip
    return found


@needs_compiler
def test_two_hundred_faults_are_caught_or_have_no_effect(planted):
    library, tables, expected, room = planted
    np.testing.assert_array_equal(results(library, room, FRAMES), expected)
    written = [
        t for t in tables if re.match(r"sign|mask|limit|flip|above|kernels|weights|multipliers|offsets|both", t[1])
    ]
    rng = np.random.default_rng(0)
    caught, without_effect = 0, []
    for _ in range(240):
        kind, name, count = written[rng.integers(len(written))]
        place, bit = int(rng.integers(count)), int(rng.integers(8 * ctypes.sizeof(SIZES[kind])))
        table = (SIZES[kind] * count).in_dll(library, name)
        old = table[place]
        table[place] = old + 1 if kind == "int32_t" else SIZES[kind](old ^ (1 << bit)).value
        wrong = not np.array_equal(results(library, room, FRAMES), expected)
        table[place] = old
        caught += wrong
        if not wrong:
            without_effect.append((name, place))
    np.testing.assert_array_equal(results(library, room, FRAMES), expected)  # the faults are taken out again
    assert caught + len(without_effect) == 240
    # All 512 inputs were tried, so the rest computes the same function: tails, masked bits, limits between two sums.
    assert caught > 80
    print(f"{caught} caught, {len(without_effect)} without effect on any input")


@needs_compiler
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("count <= c->limit[o]", "count < c->limit[o]"),
        ("!= flip) << (o", "== flip) << (o"),
        ("popcount(*x ^ *sign)", "popcount(*x & *sign)"),
        ("differ &= *mask", "differ |= *mask"),
        ("sum > c->above[o]", "sum >= c->above[o]"),
        ("(any & ~both[w]) | (all & both[w])", "(any & both[w]) | (all & ~both[w])"),
        ("features - 2 * count", "features - count"),
        ("inside ? (int16_t)pixel[c] : border", "inside ? (int16_t)pixel[c] : (int16_t)(border + 1)"),
        ("y * window[2] * width", "y * window[3] * width"),
    ],
)
def test_faults_in_the_runtime_are_caught(right, wrong, monkeypatch):
    sections = source.sections
    monkeypatch.setattr(source, "sections", lambda file, used: sections(file, used).replace(right, wrong))
    monkeypatch.setattr(c_builds, "BUILDS", [None, c_builds.Build("-O0", ("-O0", "-DLINNET_JET_PORTABLE"))])
    monkeypatch.setattr(c_builds, "_first_layer", lambda *_: "")
    for seed in range(30):
        found = random_network(seed)
        program = freeze(found.net, found.pixels, found.scale, found.input_range)
        if wrong in source.c_source(program.graph, "net", 64).source:
            try:
                program.verify(found.pixels, thorough=False)
            except MismatchError:
                return
    pytest.fail("the fault was not seen")
