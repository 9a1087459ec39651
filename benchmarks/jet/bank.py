"""Jets in C by their bank of maps, beside the composed kernels that the generated C has: which is faster?"""

from __future__ import annotations

import ctypes
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.jet.networks import SIDE, one_conv
from benchmarks.jet.speed import faster
from linnet.jet.c.compiled import PATHS, built
from linnet.jet.c.project import write_c
from linnet.jet.integer.graph import IntegerGraph
from linnet.jet.integer.nodes import Conv, Threshold
from linnet.results import Record

CHANNELS = 64


def beside_composed(*, quick: bool) -> list[Record]:
    """64 -> 64 on 34 x 34 bits with thresholds, on each path that this CPU has; equal results are asserted."""
    if not paths():
        return []
    calls = callers()
    found = []
    for path, call in calls.items():
        if path != "bank":
            record = faster(
                f"jet.bank.64.{path}", f"jets by bank in C (AVX2), 3x3, C = {CHANNELS}", calls["bank"], call,
                f"composed kernels, {path}", least=None, pairs=5 if quick else 41,
            )  # fmt: skip
            found.append(record)
    return found


def callers() -> dict[str, Callable[[], object]]:
    """ "bank" and each path of the composed kernels as calls on the same bits."""
    program, _ = one_conv(CHANNELS, jets=True)
    graph = program.graph
    number = next(n for n, node in enumerate(graph.nodes) if isinstance(node.operation, Conv) and node.name == "3")
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        folder = Path(place)
        write_c(graph, folder / "c", "net", word_bits=64, overwrite=False)
        for name in ("net.c", "net.h"):
            shutil.copy(folder / "c" / name, folder / name)
        shutil.copy(Path(__file__).parent / "bank.c", folder / "bank.c")
        (folder / "bank_tables.h").write_text(_tables(graph, number))
        library = ctypes.CDLL(str(built(folder / "bank.c", folder / "bank.so", ("-O2", "-std=gnu99"))))
    draw = np.random.default_rng(0)
    bits = draw.integers(0, 2**63, (SIDE * SIDE,), np.uint64) * np.uint64(2) + draw.integers(
        0, 2, SIDE * SIDE, np.uint64
    )
    patch, outputs = np.zeros(4096, np.uint64), (SIDE - 2) ** 2
    library.bank_room_bytes.restype = ctypes.c_size_t
    room = np.zeros(library.bank_room_bytes() // 8 + 8, np.uint64)
    aligned = -room.ctypes.data % 64
    first, second = np.zeros(outputs, np.uint64), np.zeros(outputs, np.uint64)
    pointer = ctypes.c_void_p

    def bank() -> None:
        library.bank(pointer(bits.ctypes.data), pointer(first.ctypes.data), pointer(room.ctypes.data + aligned))

    def composed(path: int) -> Callable[[], None]:
        return lambda: library.composed(path, *(pointer(array.ctypes.data) for array in (bits, second, patch)))

    calls: dict[str, Callable[[], object]] = {"bank": bank}
    bank()
    for path in paths():
        calls[PATHS[path]] = composed(path)
        calls[PATHS[path]]()
        if not np.array_equal(first, second):
            raise AssertionError(f"bank and composed kernels ({PATHS[path]}) give other bits")
    return calls


def paths() -> list[int]:
    """Numbers of the vector paths that this CPU has."""
    file = Path("/proc/cpuinfo")
    words = file.read_text().split() if file.exists() else []
    return [1] * ("avx2" in words) + [2] * ("avx512_vpopcntdq" in words)


def _tables(graph: IntegerGraph, number: int) -> str:
    """Kinds and signs (channel, half, 32 outputs), limits on the sums of bits, flips."""
    conv, threshold = graph.nodes[number].operation, graph.nodes[number + 1].operation
    assert isinstance(conv, Conv)
    assert isinstance(threshold, Threshold)
    assert conv.kinds is not None
    kinds = (3 * conv.kinds[..., 0] + conv.kinds[..., 1]).T.reshape(CHANNELS, 2, 32)
    signs = conv.kinds[..., 2].T.reshape(CHANNELS, 2, 32)
    # sum of signs = 2 (K b) - sum K, so that K b > ceil((T + sum K) / 2) - 1
    total = conv.kernels.astype(np.int64).sum((1, 2, 3))
    limits = (-(-(threshold.thresholds + total) // 2) - 1).reshape(2, 32)
    flips = sum(int(flip) << o for o, flip in enumerate(threshold.flips))
    aligned = "__attribute__((aligned(64)))"
    rows = [
        f"#define SIDE {SIDE}", f"#define CONVOLUTION conv{number}", f"static const uint64_t FLIPS = {flips}ull;",
        f"static const int8_t KINDS[64][2][32] {aligned} = {_braces(kinds)};",
        f"static const int8_t SIGNS[64][2][32] {aligned} = {_braces(signs)};",
        f"static const int16_t LIMITS[2][32] {aligned} = {_braces(limits)};",
    ]  # fmt: skip
    return "\n".join([*rows, ""])


def _braces(values: np.ndarray) -> str:
    return str(values.tolist()).replace("[", "{").replace("]", "}")
