"""The groups of a study: images with points, each group with pictures to train on and pictures to test on."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.spatial import KDTree

from linnet.data.nuclei import NucleusImage, read_nucleus_set
from linnet.errors import InputError
from linnet.nuclei.points.annotations import paired_files
from linnet.nuclei.read.images import read_image
from linnet.nuclei.transfer.plan import FolderGroup, SetGroups, StudyPlan, StudySettings
from linnet.suggest import meant

SPLITS = ("train", "val", "test")
_TEST_SHARE, _VALIDATION_SHARE = 0.3, 0.2  # of a folder's pictures; ours


@dataclass(frozen=True)
class Group:
    """Images of one organ, stain or laboratory.

    Attributes:
        name: Its name in the plan.
        kind: Stain or modality; "" where the plan doesn't say.
        images: All of them, each with its picture (`mosaic_id`) and its side (`split`).
        half_radius_px: Half the median radius of the nuclei.
        radius_from: What it was found from: "outlines", "the plan" or "spacing".
        names_from: Where the names of pictures come from: groups with the same origin mean the same by a name. None:
            each image is a picture of its own.
        left_out: Images of its folder that have no points.
    """

    name: str
    kind: str
    images: tuple[NucleusImage, ...]
    half_radius_px: float
    radius_from: str
    names_from: str | None
    left_out: int = 0

    def of(self, split: str, most: int = 0) -> list[NucleusImage]:
        """Images of one side; with `most`, so many, of as many pictures as there are."""
        return spread([image for image in self.images if image.split == split], most)

    def pictures(self, split: str) -> list[str]:
        """Names of the pictures of one side, sorted."""
        return sorted({image.mosaic_id for image in self.images if image.split == split})

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names, pictures, sides and points."""
        lines = [
            f"{i.image_id},{i.mosaic_id},{i.split},{hashlib.sha256(i.points.tobytes()).hexdigest()}"
            for i in self.images
        ]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def spread(images: Sequence[NucleusImage], most: int) -> list[NucleusImage]:
    """So many of the images, one of each picture before a second one of any; 0 takes all.

    The order is that of a digest of the names, so that it doesn't follow the order of the files.
    """
    ordered = sorted(images, key=lambda image: _digest(image.image_id))
    rounds: dict[str, int] = {}
    ranked = []
    for image in ordered:
        number = rounds[image.mosaic_id] = rounds.get(image.mosaic_id, -1) + 1
        ranked.append((number, image))
    ranked.sort(key=lambda pair: pair[0])  # stable: within a round the digest's order stays
    return [image for _, image in ranked[: most or None]]


def read_groups(plan: StudyPlan) -> dict[str, Group]:
    """All groups of a plan, by name; nothing but their tables and points is read.

    Raises:
        InputError: a folder or table can't be used, a group is named twice, or has too few pictures.
    """
    kinds = dict(plan.kinds)
    found: list[Group] = [_folder_group(plan, name, folder) for name, folder in plan.folders]
    for name, group_set in plan.sets:
        found += _set_groups(plan, name, group_set, kinds)
    groups: dict[str, Group] = {}
    for group in found:
        if not group.name.strip() or not group.name.isprintable() or "|" in group.name:
            raise InputError(
                f"{plan.path}: the name of a group must be printable text without `|`, for it stands in tables (got "
                f"{group.name!r}). Rename the group."
            )
        if group.name in groups:
            raise InputError(
                f"{plan.path}: two groups are called `{group.name}`. Rename one, or give its set a `prefix`."
            )
        groups[group.name] = _with_enough(plan, group)
    _require_known(plan, groups)
    return groups


