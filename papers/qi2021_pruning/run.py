"""The study of pruning while training: `python papers/qi2021_pruning/run.py --scale smoke|cpu|gpu`; resumable."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parents[1]) not in sys.path:  # started as a file: the folder `papers` must be found
    sys.path.insert(0, str(HERE.parents[1]))

import torch  # noqa: E402

from linnet.errors import InputError, LinnetError  # noqa: E402
from linnet.results import Record  # noqa: E402
from papers.qi2021_pruning import plan  # noqa: E402
from papers.qi2021_pruning.scales import SCALES, Scale  # noqa: E402
from papers.qi2021_pruning.timing import time_trial, time_trials  # noqa: E402
from papers.qi2021_pruning.training import run_trial  # noqa: E402
from papers.study import Outcome, carry_out, finished_trials  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Does the study, or what is left of it; gives the exit code."""
    asked = _parser().parse_args(arguments)
    scale = SCALES[asked.scale].quick() if asked.quick else SCALES[asked.scale]
    folder = asked.out or (Path("runs") / "qi2021_pruning")
    path = folder / "records" / f"{asked.scale}.jsonl"
    try:
        _require_gpu(scale, quick=asked.quick or asked.report)
        if asked.time:
            print(_told(_times(path, scale, asked.data)))
        elif not asked.report:
            print(_told(_study(path, scale, asked.data, asked.minutes)))
        return _write(path, scale, folder)
    except LinnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _require_gpu(scale: Scale, *, quick: bool) -> None:
    """Refuses days of work on a CPU.

    Raises:
        InputError: the scale is meant for a GPU, and torch sees none.
    """
    if scale.device == "auto" and not quick and not torch.cuda.is_available():
        raise InputError(
            f"--scale {scale.name} trains VGG-16 for {scale.epochs} epochs and torch sees no GPU. Take --scale cpu, or "
            "add --quick to see that it runs."
        )


def times_path(path: Path) -> Path:
    """Where the times of a study lie, beside its trainings."""
    return path.with_name(f"{path.stem}_ms.jsonl")


def _study(path: Path, scale: Scale, data: Path | None, minutes: float | None) -> Outcome:
    run = partial(run_trial, scale=scale, data=data)
    following = partial(plan.next_trials, scale=scale)
    return carry_out(path, following, run, workers=scale.workers, minutes=minutes, told=_tell)


def _times(path: Path, scale: Scale, data: Path | None) -> Outcome:
    networks = finished_trials(path)
    run = partial(time_trial, networks=networks, scale=scale, data=data)
    return carry_out(times_path(path), lambda _: time_trials(networks, scale), run, workers=0, told=_tell)


def _tell(record: Record, count: int) -> None:
    shown = "diverged" if record.value is None else f"{record.value:.4f}"
    print(f"{count:4} {record.context.get('wall_s', ''):6} s  {shown}  {record.context['trial']}", flush=True)


def _told(outcome: Outcome) -> str:
    """What was done, and what was cut when time was up."""
    lines = [f"{outcome.done_now} runs in {outcome.wall_s / 60:.1f} minutes; {len(outcome.finished)} are finished."]
    if outcome.left:
        stages = Counter(trial.stage for trial in outcome.left)
        cut = ", ".join(f"{count} of the stage {stage!r}" for stage, count in stages.items())
        lines.append(f"Cut, as time was up: {cut}, and what follows from them. The same command goes on.")
    return "\n".join(lines)


def _write(path: Path, scale: Scale, folder: Path) -> int:
    """The tables, pictures and the page of the records that are there."""
    from papers.qi2021_pruning import page, pictures, readme
    from papers.qi2021_pruning.findings import Study

    study = Study(scale, finished_trials(path), finished_trials(times_path(path)))
    if not study.trainings:
        print(f"error: there are no records in {path}.", file=sys.stderr)
        return 2
    pictures.draw(study, folder)
    print(f"The table is in {readme.write(study, folder / 'README.md')}")
    print(f"Next: open {page.write(study, folder / 'report.html')} in a browser.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("--scale", choices=tuple(SCALES), default="smoke", help="how large; see README.md")
    parser.add_argument("--data", type=Path, help="folder that holds fashion_mnist and cifar10_jpeg (or: LINNET_DATA)")
    parser.add_argument("--minutes", type=float, help="begin no run after so much time")
    parser.add_argument("--time", action="store_true", help="train nothing; measure the networks' ms, one thread")
    parser.add_argument("--out", type=Path, help="folder of records, tables, pictures (runs/qi2021_pruning)")
    parser.add_argument("--quick", action="store_true", help="128 images, two epochs: does it run? Claims nothing")
    parser.add_argument("--report", action="store_true", help="train nothing; write tables and pictures again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
