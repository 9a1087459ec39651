"""`linnet nuclei detect | train | evaluate | study | view`."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import App, Parameter

from linnet.cli.next_step import closing
from linnet.cli.scores import batch_lines, score_lines, score_records
from linnet.cli.transfer.nuclei_study import study
from linnet.cli.words import in_cli_words
from linnet.errors import InputError

if TYPE_CHECKING:
    from linnet.nuclei import BatchResult

_OUT = Path("found")

nuclei = App(name="nuclei", help="Find, count and score nuclei in microscopy images.", help_format="plaintext")
nuclei.command(study, help_epilogue="Example: linnet nuclei study --demo -o study")


@nuclei.command(help_epilogue="Example: linnet nuclei detect plate/*.tif -o found")
@in_cli_words
def detect(
    *images: Path,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    overwrite: bool = False,
    format: str = "csv,geojson",
    tile: int | None = None,
    page: Literal["all"] | int | None = None,
    channel: str | None = None,
    project: Literal["max", "mean", "best-focus"] | None = None,
    recursive: bool = False,
    pixel_size: float | None = None,
    diameter: Literal["auto"] | float = "auto",
    diameter_um: float | None = None,
    same_scale: bool = False,
    modality: Literal["auto", "fluorescence", "brightfield"] = "auto",
    polarity: Literal["auto", "bright", "dark"] = "auto",
    threshold: float | None = None,
    weights: str = "default",
    overlay: bool = True,
) -> int:
    """Find nuclei in images; writes points, counts, pictures and a report.

    An image that can't be used is listed at the end and in failed.csv; the others are done, and the exit code is 1.

    Args:
        images: One or more files or folders of them: TIFF, OME-TIFF, SVS, NDPI, PNG, JPEG and others; OME-Zarr and
            MIRAX with the extra linnet[slides]; CZI, ND2 and LIF with linnet[formats].
        out: Folder for the results; made when missing. Without it: found, or found-2 when found holds another run's.
        overwrite: Replace the results of another run in that folder.
        format: Files of points for each image, separated by commas: csv, geojson (opens in QuPath), geojson.gz, json.
        tile: Side of a tile in pixels for large images; by default chosen by size. The result is the same for all.
        page: Page of a file with several, from 0; all searches each page by itself.
        channel: Channel of a file with several, from 0, or its name; r, g or b of a colour picture; rgb makes three
            channels the colours of one.
        project: Make one picture of all pages of a file.
        recursive: Take the images of folders inside folders too; the results lie in folders of the same names.
        pixel_size: Side of a pixel in micrometres, in place of what the file says.
        diameter: Diameter of the nuclei in pixels; auto finds it in each image.
        diameter_um: The same in micrometres, for images whose pixel size is known.
        same_scale: Take one diameter for all images, that which most of them agree on.
        modality: fluorescence or brightfield, for pictures that would be taken for the other.
        polarity: bright or dark nuclei; auto leaves out dark holes on dark ground and nothing else.
        threshold: Smallest score of a nucleus, 0 to 1, in place of the one that comes with the weights.
        weights: "default" for the detector that comes with linnet, or a file that linnet has trained.
        overlay: Write a picture with the points for each image.
    """
    from linnet.nuclei.batch.batch import detect as detect_batch
    from linnet.nuclei.batch.folder import free

    if not images:
        raise InputError(
            "No image was given. Name one or more files or folders: linnet nuclei detect plate/*.tif -o found"
        )
    given = {"diameter_um": diameter_um, "same_scale": same_scale, "overwrite": overwrite}
    given |= {"project": project, "recursive": recursive}
    rare: dict[str, Any] = {option: value for option, value in given.items() if value}
    rare |= {option: word for option, word in (("modality", modality), ("polarity", polarity)) if word != "auto"}
    endings = tuple(word.strip() for word in format.split(",") if word.strip())
    result = detect_batch(
        images,
        out or (_OUT if overwrite else free(_OUT)),
        weights=weights,
        formats=endings,
        tile="auto" if tile is None else tile,
        page=page,
        channel=int(channel) if channel is not None and channel.isdigit() else channel,
        pixel_size_um=pixel_size,
        diameter_px=diameter,
        threshold=threshold,
        overlay=overlay,
        **rare,
    )
    print("\n".join(batch_lines(result)))
    closing(result.report, _after_detect(result, endings))
    return int(bool(result.failed))


def _after_detect(result: "BatchResult", endings: tuple[str, ...]) -> str:
    if not result.done:
        return f"read {result.out / 'failed.csv'}, mend or export the images, and run it again"
    drag = "; drag a .geojson onto its image in QuPath" if "geojson" in endings else ""
    return f"open it in a browser{drag}"


@nuclei.command(help_epilogue="Example: linnet nuclei evaluate truth/ found/ --radius 5")
@in_cli_words
def evaluate(
    truth: Path,
    found: Path,
    /,
    *,
    radius: float = 5.0,
    pixel_size: float | None = None,
    trust_points: bool = False,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
) -> int:
    """Score found points against true ones: each true nucleus is matched to at most one found point, and the reverse.

    Args:
        truth: Table of points (columns y and x, as ImageJ, QuPath, CellProfiler, napari and others name them), GeoJSON,
            ROIs of ImageJ, label image, or a folder of these.
        found: The same for what was found; files of two folders are paired by name.
        radius: Largest distance of a matched pair in pixels.
        pixel_size: Side of a pixel in micrometres, for points that are in micrometres.
        trust_points: Score points as they are, even if they fit much better with x and y exchanged, from micrometres,
            to a picture of another size, to another origin or to another image.
        out: Also write the scores as records to this file.
    """
    from linnet.nuclei.scoring.scores import evaluate as score

    result = score(truth, found, radius_px=radius, pixel_size_um=pixel_size, trust_points=trust_points)
    print("\n".join(score_lines(result)))
    if out is None:
        closing("the table above", f"linnet nuclei evaluate {truth} {found} -o scores.jsonl, to keep it")
    else:
        from linnet.results import write_records

        closing(write_records(out, score_records(result)), f"linnet report {out}")
    return 0


@nuclei.command(help_epilogue="Example: linnet nuclei train clicks/ --images plate/ --out mine.safetensors")
@in_cli_words
def train(
    points: Path,
    /,
    *,
    images: Path,
    out: Annotated[Path, Parameter(alias="-o")] = Path("nuclei.safetensors"),
    start: str = "default",
    preset: Literal["small", "paper"] = "small",
    epochs: int = 10,
    batches: int = 100,
    batch_size: int = 16,
    lr: float | None = None,
    page: int | None = None,
    channel: int | None = None,
    pixel_size: float | None = None,
    trust_points: bool = False,
    rng_seed: int = 0,
) -> int:
    """Train a detector on images of your own, with points on all of their nuclei.

    A fifth of the images is held out (from 4 images on): it sets the threshold and gives the F1 that is shown. When it
    is stopped, the same command goes on from the last checkpoint.

    Args:
        points: Folder with a file of points (table, GeoJSON, ROIs of ImageJ) or a label image for each image, or one
            table with a column image.
        images: Folder of the images; those without points are left out.
        out: The trained detector.
        start: "default" to go on from the detector that comes with linnet, "scratch", or a file of another one.
        preset: The network, when it starts from scratch.
        epochs: Passes; each ends with a checkpoint.
        batches: Steps in a pass.
        batch_size: Image crops in a step.
        lr: Learning rate; by default 0.003 from scratch and 0.0005 otherwise.
        page: Page of files with several, from 0.
        channel: Channel of files with several, from 0.
        pixel_size: Side of a pixel of all images in micrometres; the detector then scales other images by theirs, and
            points in micrometres are read.
        trust_points: Train on points as they are, even if many more of them would lie on nuclei with x and y
            exchanged, from micrometres, on a picture of another size, with another origin or on another image.
        rng_seed: Seed of everything random; the same seed gives the same detector on the same machine.
    """
    from linnet.nuclei import train as train_detector
    from linnet.nuclei.points.annotations import read_annotated

    pixels, truths = read_annotated(images, points, page=page, channel=channel, pixel_size_um=pixel_size)
    checkpoints = out.with_name(f"{out.name}.checkpoints")
    detector = train_detector(
        pixels,
        truths,
        start=None if start == "scratch" else start,
        preset=preset,
        epochs=epochs,
        batches=batches,
        batch_size=batch_size,
        lr=lr,
        pixel_size_um=pixel_size,
        trust_points=trust_points,
        rng_seed=rng_seed,
        folder=checkpoints,
    )
    detector.save(out)
    shutil.rmtree(checkpoints, ignore_errors=True)  # the finished detector stands; a new run starts anew
    print(f"{len(pixels)} images, {sum(map(len, truths.values()))} nuclei; {_held_out_score(detector.card)}")
    closing(out, f"linnet nuclei detect your/images/*.tif -o found --weights {out}")
    return 0


def _held_out_score(card: dict[str, Any]) -> str:
    f1 = card.get("validation_f1")
    if f1 is None:
        return "too few images to hold one out, so there is no F1 on images that training hasn't seen"
    return f"F1 {f1:.3f} on {card['thresholds_from']}"


@nuclei.command(help_epilogue="Example: linnet nuclei view found")
@in_cli_words
def view(found: Path = _OUT, /, *, port: int = 0) -> int:
    """Look at results in a browser, correct the points, and save them for training or as corrected counts.

    The page is served to this computer alone, until Ctrl+C. Corrected points go to FOUND/corrected, corrected counts
    to FOUND/corrected_counts.csv; what was found stays as it is.

    Args:
        found: Folder that `linnet nuclei detect` wrote.
        port: Where to serve the page; by default a free one.
    """
    from linnet.nuclei.view.server import open_view

    with open_view(found, port=port) as server:
        print(f"{len(server.found.images)} images. Open in a browser of this computer (Ctrl+C ends it):", flush=True)
        print(f"  {server.url}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            corrected = found / "corrected"
            then = "linnet nuclei train {} --images your/images" if corrected.is_dir() else "linnet nuclei view {}"
            closing(corrected if corrected.is_dir() else found, then.format(corrected if corrected.is_dir() else found))
    return 0
