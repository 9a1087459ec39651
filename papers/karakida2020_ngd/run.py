"""The study of approximate Fisher information: `run.py --scale smoke|cpu|gpu --data DIR`; resumable."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

HERE = Path(__file__).resolve().parent
if str(HERE.parents[1]) not in sys.path:  # started as a file: the folder `papers` must be found
    sys.path.insert(0, str(HERE.parents[1]))

from linnet.errors import LinnetError  # noqa: E402
from linnet.results import Record  # noqa: E402
from papers.karakida2020_ngd.problem import SCALES  # noqa: E402
from papers.karakida2020_ngd.trials import next_trials, run_trial  # noqa: E402
from papers.study import carry_out, finished_trials  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    """Does the study, or what is left of it; gives the exit code."""
    asked = _parser().parse_args(arguments)
    scale = SCALES[asked.scale]
    data = "digits" if scale.name == "smoke" and asked.data is None else "mnist"
    path = asked.out / "records" / f"{scale.name}.jsonl"
    try:
        if not asked.report:
            outcome = carry_out(
                path,
                partial(next_trials, scale=scale, data=data),
                partial(run_trial, scale=scale, data=data, root=asked.data),
                workers=scale.workers if asked.workers is None else asked.workers,
                minutes=asked.minutes,
                told=_tell,
            )
            print(f"{outcome.done_now} trials in {outcome.wall_s / 60:.1f} minutes; {len(outcome.left)} are left.")
        return _write(path, asked.out)
    except LinnetError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _tell(record: Record, count: int) -> None:
    shown = "refused" if record.value is None else f"{record.value:.4g}"
    print(f"{count:4} {record.context['wall_s']:6} s  {shown}  {record.context['trial']}", flush=True)


def _write(path: Path, folder: Path) -> int:
    from papers.karakida2020_ngd import pictures, readme

    finished = finished_trials(path)
    if not finished:
        print(f"error: there are no records in {path}.", file=sys.stderr)
        return 2
    shown = pictures.draw(finished, folder / "pictures")
    print(f"The table is in {readme.write(finished, folder / 'README.md')}")
    print(f"Next: open {pictures.write_page(finished, shown, folder / 'report.html')} in a browser.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("--scale", choices=tuple(SCALES), default="smoke", help="how large; see README.md")
    parser.add_argument("--data", type=Path, help="folder that holds mnist and cifar10_jpeg; smoke needs none")
    parser.add_argument("--minutes", type=float, help="begin no trial after so much time")
    parser.add_argument("--workers", type=int, help="processes of one thread; 0: in this one")
    parser.add_argument("--out", type=Path, default=Path("runs") / "karakida2020_ngd", help="folder of what is written")
    parser.add_argument("--report", action="store_true", help="measure nothing; write tables and pictures again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
