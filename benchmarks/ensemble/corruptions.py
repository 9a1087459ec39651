"""Rates of the generated suite, and the whole suite beside a loop over single images."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from skimage.data import astronaut
from skimage.transform import resize

from benchmarks import DOCS
from benchmarks.ensemble.corruption_peer import WHERE, Peer
from benchmarks.goal import compared, machine_state, reached
from benchmarks.sidebyside import Side, compare
from linnet.data import corrupt, corruption_names
from linnet.report import picture_sheet
from linnet.results import Record

SHEET = DOCS / "images" / "corruptions.png"
_SEVERITIES = (1, 2, 3, 4, 5)
_RATE_GOAL, _LOOP_GOAL = 2000.0, 10.0
_PEER_ROW = "corruptions.suite.imagecorruptions"
Images = np.ndarray


def measure(*, quick: bool) -> list[Record]:
    """Images a second of each corruption, their median, and the suite against a loop over single images."""
    images = crops(32 if quick else 512)
    rates = [_rate(name, images, repeats=1 if quick else 5) for name in corruption_names()]
    median = float(np.median([record.value or 0.0 for record in rates]))
    return [
        *rates,
        reached(
            "corruptions.median",
            "corrupt, 32 x 32 RGB images, the median corruption",
            median,
            least=_RATE_GOAL,
            goal=f">= {_RATE_GOAL:,.0f} images/s",
            beside="-",
            unit="images/s",
            n=len(rates),
            context=machine_state(),
        ),
        _suite(images[: 8 if quick else 32], pairs=3 if quick else 7),
        _beside_peer(images[: 2 if quick else 32], pairs=3 if quick else 7),
    ]


def crops(count: int, side: int = 32) -> Images:
    """Natural RGB pictures of one size, uint8 (N, side, side, 3): windows of a photograph at half its resolution."""
    picture, generator = astronaut()[::2, ::2], np.random.default_rng(0)
    places = generator.integers(0, np.array(picture.shape[:2]) - side, (count, 2))
    return np.stack([picture[y : y + side, x : x + side] for y, x in places])


def draw(path: Path = SHEET) -> Path:
    """Writes the sheet of the docs: a row for each corruption, a column for each severity."""
    face = resize(astronaut()[20:276, 90:346], (64, 64), anti_aliasing=True)
    image = np.rint(face * 255).astype(np.uint8)[None]
    rows = {name: [corrupt(image, name, severity)[0] for severity in _SEVERITIES] for name in corruption_names()}
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = picture_sheet(rows, [f"severity {severity}" for severity in _SEVERITIES])
    sheet.savefig(path, dpi=90, metadata={"Software": None})
    return path


def _rate(name: str, images: Images, *, repeats: int) -> Record:
    """The median over the severities and repeats of images a second."""
    found = [
        len(images) / _seconds(lambda severity=severity: corrupt(images, name, severity))
        for _ in range(repeats)
        for severity in _SEVERITIES
    ]
    return Record.measured(
        f"corruptions.rate.{name}",
        float(np.median(found)),
        unit="images/s",
        n=len(found),
        context={"lowest": min(found), "batch": len(images)} | machine_state(),
    )


def _suite(images: Images, *, pairs: int) -> Record:
    def in_one_batch() -> int:
        return sum(len(corrupt(images, name, severity)) for name in corruption_names() for severity in _SEVERITIES)

    def one_at_a_time() -> int:
        return sum(
            len(corrupt(image[None], name, severity))
            for name in corruption_names()
            for severity in _SEVERITIES
            for image in images
        )

    ours, theirs = Side("a batch", in_one_batch, _count), Side("a loop over single images", one_at_a_time, _count)
    found = compare(ours, theirs, pairs=pairs)
    context = {
        "what": f"corrupt, the whole suite on {len(images)} images",
        "beside": theirs.name,
        "goal": f">= {_LOOP_GOAL:g}x",
        "least": _LOOP_GOAL,
    }
    reason = (
        "the loop calls the same code, which is fast on single images too; the goal was set for imagecorruptions, "
        "which is the next row"
    )
    return compared(
        "corruptions.suite",
        found,
        found.speed_ratio,
        found.interval,
        context=context | machine_state(),
        reason=reason,
    )


def _beside_peer(images: Images, *, pairs: int) -> Record:
    """The whole suite beside imagecorruptions, image by image."""
    beside = "imagecorruptions, one image at a time"
    about = {"what": f"corrupt, the whole suite on {len(images)} images", "beside": beside}
    about |= {"goal": f">= {_LOOP_GOAL:g}x", "least": _LOOP_GOAL}
    try:
        peer = Peer(images)
    except RuntimeError as error:
        reason = f"imagecorruptions can't be imported ({error}); {WHERE} may name a Python in which it can"
        return Record.measured(_PEER_ROW, None, context={**about, "reason": reason})

    def in_one_batch() -> int:
        return sum(len(corrupt(images, name, severity)) for name in corruption_names() for severity in _SEVERITIES)

    try:
        found = compare(Side("a batch", in_one_batch, _count), Side(beside, peer, _count), pairs=pairs)
    finally:
        peer.close()
    return compared(_PEER_ROW, found, found.speed_ratio, found.interval, context=about | machine_state())


def _count(outcome: object) -> int:
    return int(outcome) if isinstance(outcome, int) else -1


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
