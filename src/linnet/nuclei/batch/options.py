"""How each image of a batch is read and searched; options that can't be meant are refused."""

from dataclasses import dataclass
from typing import Any, Literal

from linnet.errors import InputError
from linnet.nuclei.batch.jobs import Job
from linnet.nuclei.detector.colour import Modality
from linnet.nuclei.detector.prepared import Polarity
from linnet.nuclei.points.write import FORMATS
from linnet.nuclei.read.images import Picture, open_picture
from linnet.nuclei.read.stacks import Projection
from linnet.suggest import is_number


@dataclass(frozen=True)
class Options:
    """How each image is read and searched, as `detect` was told."""

    page: int | Literal["all"] | None
    channel: int | str | None
    pixel_size_um: float | None
    diameter_px: float | Literal["auto"] | None
    threshold: float | None
    tile: int | Literal["auto"] | None
    formats: tuple[str, ...]
    overlay: bool
    diameter_um: float | None = None
    same_scale: bool = False
    modality: Modality = "auto"
    polarity: Polarity = "auto"
    project: Projection | None = None

    @property
    def endings(self) -> tuple[str, ...]:
        """Endings of the files of an image."""
        return (*self.formats, "overlay.png") if self.overlay else self.formats

    @property
    def search(self) -> dict[str, Any]:
        """What goes to the detector by name; what isn't given is left out where not every detector takes it."""
        rare: dict[str, Any] = {"diameter_um": self.diameter_um} if self.diameter_um is not None else {}
        rare |= {k: v for k, v in (("modality", self.modality), ("polarity", self.polarity)) if v != "auto"}
        return {"diameter_px": self.diameter_px, "tile": self.tile, "threshold": self.threshold, **rare}

    def open(self, job: Job) -> Picture:
        """The picture of a job."""
        return open_picture(job.image, page=job.page, channel=self.channel, project=self.project)


def check_options(options: Options) -> None:
    """Refuses what can't be meant before a file is read or a folder is cleared.

    Raises:
        InputError: names the argument, what it must be and what was given.
    """
    wrong = [f for f in options.formats if f not in FORMATS]
    if wrong or not options.formats:
        raise InputError(f"`formats` is {list(options.formats)!r}; choose one or more of: {', '.join(FORMATS)}.")
    for name, words in (("diameter_px", "'auto' or a number of pixels > 0"), *_LENGTHS):
        value = getattr(options, name)
        if not (value is None or (name == "diameter_px" and value == "auto") or is_number(value, 0.0, above=True)):
            raise InputError(f"`{name}` must be {words} (got {value}).")
    if not (options.threshold is None or (is_number(options.threshold, 0.0, above=True) and options.threshold < 1.0)):
        raise InputError(f"`threshold` must be a number between 0 and 1, such as 0.3 (got {options.threshold}).")
    if options.project is not None and options.page is not None:
        raise InputError(
            f"`project` ({options.project}) makes one picture of all pages, and `page` ({options.page}) names some. "
            "Choose."
        )


_LENGTHS = (("diameter_um", "a number of micrometres > 0"), ("pixel_size_um", "a number of micrometres > 0"))
