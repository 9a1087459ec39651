"""Files of several pages: how many there are, and one picture made of all of them."""

from collections.abc import Callable, Iterable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import laplace

from linnet.errors import ImageError, InputError

Projection = Literal["max", "mean", "best-focus"]


def projected(name: str, how: Projection, pages: Iterable[NDArray[np.generic]]) -> NDArray[np.generic]:
    """One picture of a stack, page by page, so that only one more is in memory.

    "max" is the brightest value at each pixel, "mean" the average, and "best-focus" the page whose Laplacian varies
    most: out of focus there are no fine differences.

    Args:
        name: The file, for messages.
        how: Which picture is made.
        pages: Pixels of each page, (h, w) or (h, w, 3).

    Raises:
        ImageError: the pages differ in size.
        InputError: there is no such projection.
    """
    if how not in get_args(Projection):
        raise InputError(f"`project` must be one of {', '.join(get_args(Projection))} (got {how!r}).")
    kept: NDArray[Any] | None = None
    count, sharpest = 0, -1.0
    for page in pages:
        if kept is not None and page.shape != kept.shape:
            raise ImageError(
                f"{name}: its pages differ in size ({_size(kept)} and {_size(page)}), so they can't be made into one "
                "picture. Choose one page: --page N, or page=N in Python."
            )
        if how == "best-focus":
            sharp = _sharpness(page)
            kept, sharpest = (page, sharp) if sharp > sharpest else (kept, sharpest)
        elif how == "max":
            kept = page if kept is None else np.maximum(kept, page)
        else:
            kept = np.add(page, 0.0 if kept is None else kept, dtype=np.float64)
        count += 1
    if kept is None:
        raise ImageError(f"{name}: it has no page.")
    return np.asarray(kept / count, dtype=np.float32) if how == "mean" else kept


def as_colour(name: str, channel: Callable[[int], NDArray[np.generic]]) -> NDArray[np.generic]:
    """(h, w, 3): the channels 0, 1 and 2 of a file as red, green and blue.

    Args:
        name: The file, for messages.
        channel: Pixels of one of them.

    Raises:
        ImageError: they differ in size.
    """
    planes = [channel(k) for k in range(3)]
    if len({plane.shape for plane in planes}) > 1 or planes[0].ndim != 2:
        raise ImageError(f"{name}: its channels can't be shown as colours. Choose one: --channel N, or channel=N.")
    return np.stack(planes, axis=-1)


def _sharpness(page: NDArray[np.generic]) -> float:
    gray = page.astype(np.float64) if page.ndim == 2 else page.mean(-1, dtype=np.float64)
    return float(laplace(gray, mode="nearest").var())


def _size(page: NDArray[Any]) -> str:
    return f"{page.shape[1]:,} x {page.shape[0]:,}"
