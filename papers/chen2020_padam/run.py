"""The study of Padam: `python papers/chen2020_padam/run.py --scale smoke|cpu|gpu --data DIR`; resumable."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parents[1]) not in sys.path:  # started as a file: the folder `papers` must be found
    sys.path.insert(0, str(HERE.parents[1]))

from linnet.errors import LinnetError  # noqa: E402
from linnet.results import Record  # noqa: E402
from papers.chen2020_padam import plan  # noqa: E402
from papers.chen2020_padam.scales import SCALES, Scale  # noqa: E402
from papers.chen2020_padam.training import run_trial  # noqa: E402
from papers.study import Finished, Outcome, carry_out, finished_trials  # noqa: E402

RECORDS = HERE / "records"
"""Where the committed records lie, a file for each scale."""


def main(arguments: list[str] | None = None) -> int:
    """Does the study, or what is left of it; gives the exit code."""
    asked = _parser().parse_args(arguments)
    scale = SCALES[asked.scale].quick() if asked.quick else SCALES[asked.scale]
    folder = asked.out or (Path("runs") / "chen2020_padam")
    path = folder / f"{asked.scale}.jsonl"
    try:
        if not asked.report:
            outcome = _study(path, scale, asked.data, asked.minutes)
            print(_told(outcome, scale))
        return _write(path, scale, folder)
    except LinnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _study(path: Path, scale: Scale, data: Path | None, minutes: float | None) -> Outcome:
    run = partial(run_trial, scale=scale, data=data)
    following = partial(plan.next_trials, scale=scale)
    return carry_out(path, following, run, workers=scale.workers, minutes=minutes, told=_tell)


def _tell(record: Record, count: int) -> None:
    shown = "diverged" if record.value is None else f"{record.value:.4f}"
    print(f"{count:4} {record.context['wall_s']:6} s  {shown}  {record.context['trial']}", flush=True)


def _told(outcome: Outcome, scale: Scale) -> str:
    """What was done, and what was cut when time was up."""
    lines = [f"{outcome.done_now} runs in {outcome.wall_s / 60:.1f} minutes; {len(outcome.finished)} are finished."]
    if outcome.left:
        stages = Counter(trial.stage for trial in outcome.left)
        cut = ", ".join(f"{count} of the stage {stage!r}" for stage, count in stages.items())
        lines.append(f"Cut, as time was up: {cut}, and what follows from them. The same command goes on.")
    return "\n".join(lines)


def _write(path: Path, scale: Scale, folder: Path) -> int:
    """The tables, pictures and the page of the records that are there."""
    from papers.chen2020_padam import page, pictures, readme

    finished: Finished = finished_trials(path)
    if not finished:
        print(f"error: there are no records in {path}.", file=sys.stderr)
        return 2
    pictures.draw(finished, scale, folder)
    print(f"The table is in {readme.write(finished, scale, folder / 'README.md')}")
    print(f"Next: open {page.write(finished, scale, folder / 'report.html')} in a browser.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("--scale", choices=tuple(SCALES), default="smoke", help="how large; see README.md")
    parser.add_argument("--data", type=Path, help="folder that holds fashion_mnist and cifar10_jpeg; smoke needs none")
    parser.add_argument("--minutes", type=float, help="begin no run after so much time")
    parser.add_argument("--out", type=Path, help="folder of records, tables and pictures (runs/chen2020_padam)")
    parser.add_argument("--quick", action="store_true", help="320 images, one epoch: does it run? Claims nothing")
    parser.add_argument("--report", action="store_true", help="train nothing; write tables and pictures again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
