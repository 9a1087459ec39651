"""Interrupts: Ctrl-C takes effect between updates, so that a saved state is whole."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self

_log = logging.getLogger(__name__)


class Interrupts:
    """While the context is open, SIGINT waits for the end of a `held` block; a second one doesn't wait.

    Only Python's own handler is replaced, and only in the main thread; a program with its own handler keeps it.
    """

    def __init__(self) -> None:
        self._holding = False
        self._asked = False
        self._installed = False

    def __enter__(self) -> Self:
        in_main = threading.current_thread() is threading.main_thread()
        self._installed = in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if self._installed:
            signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *error: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block that a first Ctrl-C doesn't break.

        Raises:
            KeyboardInterrupt: after the block, if Ctrl-C came in it.
        """
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._asked:
            self._asked = False
            raise KeyboardInterrupt

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self._holding or self._asked:
            raise KeyboardInterrupt
        self._asked = True
        _log.warning("Interrupted: the run stops after this update. Press Ctrl-C again to stop at once.")
