"""The study of pathological spectra: `run.py --scale smoke|cpu|gpu [--data DIR]`; resumable."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parents[1]) not in sys.path:  # started as a file: the folder `papers` must be found
    sys.path.insert(0, str(HERE.parents[1]))

from papers.command import Command, Work  # noqa: E402
from papers.karakida2021_spectra.problems import SCALES, Scale  # noqa: E402
from papers.karakida2021_spectra.trials import next_trials, run_trial  # noqa: E402
from papers.study import Finished  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Does the study, or what is left of it; gives the exit code."""
    command = Command(
        name="karakida2021_spectra",
        about=__doc__,
        scales=SCALES,
        data="fashion_mnist (or: LINNET_DATA); smoke needs none",
        work=_work,
        write=_write,
    )
    return command.main(arguments)


def _work(scale: Scale, root: Path | None) -> Work:
    return Work(partial(next_trials, scale=scale), partial(run_trial, scale=scale, root=root), scale.workers)


def _write(finished: Finished, scale: Scale, records: Path, folder: Path) -> list[str]:
    from papers.karakida2021_spectra.report import pictures, readme
    from papers.page import write

    return write(folder, readme.text(finished, scale), pictures.drawable(finished), readme.html(finished))


if __name__ == "__main__":
    sys.exit(main())
