"""Which plane of a TIFF is meant: pages and channels are chosen by name, never guessed from sizes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from linnet.errors import ImageError

_SHOWN = 8


@dataclass(frozen=True)
class Layout:
    """One series of a TIFF: planes of one size.

    Attributes:
        axes: One letter per axis, slowest first: Y, X; S samples of a pixel, C channels, Z, T and others as tifffile
            names them.
        shape: Length of each axis.
        color: The samples are red, green, blue.
        alpha: Samples at the end that are transparency.
        channel_names: Names of the channels where the file gives them.
        dtype: Type of a sample, for messages.
    """

    axes: str
    shape: tuple[int, ...]
    color: bool = False
    alpha: int = 0
    channel_names: tuple[str, ...] = ()
    dtype: str = ""

    def size(self, axis: str) -> int:
        """Length of an axis; 1 where there is none."""
        return self.shape[self.axes.index(axis)] if axis in self.axes else 1

    @property
    def page_axes(self) -> str:
        """Axes over which pages run, slowest first."""
        return "".join(a for a in self.axes if a not in "YXSC")

    @property
    def pages(self) -> int:
        """Number of pages: pictures that differ in anything but the channel."""
        return math.prod(self.size(a) for a in self.page_axes)

    @property
    def samples(self) -> int:
        """Samples of a pixel, without transparency."""
        return self.size("S") - self.alpha

    @property
    def sample_channels(self) -> bool:
        """The samples are separate channels, not colours."""
        return self.samples > 1 and not self.color

    @property
    def channels(self) -> int:
        """Number of channels to choose from; a colour picture counts as one."""
        return self.samples if self.sample_channels else self.size("C")


@dataclass(frozen=True)
class Choice:
    """A plane of a TIFF.

    Attributes:
        series: Which series.
        plane: Which plane of it, counted over all axes but Y, X and S, the last one fastest.
        sample: The one sample wanted, or None for gray and for colour.
    """

    series: int
    plane: int
    sample: int | None = None


def choose(name: str, layouts: Sequence[Layout], *, page: int | None, channel: int | str | None) -> Choice:
    """The plane that `page` and `channel` name, both counted from 0.

    Args:
        name: The file, for messages.
        layouts: Its series in order; pages run through all of them.
        page: Needed when there are several pages.
        channel: Number or name, needed when there are several; for a colour picture 0, 1, 2 pick red, green, blue.

    Raises:
        ImageError: one of them is missing where there are several, or names none; what there is gets listed.
    """
    total = sum(layout.pages for layout in layouts)
    if page is None and total > 1:
        raise ImageError(
            f"{name}: this file holds {total} pages{_pages_listed(layouts)}; one picture is read at a time. "
            f"Choose one: --page N, or page=N in Python, N from 0 to {total - 1}{_channel_hint(layouts[0], channel)}; "
            "or all of them, each on its own: --page all, or as one picture: --project max."
        )
    wanted = page or 0
    if not 0 <= wanted < total:
        there = "there is only one, number 0. Leave the page out." if total == 1 else f"there are {total}, from 0 on."
        raise ImageError(f"{name}: page {wanted} was requested, but {there}")
    series = 0
    while wanted >= layouts[series].pages:
        wanted -= layouts[series].pages
        series += 1
    layout = layouts[series]
    picked, sample = _channel(name, layout, _number(name, layout, channel))
    return Choice(series, _plane(layout, wanted, picked), sample)


def _number(name: str, layout: Layout, channel: int | str | None) -> int | None:
    """The channel's number from its number or its name."""
    if channel is None or isinstance(channel, int):
        return channel
    word = channel.strip().lower()
    if word.isdigit():
        return int(word)
    colour = {"r": 0, "red": 0, "g": 1, "green": 1, "b": 2, "blue": 2}
    if layout.color and word in colour:
        return colour[word]
    named = [k for k, known in enumerate(layout.channel_names) if known.strip().lower() == word]
    if len(named) == 1:
        return named[0]
    if layout.channels == 1 and not layout.color:
        raise ImageError(
            f"{name}: channel {channel!r} was requested, but there is only one channel, number 0. Leave the channel "
            "out."
        )
    there = "red, green, blue" if layout.color else channels_listed(layout)
    raise ImageError(f"{name}: channel {channel!r} was requested, but there are: {there}. Choose one of these.")


def _channel(name: str, layout: Layout, channel: int | None) -> tuple[int, int | None]:
    """(index on the C axis, sample)."""
    if channel is None:
        if layout.channels > 1:
            raise ImageError(
                f"{name}: this file holds {layout.channels} channels ({channels_listed(layout)}); the one with the "
                f"nuclei is needed. Choose it: --channel N, or channel=N in Python"
                f"{', or all three as one colour picture: --channel rgb' if layout.channels == 3 else ''}."
            )
        return 0, None
    if layout.channels > 1:
        if not 0 <= channel < layout.channels:
            raise ImageError(
                f"{name}: channel {channel} was requested, but there are {layout.channels} "
                f"({channels_listed(layout)}). Choose one of these."
            )
        return (0, channel) if layout.sample_channels else (channel, None)
    if layout.color:
        if not 0 <= channel < 3:
            raise ImageError(
                f"{name}: channel {channel} was requested, but this is a colour picture: 0 is red, 1 green, 2 blue. "
                "Choose one of these, or none to use all three."
            )
        return 0, channel
    if channel != 0:
        raise ImageError(
            f"{name}: channel {channel} was requested, but there is only one channel, number 0. Leave the channel out."
        )
    return 0, None


def channels_listed(layout: Layout) -> str:
    """ "0 DAPI, 1 GFP, 2"."""
    names, shown = dict(enumerate(layout.channel_names)), []
    for i in range(min(layout.channels, _SHOWN)):
        known = names.get(i, "")
        shown.append(f"{i} {known}" if known not in ("", str(i)) else str(i))
    return ", ".join(shown) + (f", ... {layout.channels - 1}" if layout.channels > _SHOWN else "")


def _plane(layout: Layout, page: int, channel: int) -> int:
    """Index over all axes but Y, X and S, in the order of the file."""
    position = dict(zip(layout.page_axes, _unravel(page, [layout.size(a) for a in layout.page_axes]), strict=True))
    position["C"] = channel
    plane = 0
    for axis in layout.axes:
        if axis not in "YXS":
            plane = plane * layout.size(axis) + position[axis]
    return plane


def _unravel(index: int, sizes: Sequence[int]) -> list[int]:
    position = []
    for size in reversed(sizes):
        index, rest = divmod(index, size)
        position.append(rest)
    return position[::-1]


def _pages_listed(layouts: Sequence[Layout]) -> str:
    if len(layouts) == 1:
        only = layouts[0]
        runs = [f"{axis} {only.size(axis)}" for axis in only.page_axes if axis in "ZT"]
        each = f"each {only.size('X')} x {only.size('Y')} {only.dtype}".strip()
        return f" ({', '.join([' x '.join(runs), each]).strip(', ')})"
    first, shown = 0, []
    for layout in layouts[:_SHOWN]:
        last = first + layout.pages - 1
        number = str(first) if last == first else f"{first}-{last}"
        shown.append(f"{number}: {layout.size('X')} x {layout.size('Y')} {layout.dtype}".strip())
        first = last + 1
    return f" ({', '.join(shown)}{', ...' if len(layouts) > _SHOWN else ''})"


def _channel_hint(layout: Layout, channel: int | str | None) -> str:
    if channel is not None or layout.channels < 2:
        return ""
    return f"; and a channel: --channel N ({channels_listed(layout)})"