def _folder_group(plan: StudyPlan, name: str, folder: FolderGroup) -> Group:
    files, truths = paired_files(plan.beside(folder.images), plan.beside(folder.points))
    given = {} if folder.pictures is None else _pictures(plan.beside(folder.pictures), set(truths))
    pictures = {image: given.get(image, (image, ""))[0] for image in truths}
    sides = {image: side for image, (_, side) in given.items() if side} or _sides(pictures)
    images = tuple(
        NucleusImage(image, files[image], truths[image], name, pictures[image], sides[image], read=read_pixels)
        for image in sorted(truths)
    )
    group = _made(
        name,
        folder.kind or dict(plan.kinds).get(name, ""),
        images,
        folder.diameter_px,
        names_from=None if folder.pictures is None else "pictures",
    )
    return replace(group, left_out=len(files) - len(truths))


def _set_groups(plan: StudyPlan, name: str, group_set: SetGroups, kinds: dict[str, str]) -> list[Group]:
    folder = plan.beside(group_set.path)
    images = read_nucleus_set(folder, group=group_set.column, picture=group_set.together)
    known = sorted({image.group for image in images})
    strange = [group for group in group_set.only if group not in known]
    if strange:
        raise InputError(
            f"{plan.path}: [sets.{name}] `only` must name groups of {folder} (got {strange[0]!r})."
            f"{meant(strange[0], known)} There are {', '.join(known)}."
        )
    return [
        _made(
            group_set.prefix + group,
            kinds.get(group_set.prefix + group, ""),
            tuple(
                replace(i, group=group_set.prefix + group, read=i.read or read_pixels)
                for i in images
                if i.group == group
            ),
            None,
            names_from=str(folder),
        )
        for group in (group_set.only or known)
    ]


def read_pixels(path: Path) -> np.ndarray:
    """Pixels of an image file."""
    return np.asarray(read_image(path).pixels[:])


def _made(
    name: str, kind: str, images: tuple[NucleusImage, ...], diameter_px: float | None, *, names_from: str | None
) -> Group:
    half, origin = _half_radius(images, diameter_px)
    return Group(name, kind, images, half, origin, names_from)


def _half_radius(images: Iterable[NucleusImage], diameter_px: float | None) -> tuple[float, str]:
    """Half the median radius of the nuclei, and where it comes from."""
    images = list(images)
    known = [i.diameters[np.isfinite(i.diameters)] for i in images if i.diameters is not None]
    if diameter_px is not None:
        return diameter_px / 4, "the plan"
    if sum(map(len, known)):
        return float(np.median(np.concatenate(known))) / 4, "outlines"
    nearest = [KDTree(i.points).query(i.points, k=2)[0][:, 1] for i in images if len(i.points) > 1]
    if not nearest:
        return 2.5, "the default, as no image has two points"
    return float(np.median(np.concatenate(nearest))) / 4, "spacing"


def _pictures(path: Path, images: set[str]) -> dict[str, tuple[str, str]]:
    """Picture and side of each image from a table."""
    rows = _rows(path)
    found: dict[str, tuple[str, str]] = {}
    for row in rows:
        image, told = Path(row["image"] or "").stem, (row["picture"] or "", row.get("split") or "")
        if not told[0]:
            raise InputError(f"{path}: `picture` must be named in every row (it is empty for the image {image!r}).")
        if found.setdefault(image, told) != told:
            raise InputError(
                f"{path} must say one thing about each image (it has {image!r} twice: as picture {found[image][0]!r} "
                f"and as {told[0]!r}, or on two sides). Remove one of the rows."
            )
    missing = sorted(images - found.keys())
    if missing:
        raise InputError(f"{path} must have a row for each image with points (it lacks {missing[0]!r}).")
    wrong = sorted({side for _, side in found.values()} - {"", *SPLITS})
    some = {bool(found[image][1]) for image in images}
    if wrong or len(some) > 1:
        raise InputError(
            f"{path}: `split` must be train, val or test in every row (got {wrong[0] if wrong else ''!r})."
        )
    return {image: found[image] for image in images}


