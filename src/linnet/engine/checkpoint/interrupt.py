"""Interrupts: Ctrl-C and SIGTERM take effect between updates, so that a saved state is whole."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

_log = logging.getLogger(__name__)


class Interrupts:
    """While the context is open, SIGINT and SIGTERM wait for the end of a `held` block; a second one doesn't wait.

    SIGTERM is what Slurm and Kubernetes send before they end a job: the run is saved as after Ctrl-C, and ends with
    KeyboardInterrupt. Only the default handlers are replaced, and only in the main thread; a program with its own
    handler keeps it.
    """

    def __init__(self) -> None:
        self._holding = False
        self._asked = False
        self._replaced: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
            self._replaced = {number: how for number, how in usual.items() if signal.getsignal(number) is how}
        for number in self._replaced:
            signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *error: object) -> None:
        for number, how in self._replaced.items():
            signal.signal(number, how)
        self._replaced = {}

    @contextmanager
    def held(self) -> Iterator[None]:
        """A block that a first Ctrl-C or SIGTERM doesn't break.

        Raises:
            KeyboardInterrupt: after the block, if one came in it.
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
        again = "Press Ctrl-C again" if number == signal.SIGINT else "Send SIGTERM again"
        _log.warning("Interrupted: the run stops after this update. %s to stop at once.", again)
