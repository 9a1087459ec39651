"""The study of pruning while training: `python papers/qi2021_pruning/run.py --scale smoke|cpu|gpu`; resumable."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parents[1]) not in sys.path:  # started as a file: the folder `papers` must be found
    sys.path.insert(0, str(HERE.parents[1]))

import torch  # noqa: E402

from linnet.errors import InputError  # noqa: E402
from papers.command import Command, Work, tell, told  # noqa: E402
from papers.qi2021_pruning import plan  # noqa: E402
from papers.qi2021_pruning.scales import SCALES, Scale  # noqa: E402
from papers.qi2021_pruning.timing import time_trial, time_trials  # noqa: E402
from papers.qi2021_pruning.training import run_trial  # noqa: E402
from papers.study import Finished, carry_out, finished_trials  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Does the study, or what is left of it; gives the exit code."""
    command = Command(
        name="qi2021_pruning",
        about=__doc__,
        scales=SCALES,
        data="fashion_mnist and cifar10_jpeg (or: LINNET_DATA); smoke needs none",
        work=_work,
        write=_write,
        time=_time,
        quick=Scale.quick,
        needs=_require_gpu,
    )
    return command.main(arguments)


def times_path(path: Path) -> Path:
    """Where the times of a study lie, beside its trainings."""
    return path.with_name(f"{path.stem}_ms.jsonl")


def _require_gpu(scale: Scale) -> None:
    """Refuses days of work on a CPU.

    Raises:
        InputError: the scale is meant for a GPU, and torch sees none.
    """
    if scale.device == "auto" and not torch.cuda.is_available():
        raise InputError(
            f"--scale {scale.name} trains VGG-16 for {scale.epochs} epochs and torch sees no GPU. Take --scale cpu, or "
            "add --quick to see that it runs."
        )


def _work(scale: Scale, data: Path | None) -> Work:
    return Work(partial(plan.next_trials, scale=scale), partial(run_trial, scale=scale, data=data), scale.workers)


def _time(scale: Scale, path: Path, data: Path | None) -> str:
    networks = finished_trials(path)
    run = partial(time_trial, networks=networks, scale=scale, data=data)
    return told(carry_out(times_path(path), lambda _: time_trials(networks, scale), run, workers=0, told=tell))


def _write(finished: Finished, scale: Scale, path: Path, folder: Path) -> list[str]:
    from papers.page import write
    from papers.qi2021_pruning.report import page, pictures, readme
    from papers.qi2021_pruning.report.findings import Study

    study = Study(scale, finished, finished_trials(times_path(path)))
    return write(folder, readme.text(study), pictures.drawable(study), page.text(study))


if __name__ == "__main__":
    sys.exit(main())
