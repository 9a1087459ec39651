"""The channels of a file beside the one that was chosen, so that each can be measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from linnet.nuclei.read.images import channel_names, open_picture
from linnet.nuclei.read.stacks import Projection


def each_channel(
    path: Path, *, page: int | None, channel: int | str | None, project: Projection | None
) -> Iterator[tuple[str, Any]]:
    """(name, pixels) of every channel of a file from which one was chosen; nothing where there was no choice.

    Args:
        path: The file.
        page: As the picture was read.
        channel: The same.
        project: The same.

    Raises:
        ImageError: as in `open_picture`.
    """
    if channel is None or (isinstance(channel, str) and channel.lower() == "rgb"):
        return
    names = column_names(channel_names(path, page=page if project is None else 0))
    if len(names) > 1:
        for number, name in enumerate(names):
            yield name, open_picture(path, page=page, channel=number, project=project).pixels


def column_names(names: Sequence[str]) -> list[str]:
    """Names that a column may have: without separators and quotes, each once, and none empty.

    Example:
        >>> column_names(["DAPI", "", 'GFP, "488"', "DAPI"])
        ['DAPI', 'channel_1', 'GFP_488', 'DAPI_3']
    """
    found: list[str] = []
    for number, name in enumerate(names):
        plain = "_".join("".join(c if c.isprintable() and c not in ",;\"'" else " " for c in name).split())
        plain = plain or f"channel_{number}"
        found.append(f"{plain}_{number}" if plain in found else plain)
    return found
