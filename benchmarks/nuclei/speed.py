"""Megapixels per second end to end (normalise, search, peaks), side by side on the same cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from skimage.feature import blob_log

from benchmarks.goal import compared
from benchmarks.nuclei.log_detector import to_gray
from benchmarks.sidebyside import Comparison, Side, compare
from linnet.results import Record

Find = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Searched:
    """Outcome of one pass over the images: which were searched, and how many points came out."""

    shapes: tuple[tuple[int, ...], ...]
    points: int


def blob_log_points(image: np.ndarray) -> np.ndarray:
    """The multi-scale peer: `skimage.feature.blob_log` with 5 sigmas from 2 to 8, its other settings as they come."""
    return blob_log(to_gray(image, "linear"), min_sigma=2, max_sigma=8, num_sigma=5)[:, :2]


def speed_records(
    images: Sequence[np.ndarray], ours: Find, peers: Mapping[str, Callable[[int], Find]], *, threads: int, pairs: int
) -> list[Record]:
    """How many times as fast linnet is as each peer, with the same number of threads for both.

    linnet's threads are torch's, which work on one image together; a peer's threads take an image each, which is the
    best that a single-threaded function can make of several cores.

    Args:
        images: What is searched in each pass.
        ours: linnet's detector.
        peers: By name: from the index of an image to the function that searches it.
        threads: Of each side.
        pairs: Timed passes of each side.
    """
    megapixels = sum(image.shape[0] * image.shape[1] for image in images) / 1e6
    records = []
    for name, peer in peers.items():
        with torch_threads(threads), ThreadPoolExecutor(threads) as pool:
            us = Side("linnet", lambda: _searched(images, map(ours, images)), _work)
            them = Side(name, lambda peer=peer, pool=pool: _searched(images, _spread(pool, peer, images)), _work)
            records += _records(compare(us, them, pairs=pairs), megapixels, len(images), threads)
    return records


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """torch works with this many threads inside, and with as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _spread(
    pool: ThreadPoolExecutor, peer: Callable[[int], Find], images: Sequence[np.ndarray]
) -> Iterator[np.ndarray]:
    return pool.map(lambda indexed: peer(indexed[0])(indexed[1]), enumerate(images))


def _searched(images: Sequence[np.ndarray], found: Iterator[np.ndarray]) -> Searched:
    return Searched(tuple(image.shape for image in images), sum(len(points) for points in found))


def _work(outcome: object) -> tuple[tuple[int, ...], ...]:
    """The images that were searched; a side that found nothing at all has not searched."""
    assert isinstance(outcome, Searched)
    return outcome.shapes if outcome.points else ()


def _records(result: Comparison, megapixels: float, images: int, threads: int) -> list[Record]:
    ours_s, theirs_s = result.median_s
    context = {"threads": threads, "megapixels": round(megapixels, 3), "images": images}
    rates = [
        Record.measured(
            f"nuclei.rate.threads{threads}",
            megapixels / seconds,
            unit="MP/s",
            method=method,
            context=context | {"beside": beside},
        )
        for seconds, method, beside in ((ours_s, "linnet", result.b), (theirs_s, result.b, "linnet"))
    ]
    name = f"nuclei.speed_ratio.{result.b}.threads{threads}"
    return [compared(name, result, result.speed_ratio, result.interval, context=context), *rates]
