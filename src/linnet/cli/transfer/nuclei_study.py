"""`linnet nuclei study`: which images must a detector have seen?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from linnet.cli.next_step import closing
from linnet.cli.words import in_cli_words
from linnet.errors import InputError

if TYPE_CHECKING:
    from linnet.results import Record

_OUT = Path("study")


@in_cli_words
def study(
    plan: Path | None = None,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")] = _OUT,
    scale: Literal["smoke", "cpu", "gpu"] | None = None,
    data: Path | None = None,
    demo: bool = False,
    plan_only: Annotated[bool, Parameter(name="--plan", negative=())] = False,
    workers: int = 0,
    cluster: str | None = None,
    minutes: float | None = None,
) -> int:
    """Find out which images a detector must have seen: your own, how many of them, and whether others' help.

    Trains detectors on each group of images, on mixtures and on few images of a group, and tests all of them on every
    group. Leaves a record of each training and a page. When it is stopped, the same command goes on.

    Args:
        plan: A TOML file with the groups of images and the questions.
        out: Folder of the results; made when missing.
        scale: How large: smoke only shows that everything runs. By default cpu, with --demo smoke.
        data: Folder in which the plan's relative paths begin; by default the plan's.
        demo: Run a small plan on images that linnet makes; its plan can be changed and run again.
        plan_only: Print the trainings, the time and the disk that the study will take, and start nothing.
        workers: Processes that train side by side; the records are the same. 0 trains in this one.
        cluster: Address of a Dask scheduler whose workers train, such as tcp://host:8786.
        minutes: Begin no training after so many minutes.
    """
    from linnet.nuclei.transfer.demo import write_demo
    from linnet.nuclei.transfer.kept import keeping
    from linnet.nuclei.transfer.running import PLAN, make_folder, prepare, unfinished_of
    from linnet.nuclei.transfer.running import study as run_study
    from linnet.nuclei.transfer.trainings import told

    if demo and plan is not None:
        raise InputError("`demo` makes its own plan: leave the plan out, or leave `demo` out.")
    if plan is None and not demo:
        raise InputError("No plan was given. Name one, linnet nuclei study PLAN.toml, or see one: --demo")
    if plan is None:
        make_folder(out)
        existing = out / PLAN
        with keeping(existing):
            plan = existing if existing.is_file() else write_demo(out)
    size = scale or ("smoke" if demo else "cpu")
    again = f"linnet nuclei study {plan} --scale {size}{'' if data is None else f' --data {data}'} -o {out}"
    if plan_only:
        from linnet.nuclei.transfer.forecast import forecast
        from linnet.nuclei.transfer.running import check_request

        check_request(workers=workers, minutes=minutes, cluster=cluster)
        expected = forecast(prepare(plan, scale=size, data=data), workers=workers)
        print("\n".join(expected.lines()))
        closing(plan, again)
        return 0
    records = run_study(
        plan,
        out=out,
        scale=size,
        data=data,
        workers=workers,
        cluster=cluster,
        minutes=minutes,
        on_training=lambda record, count: print(_line(record, count, told(record)), flush=True),
    )
    if not records:
        print("No training was begun: `--minutes` left no time.")
        closing(out, "the same command with more time")
        return 0
    missing = unfinished_of(out)
    if missing:
        total = len(records) + missing
        print(f"{len(records)} of {total} trainings are finished; `--minutes` left no time for the others.")
        closing(out / "report.html", f"{again}, to go on")
        return 0
    print(f"{len(records)} trainings are finished.")
    then = f"open it in a browser; then put your images' folders into {out / PLAN}" if demo else "open it in a browser"
    closing(out / "report.html", then)
    return 0


def _line(record: Record, count: int, what: str) -> str:
    value = "-" if record.value is None else f"{record.value:.3f}"
    return f"{count:4}  {record.context['wall_s']:6} s  F1 {value}  {what}"
