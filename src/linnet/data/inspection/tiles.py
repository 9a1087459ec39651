"""Magnetic tiles, good or with a defect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from linnet.data.files import data_root, sha256
from linnet.data.image_set import ImageSet
from linnet.data.inspection.classes import CLASSES
from linnet.data.listing import grey, require_one_side, rows
from linnet.errors import DataError, InputError
from linnet.suggest import one_of

NEEDS = "A set of magnetic tiles needs meta.csv and images/."


def magnetic_tiles(split: str, *, root: Path | None = None, side: int = 48) -> ImageSet:
    """Whole tiles reduced to a square: "good" (0) and "defect" (1).

    The classes are of very different size (about four defects to one good tile), so that plain accuracy tells little.
    The set has no formal licence: learn from it for research, and ship nothing that did.

    Args:
        split: "train", "val" or "test"; near-duplicate pictures (`duplicate_group`) are on one side.
        root: Folder with `meta.csv` and `images`; None: `research_only/magnetic_tile` in `data_root()`.
        side: Of a picture, whatever the tile's shape.

    Raises:
        InputError: an unknown split, or a side below 1.
        DataError: a file is missing or damaged, or near-duplicates lie on two sides.

    Source:
        Huang, Qiu & Yuan, surface defect saliency of magnetic tile; the reduction is linnet's choice.
    """
    one_of("split", split, ("train", "val", "test"))
    if isinstance(side, bool) or not isinstance(side, int) or side < 1:
        raise InputError(f"`side` must be a whole number >= 1 (got {side!r}).")
    folder = data_root() / "research_only" / "magnetic_tile" if root is None else Path(root)
    listed = rows(folder / "meta.csv", ("image_id", "label", "split", "duplicate_group"), NEEDS)
    require_one_side(folder / "meta.csv", listed, "duplicate_group")
    chosen = sorted((row for row in listed if row["split"] == split), key=lambda row: row["image_id"])
    if not chosen:
        raise DataError(f"{folder / 'meta.csv'} lists no image of the split {split!r}. Restore the folder.")
    pictures = []
    for row in chosen:
        picture = Image.fromarray(grey(folder / "images" / f"{row['image_id']}.jpg"))
        pictures.append(np.asarray(picture.resize((side, side), Image.Resampling.BOX)))
    stack = np.stack(pictures)
    labels = torch.tensor([int(row["label"] != "free") for row in chosen], dtype=torch.int64)
    digest = sha256(stack.tobytes(), labels.numpy().tobytes())
    return ImageSet(torch.from_numpy(stack)[:, None], labels, CLASSES, "magnetic_tile", digest)
