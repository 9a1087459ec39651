"""What a batch does one after the other: an image, or a page of one, each with a name for its results."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from linnet.errors import ImageError
from linnet.nuclei.read.find import Failure, stems
from linnet.nuclei.read.images import page_count


@dataclass(frozen=True)
class Job:
    """One picture to search.

    Attributes:
        image: Its file.
        stem: Name of its results.
        page: Which page of the file; None for a file that is searched as one.
    """

    image: Path
    stem: str
    page: int | None = None


def jobs(
    images: Sequence[Path], page: int | Literal["all"] | None, folders: Sequence[Path] = ()
) -> tuple[list[Job], list[Failure]]:
    """The jobs of a batch in order; with "all" each page of a file of several is one, with the page in its name.

    Args:
        images: The files.
        page: The page of each file that is searched, or "all".
        folders: For each file the folder of its results inside that of the batch; empty: all in one.

    Returns:
        (jobs, failures): a file whose pages can't be counted gives no job.
    """
    named = [Job(image, stem, page if isinstance(page, int) else None) for image, stem in _named(images, folders)]
    if page != "all":
        return named, []
    found: list[Job] = []
    failures: list[Failure] = []
    for job in named:
        try:
            count = page_count(job.image)
        except ImageError as error:
            failures.append(Failure(str(job.image), str(error).removeprefix(f"{job.image}: ")))
            continue
        width = len(str(count - 1))
        several = (replace(job, stem=f"{job.stem}.page{k:0{width}d}", page=k) for k in range(count))
        found += [job] if count == 1 else several
    return found, failures


def _named(images: Sequence[Path], folders: Sequence[Path]) -> list[tuple[Path, str]]:
    if not folders:
        return list(zip(images, stems(images), strict=True))
    inside: dict[Path, list[Path]] = {}
    for image, folder in zip(images, folders, strict=True):
        inside.setdefault(folder, []).append(image)
    name = {
        image: (folder / stem).as_posix()
        for folder, members in inside.items()
        for image, stem in zip(members, stems(members), strict=True)
    }
    return [(image, name[image]) for image in images]
