"""Which images a command means: files, folders and patterns become one list of files, each with a name for its
results."""

import glob
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from linnet.errors import ImageError
from linnet.nuclei.read.formats import SUFFIXES, is_image_name, is_zarr, stem_of


@dataclass(frozen=True)
class Failure:
    """An image that gave no result, and why."""

    image: str
    error: str


OVERLAY = ".overlay.png"
OWN_MARK = "linnet: nuclei found"
"""Text in a picture that linnet drew of its results."""

_BY_NAME = "no image by its name: "
_OWN = "a picture that linnet drew of earlier results"
_INSIDE = "a folder inside the one that was named: `recursive` takes its images too"
_KINDS = 5  # endings that a sentence names
# Names that the files of a whole batch have.
_TAKEN = ("counts", "failed", "report", "run")


def find_images(paths: Sequence[str | Path], *, recursive: bool = False) -> tuple[list[Path], list[Failure]]:
    """Files that are meant by files, folders and patterns like `plate/*.tif`.

    Of a folder its images are taken, not those of folders inside it unless that is said.

    Args:
        paths: In the order wanted; a file that is named twice is taken once.
        recursive: Takes the images of folders inside folders too.

    Returns:
        (files, failures): what couldn't be resolved is a failure, so that a batch can go on with the others.

    Raises:
        ImageError: not one file is meant by all of them; says what was found.
    """
    found: list[Path] = []
    failures: list[Failure] = []
    for path in paths:
        try:
            found += _expanded(Path(path), recursive=recursive)
        except ImageError as error:
            failures.append(Failure(str(path), str(error).removeprefix(f"{path}: ")))
    unique: dict[str, Path] = {}
    for path in found:
        unique.setdefault(_key(path), path)
    if not unique:
        what = (
            f"{failures[0].image}: {failures[0].error}"
            if failures
            else "No image was named. Name files or a folder, like plate/*.tif."
        )
        raise ImageError(what)
    return list(unique.values()), failures


def stems(paths: Sequence[Path]) -> list[str]:
    """A name for the results of each image: its own without the ending; where it is taken, with -2, -3, ...

    Example:
        >>> stems([Path("a/x.png"), Path("b/x.tif"), Path("counts.png")])
        ['x', 'x-2', 'counts-2']
    """
    used: set[str] = set(_TAKEN)
    names = []
    for path in paths:
        stem = stem_of(path)
        name, number = stem, 2
        while name.lower() in used:  # lower: some disks don't tell A from a
            name, number = f"{stem}-{number}", number + 1
        used.add(name.lower())
        names.append(name)
    return names


def folders_of(files: Sequence[Path], places: Sequence[str | Path]) -> list[Path]:
    """For each file the folder that it lies in, inside the one that was named; "." for a file named by itself."""
    roots = [Path(place) for place in places if Path(place).is_dir() and not _is_image_folder(Path(place))]
    found = []
    for file in files:
        root = next((root for root in roots if file.is_relative_to(root)), None)
        found.append(Path() if root is None else file.parent.relative_to(root))
    return found


def skipped(places: Sequence[str | Path], *, recursive: bool) -> list[Failure]:
    """What lies in the folders that were named and isn't searched, with the reason; hidden files aren't listed."""
    folders = [Path(place) for place in places if Path(place).is_dir() and not _is_image_folder(Path(place))]
    found = []
    for folder in folders:
        for place in _files(folder, recursive=recursive):
            if not _is_image(place):
                found.append(Failure(str(place), f"{_BY_NAME}{place.suffix.lower() or 'no ending'}"))
            elif is_own_picture(place):
                found.append(Failure(str(place), _OWN))
        if not recursive:
            found += [Failure(str(place), _INSIDE) for place in _folders(folder)]
    return found


def left_out(those: Sequence[Failure]) -> str:
    """A sentence on what was skipped; empty where nothing was."""
    kinds = Counter(one.error.removeprefix(_BY_NAME) for one in those if one.error.startswith(_BY_NAME))
    own, inside = (sum(one.error == reason for one in those) for reason in (_OWN, _INSIDE))
    words = []
    if n := kinds.total():
        shown = ", ".join(f"{n} with {kind}" for kind, n in kinds.most_common(_KINDS))
        words.append(f"{n} file{'s' * (n > 1)} left out, no image{'s' * (n > 1)} by name: {shown}")
    if own:
        words.append(f"{own} picture{'s' * (own > 1)} left out that linnet drew of earlier results")
    if inside:
        words.append(f"{inside} folder{'s' * (inside > 1)} inside left out; `recursive` takes what is in them too")
    return "; ".join(words)


def _folders(folder: Path) -> list[Path]:
    """Folders in a folder that are no images themselves."""
    return sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != "." and not _is_image_folder(p))


def _files(folder: Path, *, recursive: bool) -> list[Path]:
    """Files of a folder, and folders in it that are images; nothing inside those."""
    found = []
    for place in sorted(folder.iterdir()):
        if place.name.startswith("."):
            continue
        if place.is_file() or _is_image_folder(place) or not place.exists():  # the last: a link that leads nowhere
            found.append(place)
        elif recursive and place.is_dir():
            found += _files(place, recursive=True)
    return found


def _is_image(place: Path) -> bool:
    return is_image_name(place) or place.is_dir()


def _is_image_folder(place: Path) -> bool:
    return place.is_dir() and is_zarr(place)


def _expanded(path: Path, *, recursive: bool = False) -> list[Path]:
    if _is_image_folder(path):
        return [path]
    if path.is_dir():
        named = [f for f in _files(path, recursive=recursive) if _is_image(f)]
        inside = [f for f in named if not is_own_picture(f)]
        if not inside:
            others, folders = sum(1 for _ in path.iterdir()), len(_folders(path))
            deeper = f"the {folders} folders" if folders > 1 else "the folder"
            hint = f" `recursive` searches {deeper} in it too." if folders and not recursive else ""
            entries = "entry" if others == 1 else "entries"
            raise ImageError(
                f"{path}: there are no images in this folder ({others} other {entries}). Files that end in "
                f"{', '.join(SUFFIXES[:5])} are looked for; name the folder that holds them.{hint}"
            )
        return inside
    if not path.exists() and glob.has_magic(str(path)):
        everything = map(Path, glob.glob(str(path), recursive=True))  # noqa: PTH207
        matching = sorted(place for place in everything if place.is_file() or _is_image_folder(place))
        matching = [file for file in matching if not is_own_picture(file)]
        if not matching:
            raise ImageError(f"{path}: no file matches this pattern. Check the folder and the ending.")
        return matching
    if is_own_picture(path):
        raise ImageError(f"{path}: linnet drew this picture of its own results. Name the image that it shows.")
    return [path]


def is_own_picture(path: Path) -> bool:
    """Whether linnet drew a picture itself: an overlay of results is no image to find nuclei in.

    It is told by the mark in the file, and by its name beside the points that it shows.
    """
    if path.suffix.lower() != ".png":
        return False
    if path.name.lower().endswith(OVERLAY):
        stem = path.name[: -len(OVERLAY)]
        if any(path.with_name(stem + ending).exists() for ending in (".csv", ".geojson", ".geojson.gz", ".json")):
            return True
    try:
        with path.open("rb") as file:
            return OWN_MARK.encode() in file.read(256)
    except (OSError, ValueError):
        return False  # the reader says what is wrong with it


def _key(path: Path) -> str:
    """The same for two ways to name one file; the name itself where it can't be resolved."""
    try:
        return str(path.resolve())
    except (OSError, ValueError):
        return str(path)
