"""Many images at once: each gives its files, failures are listed, and a page shows it all."""

import dataclasses
import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from markupsafe import Markup

from linnet.errors import ImageError, InputError, LinnetError
from linnet.nuclei.batch.folder import prepared
from linnet.nuclei.batch.jobs import Job, jobs
from linnet.nuclei.batch.options import Options, check_options
from linnet.nuclei.batch.overlay import write_overlay
from linnet.nuclei.batch.page import KEPT, MOST_PICTURES, Card, batch_page, card, worst_first
from linnet.nuclei.batch.progress import watched
from linnet.nuclei.batch.scales import agreed_diameter, disagreement
from linnet.nuclei.detector.colour import Modality
from linnet.nuclei.detector.detector import Detector
from linnet.nuclei.detector.files import file_digest, load
from linnet.nuclei.detector.prepared import Polarity
from linnet.nuclei.points.detections import Detections
from linnet.nuclei.points.inside import mean_inside
from linnet.nuclei.points.write import write_counts, write_detections, write_failed
from linnet.nuclei.read.channels import each_channel
from linnet.nuclei.read.find import Failure, find_images, folders_of, left_out, skipped
from linnet.nuclei.read.images import Picture
from linnet.nuclei.read.stacks import Projection
from linnet.report import Content
from linnet.results import atomic_write, command, commit, machine, versions

_log = logging.getLogger(__name__)


class FindsNuclei(Protocol):
    """What a batch needs of a detector: `linnet.nuclei.Detector` is one."""

    def __call__(
        self,
        image: Any,
        pixel_size_um: float | None = None,
        *,
        diameter_px: float | Literal["auto"] | None = "auto",
        tile: int | Literal["auto"] | None = "auto",
        threshold: float | None = None,
        on_tile: Callable[[int, int], None] | None = None,
    ) -> Detections:
        """The nuclei of one image."""
        ...


@dataclass(frozen=True)
class Done:
    """An image that was done: its file, the name of its results, and what was found."""

    image: Path
    stem: str
    detections: Detections
    page: int | None = None

    @property
    def name(self) -> str:
        """The file's name, with the page where one was searched by itself."""
        return self.image.name if self.page is None else f"{self.image.name}, page {self.page}"


@dataclass(frozen=True)
class BatchResult:
    """What a batch left.

    Attributes:
        out: Folder of the results; `report.html` in it is the page to open.
        done: Images with a result, in the order given.
        failed: Images without one, and why.
        remarks: What is odd about the batch as a whole.
        skipped: What lies in the folders and was not searched, and why.
    """

    out: Path
    done: tuple[Done, ...]
    failed: tuple[Failure, ...]
    remarks: tuple[str, ...] = ()
    skipped: tuple[Failure, ...] = ()

    @property
    def report(self) -> Path:
        """The page that shows it all."""
        return self.out / "report.html"

    @property
    def nuclei(self) -> int:
        """Nuclei in all images."""
        return sum(one.detections.count.n for one in self.done)

    def named(self) -> "Iterator[tuple[str, Done]]":
        """Each image by its file's name and page, or by its path where several files have that name."""
        return _named(self.done)


@dataclass
class _Batch:
    """What has come together so far."""

    out: Path
    of: int
    endings: tuple[str, ...]
    done: list[Done] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    skipped: list[Failure] = field(default_factory=list)
    names: Counter[str] = field(default_factory=Counter)
    cards: list[Card] = field(default_factory=list)

    def keep(self, one: Card) -> None:
        """Adds a card; of a large batch only the worst stay in memory."""
        self.cards.append(one)
        if self.of > MOST_PICTURES and len(self.cards) > 2 * KEPT:
            kept = {id(c) for c in worst_first(self.cards)[:KEPT]}
            self.cards = [c if id(c) in kept else dataclasses.replace(c, picture=Markup("")) for c in self.cards]


