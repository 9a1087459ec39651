"""Time to target: `python -m benchmarks.time_to_target --scale smoke|cpu|gpu [--data DIR] [--minutes M]`; resumable.

Steps and accuracies come from the study, which may run beside other work. Seconds don't: `--times` measures the mean
step of every rival with its chosen settings, in turns in one process, and a run's seconds are its steps times that.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks.time_to_target import step_times
from benchmarks.time_to_target.problems import SCALES, Images, images
from benchmarks.time_to_target.tables import as_markdown
from benchmarks.time_to_target.trials import COMMAND, Scales, chosen_settings, next_trials, run_trial
from linnet.results import read_records, write_records
from papers.command import Command, Work
from papers.study import Finished, finished_trials


def main(arguments: list[str] | None = None) -> int:
    """Does what is left of the study, or measures the steps, and prints the tables."""
    command = Command(
        name="time_to_target",
        about=__doc__,
        scales=SCALES,
        data="fashion_mnist and cifar10_jpeg; without it the images are made patterns",
        work=_work,
        write=_write,
        time=_time,
        records=".",
        prog="python -m benchmarks.time_to_target",
    )
    return command.main(arguments)


def _work(scales: Scales, data: Path | None) -> Work:
    loaded = _loaded(scales, data)
    return Work(partial(next_trials, scales=scales), partial(run_trial, scales=scales, loaded=loaded), workers=0)


def _loaded(scales: Scales, data: Path | None) -> dict[str, Images]:
    return {name: images(name, scale, data) for name, scale in scales.items()}


def _time(scales: Scales, path: Path, data: Path | None) -> str:
    chosen = chosen_settings(finished_trials(path), scales)
    records = step_times.measure(chosen, scales, _loaded(scales, data), f"{COMMAND} --times")
    return f"The times of the steps are in {write_records(_times_path(path), records)}"


def _write(finished: Finished, scales: Scales, path: Path, folder: Path) -> list[str]:
    times = _times_path(path)
    return [as_markdown(finished, read_records(times) if times.exists() else [], scales)]


def _times_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}_times.jsonl")


if __name__ == "__main__":
    sys.exit(main())
