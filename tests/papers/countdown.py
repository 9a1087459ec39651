"""A study of three rounds whose trials do nothing but wait: python -m tests.papers.countdown FILE WORKERS."""

import sys
import time
from pathlib import Path

from linnet.results import Record
from papers.study import Trial, carry_out

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


if __name__ == "__main__":
    carry_out(
        Path(sys.argv[1]), next_trials, run, workers=int(sys.argv[2]), told=lambda record, n: print(n, flush=True)
    )
