"""What a user meets without a choice: the default step beside torch's fused AMSGrad, and the first compiled step."""

from __future__ import annotations

import os
import tempfile
import time

import torch

from benchmarks.goal import about, bounded, compared, machine_state, missing
from benchmarks.padam.step_time import WHY, parameters, shapes
from benchmarks.process import python
from benchmarks.sidebyside import Comparison, in_turns
from linnet.optim import Padam
from linnet.optim.padam.implementation import compiler
from linnet.results import Record

STEP, FIRST_S = 2.5, 20.0
_FIRST = "from benchmarks.padam.everyday import first_step_s; print(first_step_s())"


def records(*, quick: bool) -> list[Record]:
    """Both rows."""
    return [_default(rounds=3 if quick else 41), _first(compiling=not quick)]


def _default(*, rounds: int) -> Record:
    optimizer = Padam(parameters(shapes("resnet18")), 1e-5)
    fused = torch.optim.Adam(parameters(shapes("resnet18")), 1e-5, amsgrad=True, fused=True)
    seconds = in_turns({"Padam": optimizer.step, "fused": fused.step}, rounds, warmups=2)
    found = Comparison("Padam", "fused", tuple(seconds["Padam"]), tuple(seconds["fused"]))
    what = f"Padam as it comes ({optimizer.impl}), resnet18, p = 0.125"
    context = about(what, "Adam(amsgrad) fused", f"<= {STEP:g}x", STEP) | machine_state()
    name = "padam.everyday.default_beside_fused"
    return compared(name, found, found.time_ratio, found.time_interval, context=context, reason=WHY["blocked"])


def _first(*, compiling: bool) -> Record:
    name, what = "padam.everyday.first_compiled_step", "first compiled step of Padam, torch's cache empty"
    if not (compiling and compiler()):
        return missing(name, what, goal=FIRST_S, beside="the clock", reason="no compiler, or --quick")
    with tempfile.TemporaryDirectory() as cache:
        seconds = float(python("-c", _FIRST, environment=os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache}))
    return bounded(name, what, seconds, bound=FIRST_S, goal=f"<= {FIRST_S:g} s", beside="the clock", unit="s")


def first_step_s() -> float:
    """Seconds of the first step with impl="compiled" in this process."""
    optimizer = Padam(parameters(shapes("resnet18")), 1e-5, impl="compiled")
    begin = time.perf_counter()
    optimizer.step()
    return time.perf_counter() - begin
