"""Images on disk and the points that belong to them, paired by name."""

from pathlib import Path

import numpy as np

from linnet.errors import ImageError, PointsError
from linnet.nuclei.points.readers import read_points_of_images
from linnet.nuclei.read.formats import SUFFIXES, stem_of
from linnet.nuclei.read.images import read_image

_NAMED = 5  # names that a message lists


def read_annotated(
    images: str | Path,
    points: str | Path,
    *,
    page: int | None = None,
    channel: int | None = None,
    pixel_size_um: float | None = None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Images and their points, for `linnet.nuclei.train`.

    Args:
        images: A folder of images, or one image. Images without points are left out.
        points: A folder with a file of points or a label image per image, or one file (for several images it needs a
            column `image`). A single file belongs to a single image that was named itself, or to the image of its name.
        page: Page of files with several.
        channel: Channel of files with several.
        pixel_size_um: Side of a pixel in micrometres, for points that are in micrometres.

    Returns:
        (pixels, points), both by the image's name without its ending.

    Raises:
        ImageError: there are no images, or one can't be read.
        PointsError: points can't be read, or belong to no image.
    """
    files, truths = paired_files(images, points, pixel_size_um=pixel_size_um)
    pixels = {name: np.asarray(read_image(files[name], page=page, channel=channel).pixels[:]) for name in truths}
    return pixels, truths


def paired_files(
    images: str | Path, points: str | Path, *, pixel_size_um: float | None = None
) -> tuple[dict[str, Path], dict[str, np.ndarray]]:
    """Image files and points by the image's name; there may be images without points, but no points without image.

    Raises:
        ImageError, PointsError: as in `read_annotated`.
    """
    files, truths = _image_files(Path(images)), read_points_of_images(points, pixel_size_um=pixel_size_um)
    one_file = not Path(points).is_dir()
    if truths.keys() == {"image"} and one_file:  # the points of a single file carry no image's name
        both_named = len(files) == 1 and not Path(images).is_dir()
        truths = {next(iter(files)) if both_named else stem_of(Path(points)): truths["image"]}
    lonely = sorted(truths.keys() - files.keys())
    if lonely:
        raise PointsError(
            f"{points}: there are points for {len(lonely)} image(s) that {images} doesn't have: {_listed(lonely)}. It "
            f"has {_listed(sorted(files))}. A file of points is named like its image, but for the ending"
            f"{'; one table for several images needs a column `image`' if len(files) > 1 and one_file else ''}."
        )
    return files, truths


def _image_files(path: Path) -> dict[str, Path]:
    if not path.exists():
        raise ImageError(f"{path}: there is no such folder or image. Name the folder that holds the images.")
    if not path.is_dir():
        return {stem_of(path): path}
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        if file.suffix.lower() not in SUFFIXES or file.name.startswith(".") or not file.is_file():
            continue
        if stem_of(file) in found:
            raise ImageError(
                f"{path}: {file.name} and {found[stem_of(file)].name} have the same name. Keep one of them."
            )
        found[stem_of(file)] = file
    if not found:
        raise ImageError(f"{path}: there are no images in this folder; files ending in {', '.join(SUFFIXES)} are.")
    return found


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")
