"""The study of pruning while training: `python papers/qi2021_pruning/run.py --scale NAME`.

NAME is smoke, cpu, gpu, headline or headline_full. The study is resumable: by finished trainings, and the headline by
checkpoints inside a training, too.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from papers.qi2021_pruning.report.findings import Study


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
    if scale.name == "gpu" and not torch.cuda.is_available():
        raise InputError(
            f"--scale {scale.name} trains VGG-16 for {scale.epochs} epochs and torch sees no GPU. Take --scale cpu, or "
            "add --quick to see that it runs."
        )


def _work(scale: Scale, data: Path | None) -> Work:
    scale = scale.on_this_machine()
    return Work(
        partial(plan.next_trials, scale=scale),
        partial(run_trial, scale=scale, data=data),
        scale.workers,
        checkpoints=scale.checkpoint_steps > 0,
    )


def _time(scale: Scale, path: Path, data: Path | None) -> str:
    networks = finished_trials(path)
    scale = scale.on_this_machine()
    run = partial(time_trial, networks=networks, scale=scale, data=data)
    return told(carry_out(times_path(path), lambda _: time_trials(networks, scale), run, workers=0, told=tell))


def _write(finished: Finished, scale: Scale, path: Path, folder: Path) -> list[str]:
    from papers.page import write
    from papers.qi2021_pruning.report import page, pictures, readme
    from papers.qi2021_pruning.report.headline import is_headline

    headlines = headlines_beside(path)
    study = studied(path.with_name("cpu.jsonl")) if is_headline(scale.name) else replace(studied(path), scale=scale)
    drawn = {} if study is None else pictures.drawable(study)
    return write(folder, readme.text(study, headlines), drawn, page.text(study, headlines))


def headlines_beside(path: Path) -> list[Study]:
    """The scales of the headline whose records lie in the folder of a file."""
    from papers.qi2021_pruning.report.headline import is_headline

    return [found for name in SCALES if is_headline(name) and (found := studied(path.with_name(f"{name}.jsonl")))]


def studied(path: Path) -> Study | None:
    """The study whose records lie in a file; None where there are none."""
    from papers.qi2021_pruning.report.findings import Study

    finished = finished_trials(path)
    if not finished:
        return None
    return Study(SCALES[path.stem].on_this_machine(), finished, finished_trials(times_path(path)))


if __name__ == "__main__":
    sys.exit(main())
