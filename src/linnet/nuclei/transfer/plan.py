"""The plan of a study: a TOML file with groups of images, questions and sizes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from linnet.errors import InputError, RecipeError
from linnet.recipe.toml.document import all_problems, read_tables, read_text
from linnet.recipe.toml.lines import lines_of
from linnet.recipe.toml.section import Problem, read_section, unknown
from linnet.recipe.toml.setting import setting, shown
from linnet.suggest import one_of

ARMS = ("matrix", "mixtures", "shots")
MIXTURES = ("pooled", "sqrt", "even", "weighted", "unaugmented")
STARTS = ("best", "mixture", "default", "scratch")
SCALES: Mapping[str, Mapping[str, Any]] = {
    "smoke": {
        "seeds": 1,
        "steps": 12,
        "shot_steps": 6,
        "side": 64,
        "shots": [1],
        "mixtures": ["pooled"],
        "starts": ["best", "scratch"],
        "train_images": 4,
        "validation_images": 1,
        "test_images": 2,
    },
    "cpu": {},
    "gpu": {"seeds": 5, "steps": 3000, "shot_steps": 1000, "side": 160, "batch_size": 16, "rehearsal": [1, 2, 4, 8]}
    | {"train_images": 0, "validation_images": 0, "test_images": 0},
}
_TABLES = ("study", "groups", "sets", "kinds", "scale")


@dataclass(frozen=True)
class StudySettings:
    """[study]: the questions and the sizes.

    Attributes:
        arms: The questions: matrix (train on A, test on B), mixtures, shots (few images of the target).
        seeds: Paired seeds.
        steps: Updates of a training on a group or a mixture.
        shot_steps: Updates of a training on few images.
        batch_size: Crops in a step.
        side: Side of a crop in pixels.
        preset: The network.
        shots: Numbers of the target's images, of distinct pictures.
        shot_groups: Targets that are given few images; none: all.
        starts: What training on few images starts from.
        rehearsal: The numbers of images at which training goes on seeing its source's images too.
        mixtures: How the target's and other images are mixed.
        train_images: Most images of a group that are trained on, 0 for all.
        validation_images: Most images of a group that choose thresholds and sources, 0 for all.
        test_images: Most images of a group that are tested on, 0 for all.
        radius_px: Largest distance of a found point from its true one, beside half the median radius.
        margin: F1 within which two trainings are level.
        few: Groups with fewer test pictures are marked "few".
        alike: Correlation of thumbnails from which two pictures count as one.
        threads: Threads of each training.
    """

    arms: tuple[str, ...] = setting("the questions", default=ARMS, choices=ARMS)
    seeds: int = setting("paired seeds", default=3, at_least=1, at_most=100)
    steps: int = setting("updates of a training on a group or a mixture", default=500, at_least=1, at_most=10**7)
    shot_steps: int = setting("updates of a training on few images", default=250, at_least=1, at_most=10**7)
    batch_size: int = setting("crops in a step", default=8, at_least=1, at_most=1024)
    side: int = setting("side of a crop in pixels", default=128, at_least=48, at_most=1024)
    preset: Literal["small", "paper"] = setting("the network", default="small")
    shots: tuple[int, ...] = setting("numbers of the target's images", default=(1, 2, 4, 8), at_least=1)
    shot_groups: tuple[str, ...] = setting("targets that are given few images; none: all", default=())
    starts: tuple[str, ...] = setting("what training on few images starts from", default=STARTS, choices=STARTS)
    rehearsal: tuple[int, ...] = setting("shots at which the source's images are seen too", default=(), at_least=1)
    mixtures: tuple[str, ...] = setting("how target and others are mixed", default=MIXTURES, choices=MIXTURES)
    train_images: int = setting("most training images of a group, 0 for all", default=40, at_least=0)
    validation_images: int = setting("most validation images of a group, 0 for all", default=4, at_least=0)
    test_images: int = setting("most test images of a group, 0 for all", default=12, at_least=0)
    radius_px: float = setting("largest distance of a matched pair in pixels", default=5.0, above=0, at_most=1000)
    margin: float = setting("F1 within which two trainings are level", default=0.01, above=0, below=1)
    few: int = setting("groups with fewer test pictures are marked", default=5, at_least=0)
    alike: float = setting("correlation from which two pictures count as one", default=0.93, above=0, at_most=1)
    threads: int = setting("threads of each training", default=1, at_least=1, at_most=256)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Rules between two of its values."""
        if self.side % 16:
            yield "side", f"`side` must be a multiple of 16 (got {self.side})"
        strange = sorted(set(self.rehearsal) - set(self.shots))
        if strange:
            yield "rehearsal", f"`rehearsal` must name some of `shots`, which lack {strange[0]}"
        for key in ("arms", "shots", "shot_groups", "starts", "rehearsal", "mixtures"):
            if double := repeated(getattr(self, key)):
                yield key, f"`{key}` must name each once (got {shown(double[0])} twice)"
        if not self.arms:
            yield "arms", f"`arms` must name at least one question: {', '.join(ARMS)}"
        for arm, key in (("shots", "shots"), ("shots", "starts"), ("mixtures", "mixtures")):
            if arm in self.arms and not getattr(self, key):
                yield key, f"`{key}` must hold at least one value for the arm {arm}"


