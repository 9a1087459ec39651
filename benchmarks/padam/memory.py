"""What a step needs beyond parameters, gradients and state, each way in its own process; and what importing costs."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable

from benchmarks.goal import bounded, missing
from benchmarks.padam.step_time import OURS, RIVALS, parameters, shapes
from benchmarks.peak_memory import RESETTABLE
from benchmarks.process import own_process, python
from linnet.results import Record

WAYS = ("Padam loop", "Padam blocked", "Padam foreach", "Adam(amsgrad) loop", "Adam(amsgrad) foreach")
BLOCK_MB = 4.0
_IMPORT = """
import time, torch, linnet.core
begin = time.perf_counter()
import linnet.optim.padam.padam
print(time.perf_counter() - begin, "torch._inductor" in __import__("sys").modules)
"""


def records(*, quick: bool) -> list[Record]:
    """All rows of this part."""
    return [*_peaks("tiny" if quick else "resnet18"), *_import(repeats=1 if quick else 5)]


def _peaks(model: str) -> list[Record]:
    what = f"memory of a step beyond its state, {model}"
    if not RESETTABLE:
        return [missing("padam.memory", what, goal=BLOCK_MB, beside="", reason="no /proc on this system")]
    found = []
    for way in WAYS:
        peak_mb = own_process(step_of, way, model, peak="call").extra_bytes / 1e6
        reason = "" if way == "Padam blocked" else "temporaries of a whole tensor, or of all"
        facts = {"bound": BLOCK_MB, "goal": f"<= {BLOCK_MB:g} MB", "beside": "", "unit": "MB", "reason": reason}
        found.append(bounded(f"padam.memory.{way}", f"{what}: {way}", peak_mb, **facts))
    return found


def _import(*, repeats: int) -> list[Record]:
    """Seconds of the import where the byte code lies beside the source, as after an installation."""
    times, compiled = [], False
    with tempfile.TemporaryDirectory() as folder:
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        kept["PYTHONPYCACHEPREFIX"] = folder
        python("-c", _IMPORT, environment=kept)  # writes the byte code
        for _ in range(repeats):
            seconds, inductor = python("-c", _IMPORT, environment=kept).split()
            times.append(float(seconds))
            compiled |= inductor == "True"
    facts = {"bound": 5.0, "goal": "<= 5 ms", "beside": "torch and linnet.core imported, byte code there", "unit": "ms"}
    facts |= {"n": repeats, "context": {"torch.compile loaded": compiled}}
    facts |= {"reason": "some twenty small files are read and run"}
    return [bounded("padam.import", "import of linnet.optim.padam, best of all", min(times) * 1e3, **facts)]


def step_of(way: str, model: str) -> Callable[[], object]:
    """A step of one of the ways of `step_time` on one of its models."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (OURS | RIVALS)[way](parameters(shapes(model)), 0.125).step
