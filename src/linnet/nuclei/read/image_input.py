"""What is given as an image: an array, or something that is read in parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from linnet.errors import ImageError


def as_image(image: Any, called: str = "The image") -> Any:
    """The image without alpha channel; shapes and types that aren't an image are refused, never guessed.

    Args:
        image: Anything with shape, dtype and slicing, which is left unread, or what `numpy.asarray` takes.
        called: How an error begins.

    Raises:
        ImageError: it isn't (h, w), (h, w, 3) or (h, w, 4), or has no pixels.
    """
    if not _is_array(image):
        image = np.asarray(image)
    shape = tuple(image.shape)
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (3, 4)) or 0 in shape:
        raise ImageError(
            f"{called} has shape {shape}; (height, width), (height, width, 3) or (height, width, 4), with at least "
            "one pixel, was needed. Choose one page or channel first; colours stand on the last axis."
        )
    if isinstance(image, np.ndarray) and len(shape) == 3 and shape[2] == 4:
        return image[..., :3]
    return image


def _is_array(image: Any) -> bool:
    """Whether it has shape, slicing and a dtype that numpy knows (a torch tensor's it doesn't)."""
    try:
        np.dtype(image.dtype)
    except (AttributeError, TypeError):
        return False
    return hasattr(image, "shape") and hasattr(image, "__getitem__")
