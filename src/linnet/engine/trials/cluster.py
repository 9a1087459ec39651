"""A Dask cluster as the place where trials are done: one task each, keyed by its trial."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any

from linnet.engine.trials.trial import Trial
from linnet.errors import InputError, MissingExtra
from linnet.results import Record

_TIMEOUT_S = 10


@contextmanager
def dask_cluster(address: str) -> Iterator[Executor]:
    """The executor of a Dask cluster. A task that the scheduler tries again, after its worker died, counts once.

    Args:
        address: Of the scheduler: "tcp://host:8786". Its workers need this version of linnet and the same paths.

    Raises:
        MissingExtra: `distributed` isn't installed.
        InputError: it is no address, or nothing answers there.
    """
    if not re.fullmatch(r"(\w+://)?\S+:\d+|inproc://\S+", address):  # what Dask can't parse leaves a half-made client
        raise InputError(
            f"`cluster` must be the address of a running Dask scheduler, such as tcp://host:8786 (got {address!r})."
        )
    try:
        from distributed import Client  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtra(
            '`cluster` needs Dask\'s distributed scheduler. Install it: pip install "linnet[study]".'
        ) from error
    try:
        client = Client(address, timeout=_TIMEOUT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"`cluster` must be the address of a running Dask scheduler, such as tcp://host:8786 (got {address!r}: "
            f"{error})."
        ) from error
    with client:
        yield _ClusterExecutor(client)


def cluster_size(address: str) -> int:
    """How many worker processes a cluster has; at least 1, as they may still be on their way.

    Raises:
        As `dask_cluster`.
    """
    with dask_cluster(address) as executor:
        assert isinstance(executor, _ClusterExecutor)
        return max(1, executor.workers)


class _ClusterExecutor(Executor):
    """Hands trials to a Dask client; its futures are those of `concurrent.futures`, which `carry_out` waits for."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def workers(self) -> int:
        """Worker processes of the cluster."""
        return len(self._client.scheduler_info(n_workers=-1)["workers"])

    def submit(self, fn: Callable[..., Record], /, *args: Trial, **kwargs: Any) -> Future[Record]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One task, keyed by its trial: `submit(run, trial)`."""
        (trial,) = args
        key = f"linnet-{hashlib.sha256(trial.key.encode()).hexdigest()[:16]}"
        task = self._client.submit(fn, trial, key=key, pure=False)
        result: Future[Record] = Future()

        def hand_over(done: Any) -> None:
            problem = done.exception()
            if problem is None:
                result.set_result(done.result())
            else:
                result.set_exception(problem)

        result.set_running_or_notify_cancel()
        task.add_done_callback(hand_over)
        return result