@dataclass(frozen=True)
class FolderGroup:
    """[groups.NAME]: a folder of images and their points.

    Attributes:
        images: Folder of images.
        points: Folder with a file of points for each, or one table with a column image.
        pictures: CSV with the columns image and picture, and perhaps split (train, val or test): images of one picture
            or patient stay on one side. None: each image is a picture of its own.
        kind: Stain or modality, by which groups look alike.
        diameter_px: Median diameter of the nuclei; None: their median distance to the nearest stands for it.
    """

    images: str = setting("folder of images", is_path=True)
    points: str = setting("folder with a file of points for each image, or one table", is_path=True)
    pictures: str | None = setting("CSV with the columns image and picture", default=None, is_path=True)
    kind: str = setting("stain or modality", default="")
    diameter_px: float | None = setting("median diameter in pixels", default=None, above=0, at_most=10_000)


@dataclass(frozen=True)
class SetGroups:
    """[sets.NAME]: a nucleus set whose column tells its groups.

    Attributes:
        path: Folder with meta.csv, centroids.csv and images.
        column: Column of meta.csv with the group.
        together: Column with what stays on one side: the picture or the patient.
        only: Groups that are taken; none: all.
        prefix: Stands before the names of the groups.
    """

    path: str = setting("folder of a nucleus set", is_path=True)
    column: str = setting("column of meta.csv with the group", default="group")
    together: str = setting("column with the picture or patient", default="mosaic_id")
    only: tuple[str, ...] = setting("groups that are taken; none: all", default=())
    prefix: str = setting("stands before the names of the groups", default="")

    def problems(self) -> Iterator[tuple[str, str]]:
        """Rules between two of its values."""
        if double := repeated(self.only):
            yield "only", f"`only` must name each group once (got {shown(double[0])} twice)"


@dataclass(frozen=True)
class StudyPlan:
    """A plan whose tables are valid; its images haven't been looked at.

    Attributes:
        path: The file.
        text: Its text.
        scale: The scale that was chosen.
        settings: [study] with what the scale changes.
        folders: Groups that are folders, by name.
        sets: Sets with a column of groups, by name.
        kinds: Stain or modality of groups of sets, by the group's name.
        root: Folder in which relative paths begin.
    """

    path: Path
    text: str = field(repr=False, compare=False, hash=False)
    scale: str
    settings: StudySettings
    folders: tuple[tuple[str, FolderGroup], ...]
    sets: tuple[tuple[str, SetGroups], ...]
    kinds: tuple[tuple[str, str], ...]
    root: Path

    def beside(self, path: str) -> Path:
        """A path of the plan: absolute as it is, a relative one in `root`."""
        try:
            return self.root / Path(path).expanduser()
        except RuntimeError as error:
            raise RecipeError(
                f"{self.path}: `{path}` names the folder of a user who isn't there. Write the path in full."
            ) from error