def _rows(path: Path) -> list[dict[str, str | None]]:
    """The rows of a table with the columns image and picture."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), reader.fieldnames
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or error
        raise InputError(f"{path} can't be read ({why}). `pictures` names a CSV with image and picture.") from error
    if not {"image", "picture"} <= set(columns or ()):
        there = ", ".join(map(repr, columns)) if columns else "no columns"
        raise InputError(f"{path} must have the columns image and picture (it has {there}).")
    return rows


def _sides(pictures: dict[str, str]) -> dict[str, str]:
    """Image to side: of the pictures, in the order of a digest of their names, the first are for the test."""
    ordered = sorted(set(pictures.values()), key=_digest)
    tests = max(1, round(_TEST_SHARE * len(ordered)))
    held = round(_VALIDATION_SHARE * len(ordered)) if len(ordered) >= 3 else 0
    held = max(1, held) if len(ordered) >= 3 else 0
    side = {p: "test" if k < tests else "val" if k < tests + held else "train" for k, p in enumerate(ordered)}
    return {image: side[picture] for image, picture in pictures.items()}


def _with_enough(plan: StudyPlan, group: Group) -> Group:
    """The group with validation pictures: where it has none, one in five of its training pictures, if it has three."""
    count = len({image.mosaic_id for image in group.images})
    if count < 2:
        raise InputError(
            f"{plan.path}: the group `{group.name}` must have at least two pictures, one to train on and one "
            f"to test on (it has {count}). Add a picture, or leave the group out."
        )
    for split in ("train", "test"):
        if not group.pictures(split):
            raise InputError(
                f"{plan.path}: the group `{group.name}` has no picture in `{split}` ({count} in all). "
                "Leave it out (`only`), or give it a split that has some."
            )
        if not any(len(image.points) for image in group.of(split)):
            raise InputError(
                f"{plan.path}: the group `{group.name}` must have points on its images in `{split}` (it has none on "
                f"{len(group.of(split))} images). Click some nuclei, or leave the group out."
            )
    training = sorted(group.pictures("train"), key=_digest)
    if group.pictures("val") or len(training) < 3:
        return group
    held = set(training[: max(1, round(_VALIDATION_SHARE * len(training)))])
    moved = (replace(i, split="val") if i.split == "train" and i.mosaic_id in held else i for i in group.images)
    return replace(group, images=tuple(moved))


def _require_known(plan: StudyPlan, groups: dict[str, Group]) -> None:
    """Groups that the plan names elsewhere exist, and have as many pictures as are asked for."""
    settings = plan.settings
    for place, names in (("shot_groups", settings.shot_groups), ("kinds", [name for name, _ in plan.kinds])):
        for name in names:
            if name not in groups:
                raise InputError(
                    f"{plan.path}: `{place}` names the group `{name}`, which isn't there."
                    f"{meant(name, groups)} There are {', '.join(groups)}."
                )
    if len(groups) < 2:
        raise InputError(f"{plan.path} must have at least two groups (it has {len(groups)}: {', '.join(groups)}).")
    if "shots" in settings.arms:
        _require_shots(plan, groups)


def _require_shots(plan: StudyPlan, groups: dict[str, Group]) -> None:
    """Groups that are named for few images have as many as are asked for; of all groups, one has."""
    wanted = max(plan.settings.shots)
    there = {name: len(groups[name].pictures("train")) for name in plan.settings.shot_groups or groups}
    short = (
        min(there, key=lambda name: there[name])
        if plan.settings.shot_groups
        else max(there, key=lambda name: there[name])
    )
    if there[short] < wanted and (plan.settings.shot_groups or plan.settings.shots != StudySettings.shots):
        raise InputError(
            f"{plan.path}: `shots` must not ask for more target images than there are (got {wanted}; the group "
            f"`{short}` has {there[short]} pictures to train on). Give smaller numbers, or other `shot_groups`."
        )


def shots_of(plan: StudyPlan, group: Group) -> list[int]:
    """The numbers of images that a group can give: all that were asked of groups named for it."""
    return [k for k in sorted(plan.settings.shots) if k <= len(group.pictures("train"))]


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()
