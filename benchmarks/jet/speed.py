"""C beside onnxruntime: one convolution, a whole net; jets beside binary kernels; training and freezing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks import goal
from benchmarks.jet import rivals
from benchmarks.jet.networks import SIDE, caller, compiled, one_conv, small_net
from benchmarks.sidebyside import Side, compare, in_turns, unchecked
from linnet.jet import BinaryConv2d, JetConv2d, freeze
from linnet.results import Record

Call = Callable[[], object]


def faster(
    name: str, what: str, ours: Call, theirs: Call, beside: str, *, least: float | None, pairs: int, reason: str = ""
) -> Record:
    """How many times as fast ours is: the ratio of the least times, as other programs interrupt the longer calls more.

    The median of the pairs' ratios stands in the context, with the microseconds of both. `least` None: no promise.
    """
    found = compare(Side("linnet", ours, unchecked), Side(beside, theirs, unchecked), pairs=pairs, warmups=3)
    least_of = [min(times) for times in (found.a_s, found.b_s)]
    context = {"what": what, "beside": beside, "goal": "measured" if least is None else f">= {least:g}x"}
    context |= {} if least is None else {"least": least}
    context |= goal.machine_state() | {
        "min_us": round(1e6 * least_of[0], 2), "median_us": round(1e6 * found.median_s[0], 2),
        "beside_min_us": round(1e6 * least_of[1], 2), "median_ratio": round(found.speed_ratio, 2),
        "cpu_flags": _flags(),
    }  # fmt: skip
    value = least_of[1] / least_of[0]
    if least is not None and value < least:
        context["reason"] = reason or "measured"
    return Record.measured(name, value, unit="x", n=pairs, context=context)


def _flags() -> str:
    path = Path("/proc/cpuinfo")
    words = path.read_text().split() if path.exists() else []
    return " ".join(w for w in ("avx2", "avx512f", "avx512_vnni", "avx512_vpopcntdq") if w in words)


def convolutions(*, quick: bool) -> list[Record]:
    """One 3 x 3 convolution of signs, 34 x 34 to 32 x 32; ours makes signs from pixels, thresholds and pools."""
    torch.set_num_threads(1)
    found, pairs = [], 5 if quick else 41
    for channels in (64,) if quick else (64, 128, 256):
        program, net = one_conv(channels, jets=False)
        loaded = compiled(program)
        kernels = net[3].kernels().numpy()
        signs = np.where(np.random.default_rng(0).random((1, channels, SIDE, SIDE)) < 0.5, -1, 1)
        x32, x8 = signs.astype(np.float32), (signs + 128).astype(np.uint8)
        ort32, ort8 = rivals.float_conv(kernels, SIDE), rivals.int8_conv(kernels, SIDE)
        weight, x = torch.from_numpy(kernels).float(), torch.from_numpy(x32)
        exact = nn.functional.conv2d(x.double(), weight.double()).numpy()
        assert np.array_equal(ort32(x32), exact)  # the same work
        others = {
            "onnxruntime float32": (lambda f=ort32, v=x32: f(v), {"avx512": 8.0, "avx2": None}),
            "onnxruntime int8": (lambda f=ort8, v=x8: f(v), {"avx512": None, "avx2": None}),
            "torch float32": (lambda w=weight, v=x: nn.functional.conv2d(v, w), {"avx512": None, "avx2": None}),
        }
        for path in (p for p in ("avx512", "avx2") if p in loaded.paths):
            for beside, (run, least) in others.items():
                name = f"jet.conv.{channels}.{path}.{beside.replace(' ', '_')}"
                what = f"3x3 binarized convolution, C = {channels}, {path}"
                found.append(
                    faster(name, what, caller(loaded, program, path), run, beside, least=least[path], pairs=pairs)
                )
    return found


def whole_net(*, quick: bool) -> list[Record]:
    """A net of 8, 16 and 32 channels on one 28 x 28 frame, jets and binary, beside float32 of the same net."""
    torch.set_num_threads(1)
    found, pairs = [], 5 if quick else 101
    loaded = {}
    for word, kind in (("jets", JetConv2d), ("binary", BinaryConv2d)):
        net = small_net(kind)
        program = freeze(net, torch.randint(0, 256, (1, 1, 28, 28)))
        loaded[word] = (compiled(program), program)
        rival = rivals.float_net(net, 28)
        frame = np.random.default_rng(0).integers(0, 256, (1, 1, 28, 28)).astype(np.float32)
        assert np.argmax(rival(frame)) == int(program.predict(frame.astype(np.int64))[0])  # the same function
        record = faster(
            f"jet.net.{word}", f"whole small net ({word} 8/16/32), one 28x28 frame",
            caller(loaded[word][0], program, loaded[word][0].path), lambda f=rival, v=frame: f(v),
            "onnxruntime float32",
            least=5.0, pairs=pairs, reason="8 to 32 channels fill an eighth to a half of a 64-bit lane",
        )  # fmt: skip
        found.append(record)
        context = {"what": f"the same, microseconds a frame ({word})", "beside": "", "goal": "< 50 us", "bound": 50.0}
        found.append(Record.measured(f"jet.net.{word}.us", record.context["min_us"], unit="us", context=context))
    jets, binary = (caller(*loaded[word], loaded[word][0].path) for word in ("jets", "binary"))
    found.append(
        faster(
            "jet.net.kinds", "jets in C beside binary in C, whole net", jets, binary, "binary", least=None, pairs=pairs
        )
    )
    return found


def training(*, quick: bool) -> list[Record]:
    """A training step beside the same net with plain convolutions."""
    torch.set_num_threads(1)
    x, y = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))

    def stepper(net: nn.Module):
        net.train()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)

        def step() -> None:
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()

        return step

    def plain(widths: tuple[int, ...] = (16, 32, 64)) -> nn.Sequential:
        net, channels = small_net(JetConv2d, widths), 1
        for k, width in enumerate(widths):
            net[4 * k], net[4 * k + 2] = nn.Conv2d(channels, width, 3, bias=False), nn.ReLU()
            channels = width
        net[-2] = nn.Linear(net[-2].nin, 10, bias=False)
        return net

    ours, theirs = stepper(small_net(JetConv2d, (16, 32, 64))), stepper(plain())
    what = "training step, 16/32/64 jets, batch 64"
    sides = Side("linnet", ours, unchecked), Side("the same net with Conv2d and ReLU", theirs, unchecked)
    reason = "the kernels are composed from latents in each step, and a sign costs more than a ReLU"
    return [goal.time_ratio("jet.training", what, *sides, goal=1.3, pairs=5 if quick else 21, reason=reason)]


def tools(*, quick: bool) -> list[Record]:
    """freeze + to_c of a four-layer net, and `run` of 8,000 images, in seconds."""
    torch.set_num_threads(1)
    net, example = small_net(JetConv2d), torch.randint(0, 256, (16, 1, 28, 28))

    def written() -> None:
        with tempfile.TemporaryDirectory() as place:
            freeze(net, example).to_c(place)

    seconds = min(in_turns({"x": written}, 3)["x"])
    facts = {"what": "freeze + to_c of a 4-layer net", "beside": "", "goal": "< 2 s", "bound": 2.0}
    found = [Record.measured("jet.freeze", seconds, unit="s", context=facts | goal.machine_state())]
    program, frames = freeze(net, example), 200 if quick else 8000
    begun = time.perf_counter()
    program.run(torch.randint(0, 256, (frames, 1, 28, 28)))
    taken = (time.perf_counter() - begun) * 8000 / frames
    facts = {"what": "`run` (numpy) of 8,000 images of 28x28", "beside": "", "goal": "< 60 s", "bound": 60.0}
    return [*found, Record.measured("jet.run", taken, unit="s", n=frames, context=facts | goal.machine_state())]
