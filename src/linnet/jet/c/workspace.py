"""Places in the workspace: buffers that are never alive together share them."""

from __future__ import annotations

from dataclasses import dataclass

ALIGNMENT = 64


@dataclass
class Buffer:
    """One buffer.

    Attributes:
        name: Of its pointer in C.
        kind: Its C type.
        size: Bytes.
        first: Step that writes it.
        last: Last step that reads it.
        offset: Its place, once planned.
    """

    name: str
    kind: str
    size: int
    first: int
    last: int
    offset: int = 0


def plan(buffers: list[Buffer]) -> int:
    """Gives each buffer its offset, first fit by size; returns the bytes of the whole workspace."""
    placed: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda b: (-b.size, b.first)):
        rivals = sorted(
            (p.offset, p.offset + p.size) for p in placed if p.first <= buffer.last and buffer.first <= p.last
        )
        at = 0
        for begin, end in rivals:
            if at + buffer.size <= begin:
                break
            at = max(at, -(-end // ALIGNMENT) * ALIGNMENT)
        buffer.offset = at
        placed.append(buffer)
    return max((b.offset + b.size for b in buffers), default=0)
