"""The study as a whole: plan, checks, trainings, records, page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from linnet.engine.trials.cluster import cluster_size, dask_cluster
from linnet.engine.trials.execution import carry_out
from linnet.engine.trials.trial import Finished, finished_trials
from linnet.errors import InputError
from linnet.nuclei.transfer.description import Description, describe, keep_or_refuse
from linnet.nuclei.transfer.findings import Findings
from linnet.nuclei.transfer.groups import Group, read_groups
from linnet.nuclei.transfer.kept import check_records, keeping
from linnet.nuclei.transfer.overlap import checked_images
from linnet.nuclei.transfer.plan import StudyPlan, read_plan
from linnet.nuclei.transfer.report.page import PAGE, write_pages
from linnet.nuclei.transfer.training import run_training
from linnet.nuclei.transfer.trainings import Trainings, trainings_of
from linnet.results import Record, atomic_write
from linnet.suggest import is_number, is_whole

RECORDS, DESCRIPTION, PLAN = "record.jsonl", "study.json", "plan.toml"


def study(
    plan: str | Path,
    *,
    out: str | Path = "study",
    scale: str = "cpu",
    data: str | Path | None = None,
    workers: int = 0,
    cluster: str | None = None,
    minutes: float | None = None,
    on_training: Callable[[Record, int], None] = lambda record, count: None,
) -> list[Record]:
    """Which images must a detector have seen? Trains on each group, on mixtures and on few images.

    Each training is tested on the test images of every group. The folder then holds `record.jsonl` (a record of each
    training), `report.html`, `report.md`, `plan.toml`, `study.json` and the networks. The same call goes on after a
    kill, at the trainings that have no record yet.

    Args:
        plan: A TOML file with the groups of images; see docs/howto/nuclei_study.md.
        out: Folder of the results; made when missing.
        scale: "smoke", "cpu" or "gpu": how large.
        data: Folder in which the plan's relative paths begin; None: the plan's.
        workers: Processes that train side by side; 0 trains in this process. The records are the same.
        cluster: Address of a Dask scheduler whose workers train instead; they need the same paths.
        minutes: No training is begun after so much time; None: all are done.
        on_training: Called with each new record and the number of finished trainings.

    Returns:
        All records, those of earlier calls among them.

    Raises:
        RecipeError: the plan can't be used.
        InputError: the images can't be used, share pictures, or the folder holds another study.
        TrainingError: a worker died, or a record can't be written; what was finished stays.
    """
    check_request(workers=workers, minutes=minutes, cluster=cluster)
    prepared = prepare(plan, scale=scale, data=data)
    folder = Path(out)
    begin(prepared, folder)
    check_records(folder / RECORDS, finished_trials(folder / RECORDS), prepared.description)
    count = workers if cluster is None else cluster_size(cluster)
    outcome = carry_out(
        folder / RECORDS,
        prepared.trainings.next_trials,
        partial(run_training, plan=prepared.plan, out=folder.resolve()),
        workers=count,
        minutes=minutes,
        told=on_training,
        pool=None if cluster is None else partial(dask_cluster, cluster),
    )
    write_report(folder, outcome.finished, prepared.description, prepared.groups)
    return list(outcome.finished.values())


@dataclass(frozen=True)
class Prepared:
    """A study that is ready to begin.

    Attributes:
        plan: Read.
        groups: By name.
        pixels: Of all images.
        trainings: Which there are.
        description: In plain values.
    """

    plan: StudyPlan
    groups: Mapping[str, Group]
    pixels: int
    trainings: Trainings
    description: Description


def check_request(*, workers: int, minutes: float | None, cluster: str | None) -> None:
    """Refuses numbers that mean nothing.

    Raises:
        InputError: the number of workers or of minutes is below 0 or no number, or a cluster has workers of its own.
    """
    if not is_whole(workers, 0):
        raise InputError(f"`workers` must be a whole number of at least 0 (got {workers}).")
    if workers and cluster is not None:
        raise InputError(f"`workers` must be left out with `cluster`, whose own workers train (got {workers}).")
    if minutes is not None and not is_number(minutes, 0):
        raise InputError(f"`minutes` must be a finite number of at least 0 (got {minutes}).")


def prepare(plan: str | Path, *, scale: str = "cpu", data: str | Path | None = None) -> Prepared:
    """A plan with its groups, after all checks; nothing is written.

    Raises:
        As `study`.
    """
    read = read_plan(plan, scale=scale, data=data)
    groups = read_groups(read)
    checked = checked_images(groups, alike=read.settings.alike)
    description = describe(read, groups, checked.digests)
    return Prepared(read, groups, checked.pixels, trainings_of(read, groups), description)


def begin(prepared: Prepared, folder: Path) -> None:
    """Makes the folder of a study, or checks that it holds this study.

    Raises:
        InputError: it holds another one.
    """
    make_folder(folder)
    plan = folder / PLAN
    with keeping(folder / DESCRIPTION):
        keep_or_refuse(folder / DESCRIPTION, prepared.description)
        if not (plan.exists() and plan.samefile(prepared.plan.path)):
            atomic_write(plan, prepared.plan.text)


def make_folder(folder: Path) -> None:
    """Makes the folder of the results where it isn't there.

    Raises:
        InputError: a file is in its way, or it can't be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"`out` must be a folder, or a path at which one can be made (got {folder}: {error.strerror})."
        ) from error


def write_report(
    folder: Path, finished: Finished, description: Description, groups: Mapping[str, Group] | None = None
) -> None:
    """Writes `report.html` and `report.md` from records; nothing where there are none.

    Args:
        folder: Of the study.
        finished: The records.
        description: What they are of.
        groups: For pictures of the worst transfer; None leaves them out.
    """
    if finished:
        with keeping(folder / PAGE):
            write_pages(folder, Findings(finished, description), groups)


def unfinished_of(folder: Path) -> int:
    """How many trainings of a study have no record yet.

    Args:
        folder: Of a study that has begun.
    """
    description = Description.from_json((folder / DESCRIPTION).read_text(encoding="utf-8"))
    found = Findings(finished_trials(folder / RECORDS), description)
    return sum(found.planned.values()) - sum(found.done.values())