def detect(
    paths: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    weights: str | Path | FindsNuclei = "default",
    formats: Sequence[str] = ("csv", "geojson"),
    tile: int | Literal["auto"] | None = "auto",
    page: int | Literal["all"] | None = None,
    channel: int | str | None = None,
    project: Projection | None = None,
    recursive: bool = False,
    pixel_size_um: float | None = None,
    diameter_px: float | Literal["auto"] | None = "auto",
    diameter_um: float | None = None,
    same_scale: bool = False,
    modality: Modality = "auto",
    polarity: Polarity = "auto",
    threshold: float | None = None,
    overlay: bool = True,
    progress: bool = True,
    reproducible: bool = False,
    overwrite: bool = False,
) -> BatchResult:
    """Finds the nuclei of many images and writes what was found.

    An image that can't be used is noted and the others go on. The files of an image are there as soon as it is done,
    each whole or not at all, so that an interrupted batch leaves what it has. In `out`: per image <stem>.csv,
    <stem>.geojson, <stem>.overlay.png; for all counts.csv, failed.csv, run.json and report.html.

    Args:
        paths: Files, folders, patterns like "plate/*.tif".
        out: Folder for the results; made when it isn't there.
        weights: "default", a file of weights, or a detector.
        formats: Of csv, geojson, geojson.gz, json.
        tile: As in the detector.
        page: Page of files that hold several, from 0; "all" searches each page by itself, with the page in its name.
        channel: Channel of files that hold several, from 0, or its name; "r", "g", "b" of colour pictures.
        project: Makes one picture of all pages: "max", "mean" or "best-focus".
        recursive: Takes the images of folders inside folders too; their results lie in folders of the same names.
        pixel_size_um: Side of a pixel in micrometres; what the files say when None.
        diameter_px: Diameter of the nuclei in pixels; "auto" finds it in each image, None leaves the images as they
            are.
        diameter_um: The same in micrometres, for images whose pixel size is known.
        same_scale: Takes one diameter for all images, that which most of them agree on.
        modality: "fluorescence" or "brightfield" for pictures that would be taken for the other.
        polarity: "bright" or "dark" nuclei.
        threshold: Lowest score of a nucleus; the weights' own when None.
        overlay: Writes <stem>.overlay.png.
        progress: Shows it on stderr when that is a terminal.
        reproducible: Leaves date, command and machine out, so that the same input gives the same bytes.
        overwrite: Removes what an earlier run left in `out`; without it such a folder is refused.

    Returns:
        What was done and what failed.

    Raises:
        ImageError: the paths mean no image at all.
        InputError: an option is wrong, `out` can't be a folder, can't be written, or holds the results of another run.
        CheckpointError: the weights can't be used.
        KeyboardInterrupt: after what was done has been listed in counts.csv and report.html.
    """
    options = Options(
        page,
        channel,
        pixel_size_um,
        diameter_px,
        threshold,
        tile,
        tuple(dict.fromkeys(formats)),
        overlay=overlay,
        diameter_um=diameter_um,
        same_scale=same_scale,
        modality=modality,
        polarity=polarity,
        project=project,
    )
    check_options(options)
    places = [paths] if isinstance(paths, str | Path) else list(paths)
    images, failures = find_images(places, recursive=recursive)
    others = skipped(places, recursive=recursive)
    todo, uncounted = jobs(images, page, folders_of(images, places) if recursive else ())
    detector = load(weights) if isinstance(weights, str | Path) else weights
    folder = prepared(Path(out), overwrite=overwrite)
    if same_scale and diameter_px == "auto" and diameter_um is None:
        options = dataclasses.replace(options, diameter_px=agreed_diameter(detector, todo, options.open))
    batch = _Batch(folder, of=len(todo), endings=options.endings, failed=[*failures, *uncounted], skipped=others)
    batch.names.update({job.image: job.image.name for job in todo}.values())
    facts = _facts(weights, detector, options, reproducible=reproducible)
    with _writing(batch):
        try:
            with watched(len(todo), wanted=progress) as watch:
                for job in todo:
                    watch(job.image.name)
                    _one(batch, job, detector, options, watch.tile)
                    watch.image_done()
        except KeyboardInterrupt:
            _finish(batch, options, facts, reproducible=reproducible)
            raise KeyboardInterrupt(
                f"Stopped after {len(batch.done)} of {len(todo)} images; their results are in {batch.out}."
            ) from None
        _finish(batch, options, facts, reproducible=reproducible)
    return BatchResult(
        batch.out, tuple(batch.done), tuple(batch.failed), _remarks(batch, options), tuple(batch.skipped)
    )


