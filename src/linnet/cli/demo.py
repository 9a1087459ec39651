"""`linnet demo`: nuclei in two real pictures beside their truth, without a network and without any file of yours."""

import time
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from linnet.cli.next_step import closing

if TYPE_CHECKING:
    import numpy as np

    from linnet.nuclei import Detections, Detector
    from linnet.nuclei.scoring.scores import Evaluation
    from linnet.report import Section

_NEXT = "linnet nuclei detect your/images/*.tif -o found"
_SAMPLES = (
    (
        "fluorescence",
        "fluorescence.png",
        "Fluorescence",
        "Cell nuclei, from the Data Science Bowl 2018 (CC0 1.0; Caicedo et al., Nature Methods 16, 1247, 2019).",
    ),
    (
        "tissue",
        "tissue.jpg",
        "Stained tissue",
        "Breast cancer, H&E at 40x, from the TNBC set (CC BY 4.0; Naylor et al., IEEE TMI 38, 448, 2019).",
    ),
)


@dataclass(frozen=True)
class Shown:
    """One picture of the demo and what was found in it.

    Attributes:
        name: Stem of its files.
        pixels: (h, w) or (h, w, 3).
        found: The detections.
        scores: Against the outlined nuclei.
        wall_s: What the search took.
    """

    name: str
    pixels: "np.ndarray"
    found: "Detections"
    scores: "Evaluation"
    wall_s: float


def demo(*, out: Annotated[Path, Parameter(alias="-o")] = Path("linnet-demo")) -> int:
    """See nuclei found in a real fluorescence picture and in real stained tissue, beside what experts outlined.

    Needs no network, opens nothing, and takes less than a minute.

    Args:
        out: Folder for the points, the pictures and the report; made when missing.
    """
    import linnet.nuclei
    from linnet.report import page
    from linnet.results import atomic_write

    detector = linnet.nuclei.load("default")
    out.mkdir(parents=True, exist_ok=True)
    sections = []
    for name, file, title, source in _SAMPLES:
        shown = _show(name, file, detector, out)
        true, found = shown.scores.tp + shown.scores.fn, shown.found.count.n
        print(f"{name + ':':14}{found} found, {true} outlined by experts, F1 {shown.scores.f1:.3f}, ", end="")
        print(f"in {shown.wall_s:.1f} s" + _flagged(shown))
        sections.append(_section(shown, title, source))
    lead = "Every dot is a nucleus that linnet's shipped detector found, with one set of weights and no option."
    sections.append(_next_section())
    atomic_write(out / "report.html", page("linnet demo", sections, lead=lead, facts=[("command", "linnet demo")]))
    closing(out / "report.html", _NEXT)
    return 0


def _show(name: str, file: str, detector: "Detector", out: Path) -> Shown:
    """Finds the nuclei of one picture and writes the picture and its points."""
    from skimage.io import imsave

    from linnet.nuclei import evaluate, read_points
    from linnet.nuclei.read.images import read_image

    with as_file(files("linnet.nuclei") / "samples") as samples:
        truth = read_points(samples / f"{name}.csv")
        pixels = read_image(samples / file).pixels
    begin = time.perf_counter()
    found = detector(pixels)
    wall_s = time.perf_counter() - begin
    imsave(out / f"{name}.png", pixels, check_contrast=False)
    found.write(out / f"{name}.csv")
    found.write(out / f"{name}.geojson")
    return Shown(name, pixels[:, :], found, evaluate(truth, found.points), wall_s)


def _flagged(shown: Shown) -> str:
    if shown.found.flag == "ok":
        return ""
    return f"\n{'':14}flagged {shown.found.flag.replace('_', ' ')}: {'; '.join(shown.found.flag_reasons)}"


def _section(shown: Shown, title: str, source: str) -> "Section":
    from linnet.report import Section, note, table

    scores = shown.scores
    rows = [[f"{scores.tp + scores.fn}", f"{scores.tp + scores.fp}", f"{scores.tp}"]]
    rows[0] += [f"{value:.3f}" for value in (scores.precision, scores.recall, scores.f1, scores.distance_mean)]
    columns = ["outlined", "found", "matched", "precision", "recall", "F1", "mean distance, px"]
    caption = f"Outlined by experts and found, matched one to one within {scores.radius_px:g} px."
    height, width = shown.found.shape
    files_ = f"{shown.name}.csv, {shown.name}.geojson (opens in QuPath) and the picture {shown.name}.png"
    flag = [note(f"Flagged: {'; '.join(shown.found.flag_reasons)}.", kind="warn")] if shown.found.flag_reasons else []
    said = f"{height} x {width} pixels, searched in {shown.wall_s:.1f} s. Beside this page: {files_}."
    lead = f"{source} It lies on the test side of its set: no weights were trained on it."
    return Section(title, [*flag, table(columns, rows, caption=caption), _picture(shown), said], lead=lead)


def _next_section() -> "Section":
    from linnet.report import Section, code

    return Section(
        "Next", ["On images of your own, from a terminal or from Python:", code(f"{_NEXT}\n"), code(_PYTHON)]
    )


_PYTHON = """import linnet
from skimage.io import imread

result = linnet.nuclei.load("default")(imread("your.tif"))
print(result.count.n, result.points[:3])   # (y, x) in pixels
result.write("your.geojson")               # opens in QuPath
"""


def _picture(shown: Shown) -> str:
    from linnet.report import data_uri, svg_dots

    return svg_dots(
        shown.found.points,
        shown.found.score,
        shape=shown.found.shape,
        picture_uri=data_uri(shown.pixels, max_bytes=400_000),
        picture_shape=shown.found.shape,
        key=shown.name,
        alt=f"{shown.name}: {shown.found.count.n} dots on the nuclei that were found",
    )
