"""What a study is of: its settings and groups, kept beside the records, which mean nothing without them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from linnet.errors import InputError
from linnet.nuclei.transfer.groups import SPLITS, Group
from linnet.nuclei.transfer.plan import StudyPlan
from linnet.recipe.toml.section import plain
from linnet.results import atomic_write


@dataclass(frozen=True)
class GroupFacts:
    """A group in numbers.

    Attributes:
        kind: Stain or modality.
        pictures: Number of pictures of each side.
        images: Number of images of each side.
        nuclei: Of all images.
        half_radius_px: Half the median radius of the nuclei.
        radius_from: What it was found from.
        digest: Of names, pictures, sides and points.
        pixels: Digest of the images' pixels; "" where it isn't known, as in studies of earlier versions.
    """

    kind: str
    pictures: Mapping[str, int]
    images: Mapping[str, int]
    nuclei: int
    half_radius_px: float
    radius_from: str
    digest: str
    pixels: str = ""


@dataclass(frozen=True)
class Description:
    """A study in plain values.

    Attributes:
        scale: Its scale.
        settings: [study] as it holds at that scale.
        groups: By name, in the order of the plan.
    """

    scale: str
    settings: Mapping[str, Any]
    groups: Mapping[str, GroupFacts]

    def few(self, group: str) -> bool:
        """Whether a group has so few test pictures that its cells are marked."""
        return self.groups[group].pictures["test"] < self.settings["few"]

    @property
    def targets(self) -> list[str]:
        """Groups that are given few images."""
        return list(self.settings["shot_groups"] or self.groups)

    def to_json(self) -> str:
        """As `from_json` reads it."""
        groups = {name: vars(facts) for name, facts in self.groups.items()}
        return json.dumps({"scale": self.scale, "settings": self.settings, "groups": groups}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Description:
        """A description from its text.

        Raises:
            InputError: it isn't one.
        """
        try:
            found = json.loads(text)
            groups = {name: GroupFacts(**facts) for name, facts in found["groups"].items()}
            return cls(found["scale"], dict(found["settings"].items()), groups)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"The description of a study can't be read ({error}). Start it in a new folder."
            ) from error


def describe(plan: StudyPlan, groups: Mapping[str, Group], pixels: Mapping[str, str]) -> Description:
    """A plan and its groups in plain values.

    Args:
        plan: Read.
        groups: By name.
        pixels: Digest of the pixels of each group.
    """
    facts = {name: _facts(group, pixels[name]) for name, group in groups.items()}
    return Description(plan.scale, plain(plan.settings), facts)


def keep_or_refuse(path: Path, description: Description) -> None:
    """Writes the description of a new study, or checks that a study that has begun is the same.

    Raises:
        InputError: the plan or its images have changed since; what has changed is named.
    """
    if not path.exists():
        atomic_write(path, description.to_json())
        return
    before = _kept(path)
    changes = [*_changes("scale", before.scale, description.scale)]
    for key in before.settings.keys() | description.settings.keys():
        changes += _changes(key, before.settings.get(key), json.loads(json.dumps(description.settings.get(key))))
    for name in sorted(before.groups.keys() | description.groups.keys()):
        old, new = before.groups.get(name), description.groups.get(name)
        if old is None or new is None:
            changes.append(f"the group `{name}` is {'new' if old is None else 'gone'}")
        elif not _same(old, new):
            changes.append(f"images, points, sides or kind of the group `{name}` have changed")
    if changes:
        raise InputError(
            f"{path.parent} holds a study that was begun with another plan: {'; '.join(sorted(changes))}. Restore "
            "the plan to go on with it, or give another folder (`out`)."
        )


def _kept(path: Path) -> Description:
    try:
        return Description.from_json(path.read_text(encoding="utf-8"))
    except (InputError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} can't be read: it says what the records beside it are of. Restore it, or start the study in a new "
            "folder (`out`)."
        ) from error


def _same(old: GroupFacts, new: GroupFacts) -> bool:
    """Whether a group is what it was; pixels are compared where both know them."""
    unknown = not (old.pixels and new.pixels)
    return old == (replace(new, pixels=old.pixels) if unknown else new)


def _changes(key: str, old: Any, new: Any) -> list[str]:
    return [] if old == new else [f"`{key}` was {old} and is {new}"]


def _facts(group: Group, pixels: str) -> GroupFacts:
    return GroupFacts(
        group.kind,
        {split: len(group.pictures(split)) for split in SPLITS},
        {split: len(group.of(split)) for split in SPLITS},
        sum(len(image.points) for image in group.images),
        round(group.half_radius_px, 3),
        group.radius_from,
        group.digest,
        pixels,
    )
