"""What a network was trained on, as long as it is there."""

from __future__ import annotations

import weakref
from typing import Any


class TrainedOn:
    """Whether an object is the one that members were trained on; it isn't kept alive, and copies forget it.

    Args:
        source: A loader; None or an object that can't be referred to weakly, such as a list: nothing is remembered.

    Example:
        >>> loader = {1, 2}
        >>> TrainedOn(loader).is_same(loader), TrainedOn(loader).is_same({1, 2}), TrainedOn().is_same(None)
        (True, False, False)
    """

    def __init__(self, source: Any = None) -> None:
        try:
            self._source = None if source is None else weakref.ref(source)
        except TypeError:
            self._source = None

    def is_same(self, source: Any) -> bool:
        """Whether `source` is that object."""
        return self._source is not None and self._source() is source

    def __reduce__(self) -> tuple[type[TrainedOn], tuple[()]]:
        return TrainedOn, ()