def repeated(values: Sequence[Any]) -> list[Any]:
    """Values that a list holds more than once."""
    return [value for value, count in Counter(values).items() if count > 1]


def read_plan(path: Path | str, *, scale: str = "cpu", data: Path | str | None = None) -> StudyPlan:
    """Reads a plan and checks all of its tables.

    What holds: linnet's defaults, then those of the scale, then [study], then [scale.NAME] of the file.

    Args:
        path: A TOML file.
        scale: "smoke", "cpu" or "gpu".
        data: Folder in which relative paths begin; None: the file's.

    Raises:
        RecipeError: it can't be read, or holds what can't be used; everything is listed with its line.
        InputError: there is no such scale, or no such folder.
    """
    one_of("scale", scale, SCALES)
    path = Path(path)
    text = read_text(path, "plan")
    tables = read_tables(path, text)
    problems = [Problem((name,), unknown(name, _TABLES, "[{}]")) for name in tables if name not in _TABLES]
    settings, found = _settings(tables, scale)
    problems += found
    folders, found = _named(tables, "groups", FolderGroup)
    problems += found
    sets, found = _named(tables, "sets", SetGroups)
    problems += found
    kinds, found = _kinds(tables)
    problems += found
    if not problems and not folders and not sets:
        problems.append(Problem((), "[groups] is missing; name the groups of images: [groups.mine], with images and"))
        problems[-1] = Problem((), problems[-1].text + " points, or [sets.NAME] with path and column")
    if problems:
        raise RecipeError(all_problems(path, problems, lines_of(text)).replace("can't be run", "can't be used", 1))
    root = (path.parent if data is None else Path(data)).resolve()
    if not root.is_dir():
        raise InputError(f"`data` must be a folder that exists, in which the plan's paths begin (got {data}).")
    return StudyPlan(path, text, scale, settings, folders, sets, kinds, root)


def _settings(tables: Mapping[str, Any], scale: str) -> tuple[Any, list[Problem]]:
    own, scales = tables.get("study", {}), tables.get("scale", {})
    if not isinstance(own, dict) or not isinstance(scales, dict):
        return None, [Problem(("study",), "[study] and [scale.NAME] must be tables")]
    problems = [
        Problem(("scale", name), f"[scale.{name}] must be one of {', '.join(SCALES)}")
        for name in scales
        if name not in SCALES
    ]
    for name, table in scales.items():  # a scale that isn't run is checked too
        if name in SCALES:
            _, found = read_section(f"scale.{name}", StudySettings, {**SCALES[name], **own, **table})
            problems += [Problem(("scale", name, *p.path[1:]), p.text) for p in found if p.path[-1] in table]
    settings, found = read_section("study", StudySettings, {**SCALES[scale], **own, **scales.get(scale, {})})
    return settings, problems + ([] if problems else found)


def _named(tables: Mapping[str, Any], name: str, section: type) -> tuple[tuple[tuple[str, Any], ...], list[Problem]]:
    """The sections [name.X] by X."""
    outer = tables.get(name, {})
    if not isinstance(outer, dict):
        return (), [Problem((name,), f"{name} = {shown(outer)} must be tables [{name}.NAME]")]
    found, problems = [], []
    for inner, table in outer.items():
        if not isinstance(table, dict):
            problems.append(Problem((name, inner), f"[{name}] `{inner}` must be a table [{name}.{inner}]"))
            continue
        made, wrong = read_section(f"{name}.{inner}", section, table)
        problems += [Problem((name, inner, *p.path[1:]), p.text) for p in wrong]
        found.append((inner, made))
    return tuple(found), problems


def _kinds(tables: Mapping[str, Any]) -> tuple[tuple[tuple[str, str], ...], list[Problem]]:
    table = tables.get("kinds", {})
    if not isinstance(table, dict):
        return (), [Problem(("kinds",), '[kinds] must be a table: group = "stain"')]
    wrong = [name for name, kind in table.items() if not isinstance(kind, str)]
    problems = [
        Problem(("kinds", name), f"[kinds] `{name}` must be a text (got {shown(table[name])})") for name in wrong
    ]
    return tuple((name, str(kind)) for name, kind in table.items()), problems
