"""Patches of printed circuit boards, good or with a defect, split by kind of board."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from linnet.data.files import data_root, sha256
from linnet.data.image_set import ImageSet
from linnet.data.inspection.classes import CLASSES
from linnet.data.listing import grey, rows
from linnet.errors import DataError, InputError
from linnet.suggest import one_of

# The set's own split has boards of one group on two sides; these groups have not.
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "train": ("group00041", "group13000", "group20085"),
        "val": ("group77000", "group92000"),
        "test": ("group12100", "group12300", "group44000"),
    }
)
WINDOW = 64  # pixels of a board; 95 % of the defects fit
CLEAR = 4  # pixels between a good patch and the next defect
NEEDS = "A set of circuit boards needs meta.csv, boxes.csv and images/."
TRIES = 60  # places looked at for one good patch
COPPER = (0.05, 0.95)  # share of bright pixels of a good patch, so that none shows bare board alone


def circuit_boards(split: str, *, root: Path | None = None, side: int = 32) -> ImageSet:
    """Patches of circuit boards: "good" (0) and "defect" (1), as many of each as there are places for.

    A defect's patch is 64 x 64 pixels around a box that fits, which lies anywhere within it; a good one is cut from a
    clean place of the same picture. Both are reduced to `side`. Templates are not used. The patches of a board depend
    on its name alone.

    Args:
        split: "train", "val" or "test"; all boards of one group are on one side.
        root: Folder with `meta.csv`, `boxes.csv` and `images`; None: `deeppcb` in `data_root()`.
        side: Of a patch, a divisor of 64.

    Raises:
        InputError: an unknown split, or a side that doesn't divide 64.
        DataError: a file is missing or damaged.

    Source:
        DeepPCB (Tang et al. 2019), MIT licence; the patches and this split are linnet's choice.
    """
    one_of("split", split, tuple(GROUPS))
    if isinstance(side, bool) or not isinstance(side, int) or side < 1 or WINDOW % side:
        raise InputError(f"`side` must divide {WINDOW} (got {side!r}). E.g. 32.")
    folder = data_root() / "deeppcb" if root is None else Path(root)
    boards = [
        r for r in rows(folder / "meta.csv", ("image_id", "board_group"), NEEDS) if r["board_group"] in GROUPS[split]
    ]
    boxes: dict[str, list[tuple[int, int, int, int]]] = {row["image_id"]: [] for row in boards}
    for row in rows(folder / "boxes.csv", ("image_id", "y1", "x1", "y2", "x2"), NEEDS):
        if row["image_id"] in boxes:
            boxes[row["image_id"]].append(_box(folder, row))
    patches, labels, digests = [], [], []
    for name in sorted(boxes):
        picture = grey(folder / "images" / f"{name}_test.png")
        cut = board_patches(picture, boxes[name], np.random.default_rng(int(sha256(name.encode())[:12], 16)))
        for label, found in enumerate(cut):
            patches += [_reduced(patch, side) for patch in found]
            labels += [label] * len(found)
        digests.append(f"{name} {sha256(picture.tobytes())} {boxes[name]}")
    if not patches:
        raise DataError(f"{folder} has no boards of the groups {', '.join(GROUPS[split])}. Restore the folder.")
    digest = sha256("\n".join(digests).encode(), str(side).encode())
    images = torch.from_numpy(np.stack(patches))[:, None]
    return ImageSet(images, torch.tensor(labels, dtype=torch.int64), CLASSES, "deeppcb", digest)


def board_patches(
    picture: np.ndarray, boxes: list[tuple[int, int, int, int]], rng: np.random.Generator
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Patches of 64 x 64 of one board: good ones and those with a defect.

    Args:
        picture: (h, w), at least 64 on each side.
        boxes: y1, x1, y2, x2 of each defect, the ends outside.
        rng: Chooses the places.

    Returns:
        (good, defect); a box larger than a patch has none, and good patches are at most as many as defects.
    """
    h, w = picture.shape
    defect = []
    for y1, x1, y2, x2 in boxes:
        if max(y2 - y1, x2 - x1) <= WINDOW:
            y = rng.integers(max(0, y2 - WINDOW), min(y1, h - WINDOW) + 1)
            x = rng.integers(max(0, x2 - WINDOW), min(x1, w - WINDOW) + 1)
            defect.append(picture[y : y + WINDOW, x : x + WINDOW])
    good: list[np.ndarray] = []
    for _ in range(TRIES * len(defect)):
        if len(good) == len(defect):
            break
        y, x = rng.integers(0, h - WINDOW + 1), rng.integers(0, w - WINDOW + 1)
        patch = picture[y : y + WINDOW, x : x + WINDOW]
        if COPPER[0] < (patch > 127).mean() < COPPER[1] and not any(_touches(y, x, box) for box in boxes):
            good.append(patch)
    return good, defect


def _touches(y: int, x: int, box: tuple[int, int, int, int]) -> bool:
    y1, x1, y2, x2 = box
    reach = WINDOW + CLEAR
    return y < y2 + CLEAR and y1 < y + reach and x < x2 + CLEAR and x1 < x + reach


def _reduced(patch: np.ndarray, side: int) -> np.ndarray:
    step = WINDOW // side
    means = patch.reshape(side, step, side, step).mean((1, 3))
    return np.rint(means).astype(np.uint8)


def _box(folder: Path, row: dict[str, str]) -> tuple[int, int, int, int]:
    try:
        y1, x1, y2, x2 = (int(row[key]) for key in ("y1", "x1", "y2", "x2"))
    except (TypeError, ValueError):
        y1 = y2 = 0
        x1 = x2 = 0
    if not (0 <= y1 < y2 and 0 <= x1 < x2):
        raise DataError(
            f"{folder / 'boxes.csv'} must have whole numbers y1 < y2 and x1 < x2 for image {row['image_id']!r} (got "
            f"{row['y1']}, {row['x1']}, {row['y2']}, {row['x2']})."
        )
    return y1, x1, y2, x2
