"""What a step needs beyond parameters, gradients and state, each way in a process of its own; and what importing costs.

`python -m benchmarks.padam_memory WAY MODEL` prints the bytes.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from benchmarks.goal import bounded, missing
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
    if not Path("/proc/self/clear_refs").exists():
        return [missing("padam.memory", what, goal=BLOCK_MB, beside="", reason="no /proc on this system")]
    found = []
    for way in WAYS:
        words = [sys.executable, "-m", "benchmarks.padam_memory", way, model]
        told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        facts = {"bound": BLOCK_MB, "goal": f"<= {BLOCK_MB:g} MB", "beside": "", "unit": "MB"}
        record = bounded(f"padam.memory.{way}", f"{what}: {way}", float(told), **facts)
        reason = {} if way == "Padam blocked" else {"reason": "temporaries of a whole tensor, or of all"}
        found.append(Record(**(vars(record) | {"context": {**record.context, **reason}})))
    return found


def _import(*, repeats: int) -> list[Record]:
    """Seconds of the import where the byte code lies beside the source, as after an installation."""
    times, compiled = [], False
    words = [sys.executable, "-c", _IMPORT]
    with tempfile.TemporaryDirectory() as folder:
        kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        kept["PYTHONPYCACHEPREFIX"] = folder
        subprocess.run(words, env=kept, capture_output=True, check=True)  # writes the byte code
        for _ in range(repeats):
            told = subprocess.run(words, env=kept, capture_output=True, text=True, check=True).stdout
            seconds, inductor = told.split()
            times.append(float(seconds))
            compiled |= inductor == "True"
    context = {
        "what": "import of linnet.optim.padam, best of all",
        "beside": "torch and linnet.core imported, byte code there",
    }
    context |= {"goal": "<= 5 ms", "bound": 5.0, "torch.compile loaded": compiled}
    context |= {"reason": "some twenty small files are read and run"}
    return [Record.measured("padam.import", min(times) * 1e3, unit="ms", n=repeats, context=context)]


def step_bytes(way: str, model: str) -> int:
    """Peak of resident memory during one step, less what was there before it; Linux only.

    Args:
        way: Of `padam_speed`.
        model: Of `padam_speed`.
    """
    from benchmarks.padam_speed import OURS, RIVALS, _parameters, shapes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opt = (OURS | RIVALS)[way](_parameters(shapes(model)), 0.125)
    opt.step()
    ctypes.CDLL(None).malloc_trim(0)
    time.sleep(0.1)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status_bytes("VmRSS")
    opt.step()
    return max(0, status_bytes("VmHWM") - before)


def status_bytes(key: str) -> int:
    """A size of this process as Linux tells it, such as "VmRSS"."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    print(step_bytes(sys.argv[1], sys.argv[2]) / 1e6)
