"""How often the shipped flag is wrong: known kinds of picture that it fires on, and foreign ones that it lets pass."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

import linnet.nuclei
from benchmarks.subject import Subject
from linnet.data import NucleusImage, data_root, read_nucleus_set
from linnet.nuclei import Detector
from linnet.results import Record

KNOWN = {
    "nuclei_dsb2018": "test pictures of DSB 2018",
    "nuclei_dsb2018_more": "test pictures of DSB 2018's second part",
    "nuclei_tnbc": "test patients of TNBC",
}
FOREIGN = {
    "photographs": "photographs, text and textures of scikit-image's wheel",
    "patterns": "noise, waves, stripes, squares, slopes, constant pictures",
    "empty": "blank camera fields and white glass, raw and as JPEG",
    "out of focus": "test pictures of DSB 2018 blurred by 8 to 16 px",
}
_NAMES = (
    *("astronaut", "camera", "chelsea", "coffee", "rocket", "moon", "retina", "hubble_deep_field", "text", "page"),
    *("brick", "grass", "gravel", "clock", "logo", "colorwheel", "motorcycle_left", "eagle"),
)
_SIDES = (256, 400, 640)  # of the photographs; the wheel's own sizes say nothing about a microscope's
_BLUR = (8.0, 12.0, 16.0)


def known_records(*, quick: bool) -> list[Record]:
    """Share of known pictures that are flagged; each picture counts once, whatever crops it has.

    Args:
        quick: Three images of each set.

    Raises:
        DataError: no folder of data is known.
    """
    detector, records = linnet.nuclei.load("default"), []
    for name in KNOWN:
        if not (data_root() / name).is_dir():
            continue
        flagged: dict[str, list[bool]] = {}
        for image in _test(name, quick=quick):
            flagged.setdefault(image.mosaic_id, []).append(detector(image.pixels()).flag != "ok")
        share = float(np.mean([np.mean(of) for of in flagged.values()]))
        records.append(Record.measured(f"nuclei.flags.false_alarms.{name}", share, n=len(flagged), split="test"))
    return records


def foreign_records(*, quick: bool) -> list[Record]:
    """Share of pictures that are no field of nuclei in focus, and that are "ok" all the same.

    Args:
        quick: The first three pictures of each kind.
    """
    detector, records = linnet.nuclei.load("default"), []
    kinds = {"photographs": _photographs(), "patterns": _patterns(), "empty": _empty()}
    if (data_root() / "nuclei_dsb2018").is_dir():
        kinds["out of focus"] = _blurred(quick=quick)
    for kind, pictures in kinds.items():
        passed = [_passes(detector, picture) for k, picture in enumerate(pictures) if not quick or k < 3]
        if passed:
            records.append(Record.measured(f"nuclei.flags.missed.{kind}", float(np.mean(passed)), n=len(passed)))
    return records


def _passes(detector: Detector, picture: np.ndarray) -> bool:
    return detector(picture).flag == "ok"


def _test(name: str, *, quick: bool) -> list[NucleusImage]:
    images = read_nucleus_set(data_root() / name, "test")
    return images[:3] if quick else images


def _photographs() -> Iterator[np.ndarray]:
    from skimage import data

    for name in _NAMES:
        try:
            picture = getattr(data, name)()
        except (AttributeError, ConnectionError, OSError, ModuleNotFoundError):
            continue  # this wheel doesn't carry it
        for side in _SIDES:
            shown = Image.fromarray(picture[..., :3] if picture.ndim == 3 else picture)
            shown.thumbnail((side, side))
            yield np.asarray(shown)


def _patterns() -> Iterator[np.ndarray]:
    y, x = np.mgrid[:300, :300]
    for rng_seed in range(5):
        rng = np.random.default_rng(rng_seed)
        yield rng.normal(100, 10, (300, 300)).clip(0, 255).astype(np.uint8)
        yield rng.integers(0, 256, (300, 300, 3), dtype=np.uint8)
        yield gaussian_filter(rng.normal(0, 1, (300, 300)), 4 + 2 * rng_seed)
        yield np.sin(x / (3.0 + rng_seed))
        yield ((x // (8 + 4 * rng_seed) + y // (8 + 4 * rng_seed)) % 2 * 200).astype(np.uint8)
        yield (x + rng_seed * y).astype(np.uint16)
        yield np.full((300, 300), 50 * rng_seed, np.uint8)


def _empty() -> Iterator[np.ndarray]:
    for rng_seed in range(5):
        rng = np.random.default_rng(rng_seed)
        for photons in (5, 50):
            counts = rng.poisson(photons, (512, 512)) + rng.normal(100, 3, (512, 512))
            yield counts.clip(0).astype(np.uint16)
        white = rng.normal(240, 2, (512, 512, 3)).clip(0, 255).astype(np.uint8)
        yield white
        for quality in (60, 75, 90):
            content = io.BytesIO()
            Image.fromarray(white).save(content, "JPEG", quality=quality)
            yield np.asarray(Image.open(content))


def _blurred(*, quick: bool) -> Iterator[np.ndarray]:
    for k, image in enumerate(_test("nuclei_dsb2018", quick=quick)[::4]):
        pixels, sigma = image.pixels().astype(np.float64), _BLUR[k % len(_BLUR)]
        yield gaussian_filter(pixels, (sigma, sigma, 0)[: pixels.ndim]).round().astype(np.uint8)


def as_markdown(records: Sequence[Record]) -> str:
    """A row per kind of picture."""
    rows = ["| pictures | n | flagged | should be |", "|---|---|---|---|"]
    by_name = {record.name: record for record in records}
    for kind, what in KNOWN.items():
        if (alarm := by_name.get(f"nuclei.flags.false_alarms.{kind}")) is not None:
            rows.append(f"| {what} | {alarm.n} | {alarm.value:.1%} | few: at most 5 % |")
    for kind, what in FOREIGN.items():
        if (missed := by_name.get(f"nuclei.flags.missed.{kind}")) is not None:
            rows.append(f"| {what} | {missed.n} | {1 - missed.value:.1%} | all |")
    return "\n".join(rows)


SUBJECT = Subject({"known": known_records, "foreign": foreign_records}, as_markdown)
"""`python -m benchmarks nuclei_flags`."""
