"""What the verbs of `linnet jet` are given: the program, its frames, an image with a box."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from linnet.errors import DataError, InputError

if TYPE_CHECKING:
    import numpy as np

    from linnet.jet import Program
    from linnet.report.jet.feature_maps import Box
    from linnet.report.jet.page import Inspected

_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp")


@Parameter(name="*")
@dataclass(frozen=True)
class Factory:
    """What a factory's network needs besides its name.

    Attributes:
        input_: Size of the input of a factory's network, such as 1x1x28x28.
        pixels: SCALE,SHIFT of its preparation: the network sees SCALE * pixel + SHIFT.
        weights: Values of a factory's network.
    """

    input_: Annotated[
        str | None,
        Parameter(name="--input", help="Size of the input of a factory's network, such as 1x1x28x28."),
    ] = None
    pixels: Annotated[
        str, Parameter(help="SCALE,SHIFT of its preparation: the network sees SCALE * pixel + SHIFT.")
    ] = "1,0"
    weights: Annotated[Path | None, Parameter(help="Values of a factory's network.")] = None


def program_of(words: str, factory: Factory) -> Program:
    """The program that MODEL names."""
    from linnet.jet import Program, freeze
    from linnet.jet.shipped import NAMES, shipped

    if words in NAMES:
        return shipped(words)
    if words.endswith(".safetensors"):
        from linnet.engine.files.tensor_file import kind_of
        from linnet.jet.integer.file import PROGRAM

        if kind_of(words) == PROGRAM.name:
            return Program.load(words)
    elif ":" not in words:
        raise InputError(
            f"`{words}` must be {', '.join(NAMES)}, a saved program (.safetensors) or file.py:factory. Save one by "
            "program.save(path)."
        )
    from linnet.cli.model_argument import example_of, model_of, with_weights

    net = model_of(words)
    net = net if factory.weights is None else with_weights(net, factory.weights)
    if factory.input_ is None:
        raise InputError(f"`{words}` doesn't say what it takes: give the size of one input, such as --input 1x1x28x28.")
    import torch

    generator = torch.Generator().manual_seed(0)
    example = torch.randint(0, 256, tuple(example_of(factory.input_).shape), generator=generator)
    return freeze(net.eval(), example, _pixels(factory.pixels))


def at_size(program: Program, height: int | None, width: int | None) -> Program:
    """The program for frames of another height or width; None keeps its own."""
    from linnet.jet import Program

    if height is None and width is None:
        return program
    own = program.graph.input_shape
    rows, columns = (own[-2] if height is None else height), (own[-1] if width is None else width)
    return Program(program.graph.resized(rows, columns), program.facts)


def _pixels(words: str) -> tuple[float, float]:
    """SCALE,SHIFT; a scale may be a fraction such as 2/255."""
    from fractions import Fraction

    try:
        scale, shift = (
            float(part) if "/" not in part else float(Fraction(part)) for part in words.replace(" ", "").split(",")
        )
    except (ValueError, ZeroDivisionError):
        raise InputError(f"`--pixels` must be SCALE,SHIFT (got {words}). E.g. 2/255,-1.") from None
    return scale, shift


def random_frames(program: Program, frames: int, rng_seed: int) -> np.ndarray:
    """Pixels (N, C, H, W) drawn over the whole range of the input."""
    import numpy as np

    if frames < 1:
        raise InputError(f"`frames` must be a whole number >= 1 (got {frames}).")
    limits = program.graph.input
    rng = np.random.default_rng(rng_seed)
    return rng.integers(limits.low, limits.high + 1, (frames, *program.graph.input_shape))


def images_of(data: Path, program: Program) -> np.ndarray:
    """Whole pixels (N, C, H, W) of a folder's images or of a .npy file."""
    import numpy as np

    if data.suffix == ".npy":
        try:
            return np.load(data, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{data} can't be read as whole pixels: {error}. Write it with numpy.save.") from error
    if not data.is_dir():
        raise InputError(f"`--data` must be a folder of images or a .npy file (got {data}).")
    channels, height, width = _frame_of(program, "data", "Give a .npy file.")
    frames = []
    for path in sorted(p for p in data.iterdir() if p.suffix.lower() in _SUFFIXES):
        picture = _picture(path, channels)
        if picture.shape[:2] != (height, width):
            raise InputError(
                f"{path} is {picture.shape[0]} x {picture.shape[1]}; the network takes {height} x {width}. Resize it."
            )
        frames.append(picture.transpose(2, 0, 1))
    if not frames:
        raise InputError(f"`--data` must be a folder with images (got {data}, which holds none).")
    return np.stack(frames)


def inspected(image: Path, box: str | None, program: Program) -> Inspected:
    """An image as the network takes it, with its box; of a larger one the part around the box, reduced if need be."""
    from linnet.report.jet.feature_maps import cut_around
    from linnet.report.jet.page import Inspected

    channels, height, width = _frame_of(program, "image", "Leave it out.")
    picture = _picture(image, channels)
    if box is not None:
        cut, found = cut_around(picture, _box(box), height, width)
        told = image.name if cut.shape == picture.shape else f"The part of {image.name} around the box {box}"
        return Inspected(cut.transpose(2, 0, 1), [found], f"{told}.")
    if picture.shape[:2] != (height, width):
        raise InputError(
            f"`image` must be {height} x {width} (got {picture.shape[0]} x {picture.shape[1]}). Resize it, or give "
            "`box`: the part around it is taken."
        )
    return Inspected(picture.transpose(2, 0, 1), [], f"{image.name}.")


def _box(words: str) -> Box:
    from linnet.report.jet.feature_maps import Box

    try:
        y1, x1, y2, x2 = (int(part) for part in words.split(","))
    except ValueError:
        raise InputError(f"`box` must be Y1,X1,Y2,X2 in whole pixels (got {words}). E.g. 10,12,18,20.") from None
    return Box(y1, x1, y2, x2)


def _frame_of(program: Program, option: str, remedy: str) -> tuple[int, int, int]:
    """Channels, height and width, of which a picture has 1 or 3 channels."""
    shape = program.graph.input_shape
    if len(shape) != 3 or shape[0] not in (1, 3):
        sizes = "x".join(map(str, shape))
        raise InputError(
            f"`{option}` takes pictures for a network of frames of 1 or 3 channels (this one takes {sizes}). {remedy}"
        )
    return shape[0], shape[1], shape[2]


def _picture(path: Path, channels: int) -> np.ndarray:
    """(h, w, channels) uint8."""
    import numpy as np
    from PIL import Image

    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"), np.uint8)
    except OSError as error:
        raise DataError(f"{path} can't be read as a picture: {error}. Give a PNG, TIFF, JPEG or BMP file.") from error
    return pixels.reshape(*pixels.shape[:2], channels)
