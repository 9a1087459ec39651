"""The study of training images for nuclei: `run.py --scale smoke|cpu|gpu --data DIR`; resumable."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parents[1]) not in sys.path:  # started as a file: the folder `papers` must be found
    sys.path.insert(0, str(HERE.parents[1]))

from linnet.data import data_root  # noqa: E402
from linnet.errors import InputError  # noqa: E402
from linnet.nuclei.transfer.description import Description, keep_or_refuse  # noqa: E402
from linnet.nuclei.transfer.findings import Findings  # noqa: E402
from linnet.nuclei.transfer.running import prepare  # noqa: E402
from linnet.nuclei.transfer.training import run_training  # noqa: E402
from papers.command import Command, Work  # noqa: E402
from papers.study import Finished  # noqa: E402

NAME = "xing2019_nuclei"
SCALES = {name: name for name in ("smoke", "cpu", "gpu")}


def main(arguments: list[str] | None = None) -> int:
    """Does the study, or what is left of it; gives the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    command = Command(
        name=NAME,
        about=__doc__,
        scales=SCALES,
        data="nuclei_dsb2018, nuclei_tnbc and research_only/nuclei_monuseg (or: LINNET_DATA)",
        work=partial(_work, out=_out(given)),
        write=_write,
    )
    return command.main(arguments)


def _out(given: list[str]) -> Path:
    """The folder of the results, which holds the networks too."""
    places = [k for k, word in enumerate(given[:-1]) if word == "--out"]
    return Path(given[places[-1] + 1]) if places else Path("runs") / NAME


def _described(records: Path) -> Path:
    """The description of the study beside its records."""
    return records.with_suffix(".study.json")


def _work(scale: str, root: Path | None, *, out: Path) -> Work:
    prepared = prepare(HERE / "plan.toml", scale=scale, data=root or data_root())
    records = out / "records" / f"{scale}.jsonl"
    records.parent.mkdir(parents=True, exist_ok=True)
    keep_or_refuse(_described(records), prepared.description)
    run = partial(run_training, plan=prepared.plan, out=(out / scale).resolve())
    return Work(prepared.trainings.next_trials, run, workers=0)


def _write(finished: Finished, scale: str, records: Path, folder: Path) -> list[str]:
    from papers.page import write
    from papers.xing2019_nuclei.report import page, pictures, readme

    if not _described(records).exists():
        raise InputError(f"{_described(records)} must lie beside the records, to say what they are of (it is missing).")
    found = Findings(finished, Description.from_json(_described(records).read_text(encoding="utf-8")))
    return write(folder, readme.text(found, scale), pictures.drawable(found), page.text(found, scale))


if __name__ == "__main__":
    sys.exit(main())
