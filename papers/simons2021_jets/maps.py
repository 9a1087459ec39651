"""The sign maps of one trained network on a real board with a defect, as facts of a record and back."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path

import numpy as np

from linnet.data.files import data_root
from linnet.data.inspection.boards import GROUPS, WINDOW
from linnet.data.listing import grey, rows
from linnet.jet import Program
from linnet.report.jet.feature_maps import Box, Maps, Place, cut_around, sign_maps
from linnet.results.record import Fact

BOARDS = "deeppcb"
NEEDS = "The boards are those of linnet.data.circuit_boards."


def held_out_defect(root: Path | None, side: int) -> tuple[str, np.ndarray, Box]:
    """The first defect of the first held-out board whose surroundings fit into a patch.

    Args:
        root: Folder of the boards.
        side: Of a patch.

    Returns:
        Name of the board, (1, side, side) pixels with the defect in the middle, and its box.
    """
    folder = data_root() / BOARDS if root is None else root
    listed = rows(folder / "meta.csv", ("image_id", "board_group"), NEEDS)
    boards = {row["image_id"] for row in listed if row["board_group"] in GROUPS["val"]}
    found = []
    for row in rows(folder / "boxes.csv", ("image_id", "y1", "x1", "y2", "x2"), NEEDS):
        box = Box(*(int(row[key]) for key in ("y1", "x1", "y2", "x2")))
        if row["image_id"] in boards and max(box.y2 - box.y1, box.x2 - box.x1) <= WINDOW // 2:
            found.append((row["image_id"], box))
    name, box = min(found, key=lambda pair: pair[0])
    picture = grey(folder / "images" / f"{name}_test.png")
    patch, inside = cut_around(picture[..., None], box, WINDOW, WINDOW)
    step = WINDOW // side
    means = np.rint(patch[..., 0].reshape(side, step, side, step).mean((1, 3))).astype(np.uint8)
    return name, means[None], inside.reduced(step)


def facts(program: Program, name: str, pixels: np.ndarray, box: Box) -> dict[str, Fact]:
    """What a record keeps: the image, the box, and every sign map as bits."""
    layers = [
        {
            "name": maps.name,
            "shape": maps.values.shape,
            "place": astuple(maps.place),
            "bits": base64.b64encode(np.packbits(maps.values > 0).tobytes()).decode(),
        }
        for maps in sign_maps(program, pixels.astype(np.int64))
    ]
    return {
        "board": name,
        "shape": json.dumps(pixels.shape),
        "pixels": base64.b64encode(pixels.tobytes()).decode(),
        "box": str(box),
        "maps": json.dumps(layers),
    }


def kept(context: Mapping[str, Fact]) -> tuple[np.ndarray, list[Maps], Box]:
    """The image, the maps of each layer and the box that `facts` put into a record."""
    shape = json.loads(str(context["shape"]))
    pixels = np.frombuffer(base64.b64decode(str(context["pixels"])), np.uint8).reshape(shape)
    layers = []
    for layer in json.loads(str(context["maps"])):
        bits = np.unpackbits(np.frombuffer(base64.b64decode(layer["bits"]), np.uint8))
        signs = 2 * bits[: int(np.prod(layer["shape"]))].astype(np.int8) - 1
        layers.append(Maps(layer["name"], signs.reshape(layer["shape"]), Place(*layer["place"])))
    return pixels, layers, Box(*(int(edge) for edge in str(context["box"]).split(",")))