@contextmanager
def _writing(batch: _Batch) -> Iterator[None]:
    """Says what is kept where results can't be written: a full disk, a drive that has gone."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename or batch.out}: {error.strerror or error}. Stopped after {len(batch.done)} of {batch.of} "
            f"images; the files of those are kept in {batch.out}, without report.html. Free some space or choose "
            "another folder by `out`, and run it again."
        ) from error


def _remarks(batch: _Batch, options: Options) -> tuple[str, ...]:
    words = [left_out(batch.skipped)]
    if options.diameter_px == "auto" and options.diameter_um is None:
        words.append(disagreement([(name, one.detections) for name, one in _named(batch.done)]))
    return tuple(word for word in words if word)


def _one(
    batch: _Batch,
    job: Job,
    detector: FindsNuclei,
    options: Options,
    on_tile: Callable[[int, int], None],
) -> None:
    """One image: read, search, write. What is wrong with it is noted; what is wrong with an option is raised."""
    image, stem = job.image, job.stem
    try:
        picture = options.open(job)
        found = _measured(_found(picture, detector, options, on_tile), job, options)
    except ImageError as error:
        batch.failed.append(_failure(image, str(error)))
        return
    except InputError:
        raise
    except OSError as error:  # the file went while it was read
        batch.failed.append(_failure(image, f"it can't be read ({error.strerror or error}). Check the drive."))
        return
    except (LinnetError, MemoryError, RuntimeError) as error:
        _log.warning("%s: %s", image, error, exc_info=True)
        batch.failed.append(_failure(image, f"{type(error).__name__}: {error}"))
        return
    (batch.out / stem).parent.mkdir(parents=True, exist_ok=True)
    for ending in options.formats:
        write_detections(found, batch.out / f"{stem}.{ending}", digest=picture.digest)
    if options.overlay:
        write_overlay(batch.out / f"{stem}.overlay.png", picture.pixels, found)
    batch.done.append(done := Done(image, stem, found, job.page))
    name = done.name if batch.names[image.name] < 2 else str(image.with_name(done.name))
    batch.keep(card(name, stem, picture.pixels, found, of=batch.of, key=len(batch.done), files=options.endings))


def _found(
    picture: Picture, detector: FindsNuclei, options: Options, on_tile: Callable[[int, int], None]
) -> Detections:
    side_um = picture.pixel_size_um if options.pixel_size_um is None else options.pixel_size_um
    if options.diameter_um is not None and side_um is None:
        raise ImageError("the file doesn't say its pixel size, which `diameter_um` needs. Give it by `pixel_size_um`.")
    return detector(
        picture.pixels,
        side_um,
        on_tile=on_tile,
        **options.search,
    )


def _measured(found: Detections, job: Job, options: Options) -> Detections:
    """With the mean intensities of every channel of the file, where one of several was searched."""
    if found.diameters_px is None or options.channel is None:
        return found
    means = {
        name: mean_inside(pixels, found.points, found.diameters_px)[:, 0]
        for name, pixels in each_channel(job.image, page=job.page, channel=options.channel, project=options.project)
        if tuple(pixels.shape) == found.shape
    }
    return dataclasses.replace(found, intensities=means) if means else found


def _failure(image: Path, error: str) -> Failure:
    """The message without the file's own name in front: a column has that already."""
    return Failure(str(image), error.removeprefix(f"{image}: "))


def _named(done: Sequence[Done]) -> Iterator[tuple[str, Done]]:
    """Each image by its file's name, or by its path as given where several files have that name."""
    times = Counter(one.name for one in done)
    return ((one.name if times[one.name] == 1 else str(one.image.with_name(one.name)), one) for one in done)


def _finish(batch: _Batch, options: Options, facts: dict[str, Any], *, reproducible: bool) -> None:
    """Writes what is about the whole batch."""
    counted = [(name, one.detections) for name, one in _named(batch.done)]
    write_counts(batch.out / "counts.csv", counted, [one.image for one in batch.done])
    write_failed(batch.out / "failed.csv", batch.failed)
    now = "" if reproducible else datetime.now(UTC).isoformat(timespec="seconds")
    run = facts | {"images": len(batch.done), "failed": len(batch.failed)} | ({"time": now} if now else {})
    run["done"] = [{"stem": one.stem, "path": str(one.image), "page": one.page} for one in batch.done]
    run["skipped"] = [{"path": one.image, "reason": one.error} for one in batch.skipped]
    run["files"] = [f"{one.stem}.{ending}" for one in batch.done for ending in batch.endings]
    atomic_write(batch.out / "run.json", json.dumps(run, indent=2, ensure_ascii=False) + "\n")
    told = {"remarks": _remarks(batch, options), "skipped": batch.skipped}
    html = batch_page(batch.cards, batch.failed, **told, facts=_shown_facts(facts), date=now)
    atomic_write(batch.out / "report.html", html)


def _facts(
    weights: str | Path | FindsNuclei, detector: FindsNuclei, options: Options, *, reproducible: bool
) -> dict[str, Any]:
    """What made the results, for run.json."""
    name = Path(weights).name if isinstance(weights, str | Path) else "given in Python"
    here = {} if reproducible else {"command": command(), "folder": str(Path.cwd()), "machine": machine()}
    return {
        **here,
        "commit": commit(),
        "versions": versions(),
        "weights": {"name": name, "sha256": _digest(weights, detector)},
        "options": dataclasses.asdict(options),
    }


def _digest(weights: str | Path | FindsNuclei, detector: FindsNuclei) -> str:
    """SHA-256 of the file of weights; of names and values for a detector given in Python, "" if it isn't linnet's."""
    if isinstance(weights, str | Path):
        return file_digest(weights)
    if not isinstance(detector, Detector):
        return ""
    digest = hashlib.sha256()
    for name, value in sorted(detector.network.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _shown_facts(facts: dict[str, Any]) -> list[tuple[str, Content]]:
    weights = facts["weights"]
    given = {k: v for k, v in facts["options"].items() if v is not None and v is not False}
    rows: list[tuple[str, Content]] = []
    if "command" in facts:
        rows.append(("Command", Markup("<code>{}</code>").format(facts["command"])))
    rows.append(("Weights", f"{weights['name']} {weights['sha256'][:12]}".strip()))
    rows.append(("Options", ", ".join(f"{k} {' '.join(v) if isinstance(v, tuple) else v}" for k, v in given.items())))
    rows.append(("Commit", facts["commit"]))
    rows.append(("Versions", ", ".join(f"{k} {v}" for k, v in facts["versions"].items())))
    return rows
