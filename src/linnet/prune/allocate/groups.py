"""Prunable groups: the widths that each channel class may take, and why the other classes stay whole."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from linnet.core import ChannelClass, ChannelGraph
from linnet.errors import BudgetError
from linnet.suggest import nearest


@dataclass(frozen=True)
class PrunableGroup:
    """Classes that take one width together: a class alone, or the parts that one cut of the code leaves equal.

    Attributes:
        classes: Their names.
        size: Channels of each in the given network.
        widths: What each may keep, ascending.
    """

    classes: tuple[str, ...]
    size: int
    widths: tuple[int, ...]


@dataclass(frozen=True)
class PrunableGroups:
    """The prunable groups of a network, and its frozen classes.

    Attributes:
        free: In order of execution.
        frozen: Class name -> why it stays whole.
    """

    free: tuple[PrunableGroup, ...]
    frozen: dict[str, str]


def prunable_groups(
    graph: ChannelGraph,
    *,
    align: int = 8,
    min_fraction: float = 0.05,
    keep: Sequence[str] = (),
    limits: Mapping[str, float] | None = None,
    whole: Mapping[str, str] | None = None,
) -> PrunableGroups:
    """The groups of classes that may be pruned.

    Widths of a class of C channels are the multiples of `align` from the floor up, and C itself; the floor is
    min(C, align * ceil(max(align, min_fraction C) / align)). Where channels go in units of several (whole groups of a
    GroupNorm), units are counted, and so many of them are a step that `align` divides its channels.

    Args:
        graph: The network's channel graph.
        align: Kept channels come in multiples of this.
        min_fraction: At least this share of a class stays.
        keep: Patterns (`head`, `layer1.*`) of module paths whose classes stay whole.
        limits: Pattern -> largest share of a class that may stay.
        whole: Further classes that stay whole, with the reason.

    Raises:
        BudgetError: a number out of range, a pattern that matches nothing, or nothing is left to prune.
    """
    _check(align, min_fraction, limits or {})
    frozen = {name: why for name, known in graph.classes.items() if (why := _why_whole(known)) is not None}
    frozen |= dict(whole or {}) | dict.fromkeys(_matched(graph, keep, "keep"), "the caller keeps it")
    caps = {name: share for pattern, share in (limits or {}).items() for name in _matched(graph, [pattern], "limits")}
    free = []
    for names in _together(graph, [name for name in graph.classes if name not in frozen]):
        sizes = {graph.classes[name].size for name in names}
        stays = [name for name in names if name in frozen]
        if stays or len(sizes) > 1:
            why = f"it is cut together with `{stays[0]}`" if stays else "its parts are cut to unequal sizes"
            frozen.update({name: why for name in names if name not in frozen})
            continue
        size, cap = sizes.pop(), min(caps.get(name, 1.0) for name in names)
        step = align // math.gcd(align, min(_unit(graph.classes[name]) for name in names))
        free.append(PrunableGroup(names, size, _widths(size, step, min_fraction, cap)))
    if not any(len(group.widths) > 1 for group in free):
        reasons = "; ".join(f"`{name}`: {why}" for name, why in list(frozen.items())[:6])
        raise BudgetError(
            f"`align` must be at most the width of a class of channels that may be pruned (got {align}; "
            f"{reasons or 'all are narrower'}). Lower it, or name less in `keep`."
        )
    return PrunableGroups(tuple(free), frozen)


def _check(align: int, min_fraction: float, limits: Mapping[str, float]) -> None:
    if align < 1:
        raise BudgetError(f"`align` must be a whole number of channels >= 1 (got {align}).")
    if not 0 <= min_fraction <= 1:
        raise BudgetError(f"`min_fraction` must be a fraction in 0..1 (got {min_fraction}).")
    for pattern, share in limits.items():
        if not 0 < share <= 1:
            raise BudgetError(f"`limits[{pattern!r}]` must be a fraction in (0, 1] of its channels (got {share}).")


def _why_whole(known: ChannelClass) -> str | None:
    if known.frozen is not None:
        return known.frozen
    if known.uniform is not None:
        return f"{known.uniform}, and masking would change its statistics"
    return None


def _matched(graph: ChannelGraph, patterns: Sequence[str], argument: str) -> list[str]:
    """Classes that a pattern names, by their own name or the path of a module that makes them."""
    paths = {name: {name, *_makers(known)} for name, known in graph.classes.items()}
    found = []
    for pattern in [patterns] if isinstance(patterns, str) else patterns:
        hit = [name for name, own in paths.items() if any(_fits(path, pattern) for path in own)]
        if not hit:
            known = sorted({path for own in paths.values() for path in own})
            raise BudgetError(
                f"`{argument}` must fit a module of the network (got {pattern!r}){nearest(pattern, known)}"
            )
        found += hit
    return found


def _makers(known: ChannelClass) -> list[str]:
    return [slot.tensor.rpartition(".")[0] for slot in known.slots if slot.role == "produce"]


def _unit(known: ChannelClass) -> int:
    """Channels of the layers that go with one of a class: those of a whole group of a GroupNorm, say."""
    return min((slot.index.shape[1] for slot in known.slots if slot.role == "produce"), default=1)


def _fits(path: str, pattern: str) -> bool:
    """`layer1` and `layer1.*` fit all that lies in layer1."""
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}.*")


def _together(graph: ChannelGraph, names: Sequence[str]) -> list[tuple[str, ...]]:
    """Groups of classes that are cut together, where at least one of the names takes part."""
    wanted = set(names)
    return [members for members in graph.cut_together() if wanted & set(members)]


def _widths(size: int, align: int, min_fraction: float, cap: float) -> tuple[int, ...]:
    step = align if align <= size else size
    floor = min(size, step * math.ceil(max(align, min_fraction * size) / step))
    widths = sorted({*range(floor, size + 1, step), size})
    allowed = [width for width in widths if width <= cap * size]
    return tuple(allowed or widths[:1])
