"""The study of jets: `python papers/simons2021_jets/run.py --scale smoke|cpu|gpu`; resumable."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parents[1]) not in sys.path:  # started as a file: the folder `papers` must be found
    sys.path.insert(0, str(HERE.parents[1]))

from linnet.jet.verilog.tools import tool  # noqa: E402
from papers.command import Command, Work  # noqa: E402
from papers.simons2021_jets.plan import next_trials  # noqa: E402
from papers.simons2021_jets.scales import SCALES, Scale  # noqa: E402
from papers.simons2021_jets.training import run_trial  # noqa: E402
from papers.study import Finished  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Does the study, or what is left of it; gives the exit code."""
    command = Command(
        name="simons2021_jets",
        about=__doc__,
        scales=SCALES,
        data="mnist, deeppcb and research_only/magnetic_tile (or: LINNET_DATA); smoke needs none",
        work=_work,
        write=_write,
        needs=_needs,
    )
    return command.main(arguments)


def _work(scale: Scale, data: Path | None) -> Work:
    return Work(partial(next_trials, scale=scale), partial(run_trial, scale=scale, data=data), scale.workers)


def _needs(scale: Scale) -> None:
    """LUTs are counted by yosys."""
    if scale.mapped:
        tool("yosys")


def _write(finished: Finished, scale: Scale, records: Path, folder: Path) -> list[str]:
    from papers.page import write
    from papers.simons2021_jets.report import page, pictures, readme
    from papers.simons2021_jets.report.findings import Study

    study = Study(scale, finished)
    return write(folder, readme.text(study), pictures.drawable(study), page.text(study))


if __name__ == "__main__":
    sys.exit(main())
