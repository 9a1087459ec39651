"""A study of three rounds whose trials do nothing but wait.

python -m tests.unit.engine.trials.countdown FILE WORKERS
"""

import os
import signal
import sys
import time
from pathlib import Path

from linnet.engine.trials.execution import carry_out
from linnet.engine.trials.trial import Trial
from linnet.results import Record

SIZE = 6


def next_trials(finished):
    """Six trials; when all are there, two more that are made from their sum; then nothing."""
    first = [Trial("first", {"number": number}) for number in range(SIZE)]
    if any(trial.key not in finished for trial in first):
        return first
    total = sum(finished[trial.key].value for trial in first)
    return [Trial("second", {"of": total, "half": half}) for half in (False, True)]


def run(trial):
    time.sleep(0.05)
    value = 2.0 * trial.settings["number"] if trial.stage == "first" else trial.settings["of"] + trial.settings["half"]
    return Record("countdown", value, context={"wall_s": 0.05})


def run_or_die(trial):
    """As `run`, but the process is killed at the fourth trial."""
    if trial.settings.get("number") == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(trial)


def run_or_fail(trial):
    """As `run`, but the first trial fails at once."""
    if trial.settings.get("number") == 0:
        raise ArithmeticError("planted")
    return run(trial)


if __name__ == "__main__":
    carry_out(
        Path(sys.argv[1]), next_trials, run, workers=int(sys.argv[2]), told=lambda record, n: print(n, flush=True)
    )
