"""The study of Padam: `python papers/chen2020_padam/run.py --scale smoke|cpu|gpu --data DIR`; resumable."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parents[1]) not in sys.path:  # started as a file: the folder `papers` must be found
    sys.path.insert(0, str(HERE.parents[1]))

from papers.chen2020_padam import plan  # noqa: E402
from papers.chen2020_padam.scales import SCALES, Scale  # noqa: E402
from papers.chen2020_padam.training import run_trial  # noqa: E402
from papers.command import Command, Work  # noqa: E402
from papers.study import Finished  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Does the study, or what is left of it; gives the exit code."""
    command = Command(
        name="chen2020_padam",
        about=__doc__,
        scales=SCALES,
        data="fashion_mnist and cifar10_jpeg (or: LINNET_DATA); smoke needs none",
        work=_work,
        write=_write,
        quick=Scale.quick,
        records=".",
    )
    return command.main(arguments)


def _work(scale: Scale, data: Path | None) -> Work:
    return Work(partial(plan.next_trials, scale=scale), partial(run_trial, scale=scale, data=data), scale.workers)


def _write(finished: Finished, scale: Scale, records: Path, folder: Path) -> list[str]:
    from papers.chen2020_padam.report import page, pictures, readme
    from papers.page import write

    drawn = pictures.drawable(finished, scale)
    return write(folder, readme.text(finished, scale), drawn, page.text(finished, scale))


if __name__ == "__main__":
    sys.exit(main())
