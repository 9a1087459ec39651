"""What the `run.py` of every study does: the study, or what is left of it, then its tables, pictures and page."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from linnet.errors import InputError, LinnetError
from linnet.results import Record
from papers.study import Finished, NextTrials, Outcome, Trial, carry_out, finished_trials

S = TypeVar("S")


@dataclass(frozen=True)
class Work:
    """A study at one scale.

    Attributes:
        next_trials: What can be done, given what is finished.
        run: Does one trial: a function of a module, as worker processes must find it by name.
        workers: Processes with one thread each; 0 does the trials in this process.
        checkpoints: Whether `run` takes a folder `checkpoints=`, from which a trial that was killed goes on.
    """

    next_trials: NextTrials
    run: Callable[..., Record]
    workers: int
    checkpoints: bool = False


@dataclass(frozen=True)
class Command(Generic[S]):
    """The command of a study.

    Attributes:
        name: Results go to `runs/NAME` where no folder is given.
        about: What `--help` begins with.
        scales: How large the study may be, by name.
        data: What the folder of `--data` holds.
        work: From a scale and the folder of the data to the trials.
        write: Writes what the records of a scale say into a folder, the file of the records given too; gives what is
            printed, a line each.
        time: Measures times once the trials are done, from the scale, the file of the records and the folder of the
            data; gives what is printed. None: the study has no `--time`.
        quick: Makes a scale so small that it shows no more than that everything runs; None: there is no `--quick`.
        needs: Raises where this machine can't do a scale.
        records: Where in the folder of the results the records lie.
        prog: How it is called.
    """

    name: str
    about: str | None
    scales: Mapping[str, S]
    data: str
    work: Callable[[S, Path | None], Work]
    write: Callable[[Finished, S, Path, Path], list[str]]
    time: Callable[[S, Path, Path | None], str] | None = None
    quick: Callable[[S], S] | None = None
    needs: Callable[[S], None] = lambda scale: None
    records: str = "records"
    prog: str = "run.py"

    def main(self, arguments: list[str] | None = None) -> int:
        """Does the study, or what is left of it; gives the exit code."""
        asked = self._parser().parse_args(arguments)
        scale = self.scales[asked.scale]
        try:
            if self.quick is not None and asked.quick:
                scale = self.quick(scale)
            elif not asked.report:
                self.needs(scale)
            path = asked.out / self.records / f"{asked.scale}.jsonl"
            if self.time is not None and asked.time:
                print(self.time(scale, path, asked.data))
            elif not asked.report:
                print(told(self._carried_out(scale, path, asked)))
            finished = finished_trials(path)
            if not finished:
                raise InputError(f"there are no records in {path}.")
            print("\n".join(self.write(finished, scale, path, asked.out)))
        except LinnetError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        return 0

    def _carried_out(self, scale: S, path: Path, asked: argparse.Namespace) -> Outcome:
        work = self.work(scale, asked.data)
        workers = work.workers if asked.workers is None else asked.workers
        begun = Begun(work.run, path.with_name(f"{path.stem}_checkpoints") if work.checkpoints else None)
        return carry_out(path, work.next_trials, begun, workers=workers, minutes=asked.minutes, told=begun.ended)

    def _parser(self) -> argparse.ArgumentParser:
        parser = argparse.ArgumentParser(prog=self.prog, description=self.about)
        out = Path("runs") / self.name
        parser.add_argument("--scale", choices=tuple(self.scales), default="smoke", help="how large; see README.md")
        parser.add_argument("--data", type=Path, help=f"folder that holds {self.data}")
        parser.add_argument("--minutes", type=float, help="begin no trial after so much time")
        parser.add_argument("--workers", type=int, help="processes of one thread; 0: in this one")
        parser.add_argument("--out", type=Path, default=out, help=f"folder of records, tables and pictures ({out})")
        parser.add_argument("--report", action="store_true", help="train nothing; write tables and pictures again")
        if self.time is not None:
            parser.add_argument("--time", "--times", action="store_true", help="train nothing; measure times, apart")
        if self.quick is not None:
            parser.add_argument("--quick", action="store_true", help="few images and epochs: does it run? No claim")
        return parser


@dataclass(frozen=True)
class Begun:
    """Does trials, each with its own folder for checkpoints, which goes once the record is kept.

    Attributes:
        run: Does one trial.
        folder: Of the folders; None: trials keep no checkpoints.
    """

    run: Callable[..., Record]
    folder: Path | None

    def __call__(self, trial: Trial) -> Record:
        """The record of a trial."""
        return self.run(trial) if self.folder is None else self.run(trial, checkpoints=self._own(trial.key))

    def ended(self, record: Record, count: int) -> None:
        """Prints a line for a trial that is finished, and takes its checkpoints away."""
        tell(record, count)
        if self.folder is not None:
            shutil.rmtree(self._own(str(record.context["trial"])), ignore_errors=True)

    def _own(self, key: str) -> Path:
        assert self.folder is not None
        return self.folder / hashlib.sha256(key.encode()).hexdigest()[:16]


def tell(record: Record, count: int) -> None:
    """Prints a line for a trial that is finished."""
    without = "refused" if "refused" in record.context else "diverged"
    shown = without if record.value is None else f"{record.value:.4g}"
    print(f"{count:4} {record.context.get('wall_s', ''):6} s  {shown}  {record.context['trial']}", flush=True)


def told(outcome: Outcome) -> str:
    """What was done, and what was cut when time was up."""
    lines = [f"{outcome.done_now} runs in {outcome.wall_s / 60:.1f} minutes; {len(outcome.finished)} are finished."]
    if outcome.left:
        stages = Counter(trial.stage for trial in outcome.left)
        cut = ", ".join(f"{count} of the stage {stage!r}" for stage, count in stages.items())
        lines.append(f"Cut, as time was up: {cut}, and what follows from them. The same command goes on.")
    return "\n".join(lines)
