"""The study of hatched ensembles at equal compute: `run.py --scale smoke|cpu --data DIR`; resumable."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parents[1]) not in sys.path:  # started as a file: the folder `papers` must be found
    sys.path.insert(0, str(HERE.parents[1]))

from papers.command import Command, Work  # noqa: E402
from papers.study import Finished  # noqa: E402
from papers.xia2021_hatch.scales import SCALES, Scale  # noqa: E402
from papers.xia2021_hatch.trials import next_trials, run_trial  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Does the study, or what is left of it; gives the exit code."""
    command = Command(
        name="xia2021_hatch",
        about=__doc__,
        scales=SCALES,
        data="fashion_mnist, mnist and cifar10_jpeg (or: LINNET_DATA); smoke needs none",
        work=_work,
        write=_write,
    )
    return command.main(arguments)


def _work(scale: Scale, root: Path | None) -> Work:
    return Work(partial(next_trials, scale=scale), partial(run_trial, scale=scale, root=root), scale.workers)


def _write(finished: Finished, scale: Scale, records: Path, folder: Path) -> list[str]:
    from papers.page import write
    from papers.xia2021_hatch.report import page, pictures, readme

    return write(folder, readme.text(finished, scale), pictures.drawable(finished, scale), page.text(finished, scale))


if __name__ == "__main__":
    sys.exit(main())
