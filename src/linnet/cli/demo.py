"""`linnet demo`: nuclei in two images and a natural gradient run, without a network and without any file of yours."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from linnet.cli.closing import closing
from linnet.cli.demo_natural import natural_gradient

if TYPE_CHECKING:
    import numpy as np

    from linnet.nuclei import Detections, Detector
    from linnet.nuclei.scoring.scores import Evaluation
    from linnet.report import Section

_FIELD_SHAPE, _FIELD_NUCLEI, _FIELD_SEED = (512, 640), 140, 7
_TISSUE_DIAMETER_PX = 16.0
_NEXT = "linnet nuclei detect your/images/*.tif -o found"


@dataclass(frozen=True)
class Shown:
    """One image of the demo and what was found in it.

    Attributes:
        name: Stem of its files.
        pixels: (h, w) or (h, w, 3).
        found: The detections.
        wall_s: Seconds that they took.
    """

    name: str
    pixels: "np.ndarray"
    found: "Detections"
    wall_s: float


def demo(*, out: Annotated[Path, Parameter(alias="-o")] = Path("linnet-demo")) -> int:
    """See nuclei found in a real and a synthetic image, and digits learnt by natural gradient on its predicted line.

    Needs no network, opens nothing, and takes less than a minute.

    Args:
        out: Folder for the points, the pictures and the report; made when missing.
    """
    import linnet.nuclei
    from linnet.data import fluorescence_field
    from linnet.nuclei.scoring.scores import evaluate
    from linnet.report import page
    from linnet.results import atomic_write

    detector = linnet.nuclei.load("default")
    field, truth = fluorescence_field(_FIELD_SHAPE, _FIELD_NUCLEI, _FIELD_SEED)
    out.mkdir(parents=True, exist_ok=True)
    tissue = _show("tissue", _tissue(), detector, out, diameter_px=_TISSUE_DIAMETER_PX)
    print(f"tissue:       {tissue.found.count.n} nuclei in {tissue.wall_s:.1f} s (a real section, stained)")
    fluorescence = _show("fluorescence", field, detector, out)
    scores = evaluate(truth, fluorescence.found.points)
    print(f"fluorescence: {fluorescence.found.count.n} of {len(truth)} nuclei in {fluorescence.wall_s:.1f} s", end="")
    print(f", F1 {scores.f1:.3f} (synthetic, truth known)")
    learnt = natural_gradient(print)
    sections = [_tissue_section(tissue), _fluorescence_section(fluorescence, scores)]
    sections += [*([] if learnt is None else [learnt]), _next_section()]
    lead = "Every dot is a nucleus that linnet's shipped detector found; the same weights for both images."
    atomic_write(out / "report.html", page("linnet demo", sections, lead=lead, facts=[("command", "linnet demo")]))
    closing(out / "report.html", _NEXT)
    return 0


def _tissue() -> "np.ndarray":
    """(512, 512, 3) uint8: colon section, hematoxylin and DAB, as scikit-image's wheel carries it."""
    from skimage.data import immunohistochemistry

    return immunohistochemistry()


def _show(name: str, pixels: "np.ndarray", detector: "Detector", out: Path, diameter_px: float | None = None) -> Shown:
    """Finds the nuclei of one image and writes the image and its points."""
    from skimage.io import imsave

    begin = time.perf_counter()
    found = detector(pixels, diameter_px=diameter_px)
    wall_s = time.perf_counter() - begin
    imsave(out / f"{name}.png", pixels, check_contrast=False)
    found.write(out / f"{name}.csv")
    found.write(out / f"{name}.geojson")
    return Shown(name, pixels, found, wall_s)


def _tissue_section(shown: Shown) -> "Section":
    from linnet.report import Section

    lead = (
        "Human colon: nuclei blue by hematoxylin, a protein brown by DAB, a stain that the detector was not "
        f"trained on: it finds a part of them. Their diameter was given, {_TISSUE_DIAMETER_PX:g} pixels. The picture "
        "comes with scikit-image."
    )
    return Section("A real tissue image", [_counts(shown), _picture(shown)], lead=lead)


def _fluorescence_section(shown: Shown, scores: "Evaluation") -> "Section":
    from linnet.report import Section, table

    rows = [[f"{scores.tp + scores.fn}", f"{scores.tp + scores.fp}", f"{scores.tp}"]]
    rows[0] += [f"{value:.3f}" for value in (scores.precision, scores.recall, scores.f1, scores.distance_mean)]
    columns = ["true", "found", "matched", "precision", "recall", "F1", "mean distance, px"]
    caption = f"One-to-one matching within {scores.radius_px:g} px."
    lead = "From linnet.data.fluorescence_field: uneven background, blur, photon and camera noise, a quarter touching."
    return Section(
        "A synthetic field with known truth", [table(columns, rows, caption=caption), _picture(shown)], lead=lead
    )


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


def _counts(shown: Shown) -> str:
    height, width = shown.found.shape
    files = f"{shown.name}.csv, {shown.name}.geojson (opens in QuPath) and the picture {shown.name}.png"
    return (
        f"{shown.found.count.n} nuclei in {height} x {width} pixels, {shown.wall_s:.1f} s. Beside this page: {files}."
    )


def _picture(shown: Shown) -> str:
    from linnet.report import data_uri, svg_dots

    pixels, found = _eight_bit(shown.pixels), shown.found
    return svg_dots(
        found.points,
        found.score,
        shape=found.shape,
        picture_uri=data_uri(pixels),
        picture_shape=found.shape,
        key=shown.name,
        alt=f"{shown.name}: {found.count.n} dots on the nuclei that were found",
    )


def _eight_bit(pixels: "np.ndarray") -> "np.ndarray":
    import numpy as np

    if pixels.dtype == np.uint8:
        return pixels
    low, high = np.percentile(pixels, [0.5, 99.8])
    return np.clip((pixels - low) * (255 / max(high - low, 1)), 0, 255).astype(np.uint8)
