"""`linnet jet compile | verify | synth | bench | show`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from linnet.cli.next_step import closing
from linnet.cli.words import in_cli_words
from linnet.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from linnet.jet import Program

jet = App(
    name="jet", help="Turn a network of jets into C or Verilog, prove it, time it, show it.", help_format="plaintext"
)
Model = Annotated[
    str,
    Parameter(
        help="fashion (comes with linnet), a saved program, or file.py:factory of a network of linnet.jet layers."
    ),
]
Rows = Annotated[int | None, Parameter(help="Rows of a frame in Verilog, if it is another than the program's.")]
Columns = Annotated[int | None, Parameter(help="Pixels of a row in Verilog, likewise.")]
Alone = Annotated[
    bool, Parameter(name="--no-share", negative="", help="Separate adders for every output, also after pools.")
]
_FRAMES = 500
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


_NONE = Factory()


@jet.command(name="compile", help_epilogue="Example: linnet jet compile fashion -o fashion_c")
@in_cli_words
def compile_(
    model: Model,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")] = Path("jet_c"),
    name: str = "linnet_jet",
    word_bits: int = 64,
    verilog: bool = False,
    height: Rows = None,
    width: Columns = None,
    no_share: Alone = False,
    overwrite: bool = False,
    factory: Factory = _NONE,
) -> int:
    """Write the program as C with an example and a Makefile, or as Verilog with a test bench.

    Args:
        out: Folder of the files, new or empty.
        name: Of the C function or the Verilog module, and of the files.
        word_bits: 64, or 32 for a microcontroller.
        verilog: Write Verilog that takes one pixel a clock, instead of C.
        overwrite: Replace files of the same names.
    """
    program = _program(model, factory)
    if verilog:
        paths = program.to_verilog(out, height, width, name, share=1 if no_share else "auto", overwrite=overwrite)
    elif (height, width, no_share) != (None, None, False):
        raise InputError("`height`, `width` and `no_share` are for Verilog: give --verilog, or leave them out.")
    else:
        paths = program.to_c(out, name, word_bits=word_bits, overwrite=overwrite)
    print(program)
    for path in paths:
        print(f"{path.stat().st_size:>10,} bytes  {path.name}")
    backend = " --backends rtl" if verilog else ""
    closing(out, f"linnet jet verify {model} --directory {out}{backend} proves these files on frames")
    return 0


@jet.command(help_epilogue="Example: linnet jet verify fashion --backends available")
@in_cli_words
def verify(
    model: Model,
    /,
    *,
    data: Path | None = None,
    frames: int = _FRAMES,
    backends: str = "c",
    directory: Path | None = None,
    rng_seed: int = 0,
    factory: Factory = _NONE,
) -> int:
    """Prove that torch, numpy, C and Verilog give the same integers on every frame.

    Args:
        data: Folder of images of the network's size (PNG, TIFF ...), or a .npy file of whole pixels (N, C, H, W).
            Without it: random pixels.
        frames: How many random frames.
        backends: c, rtl and icarus separated by commas, or available: those that can run here.
        directory: Folder that linnet jet compile wrote, whose files are checked as they stand.
        rng_seed: Of the random frames.
    """
    program = _program(model, factory)
    shown = _random(program, frames, rng_seed) if data is None else _images(data, program)
    wanted = backends if backends == "available" else [word.strip() for word in backends.split(",")]
    record = program.verify(shown, backends=wanted, directory=directory)
    print(record)
    closing("every value is equal", f"linnet jet bench {model} times it")
    return 0


@jet.command(help_epilogue="Example: linnet jet synth fashion --device ecp5")
@in_cli_words
def synth(
    model: Model,
    /,
    *,
    device: str = "ecp5",
    height: Rows = None,
    width: Columns = None,
    seeds: str = "1,2,3",
    max_lut: int | None = None,
    no_share: Alone = False,
    factory: Factory = _NONE,
) -> int:
    """Tell what the Verilog takes on a chip: LUTs, flip-flops, block RAMs by layer, and its clock.

    Args:
        device: ecp5, ice40, or xc7 (cells alone, no clock).
        seeds: Of the placement, separated by commas, three or more; none for cells alone.
        max_lut: Fail if it takes more LUTs.
    """
    from linnet.jet.verilog.tools import compiling

    program = _program(model, factory)
    numbers = _seeds(seeds)
    for wheel in compiling("yosys", *[f"nextpnr-{device}"] * bool(numbers)):
        print(f"{wheel} compiles itself at its first run: some minutes, once.", flush=True)
    share = 1 if no_share else "auto"
    print(program.synth(device, height, width, seeds=numbers, max_lut=max_lut, share=share))
    closing("the table above", f"linnet jet compile {model} --verilog -o jet_v writes the Verilog")
    return 0


def _seeds(words: str) -> tuple[int, ...]:
    if words == "none":
        return ()
    try:
        return tuple(int(word) for word in words.split(","))
    except ValueError:
        raise InputError(f"`seeds` must be whole numbers separated by commas, or none (got {words}).") from None


@jet.command(help_epilogue="Example: linnet jet bench fashion")
@in_cli_words
def bench(
    model: Model,
    /,
    *,
    frames: int = 200,
    factory: Factory = _NONE,
) -> int:
    """Time one frame on each path of the C, and in numpy, on one thread.

    Args:
        frames: How many calls are timed.
    """
    import tempfile
    import time

    from linnet.jet import load_c

    program = _program(model, factory)
    shown = _random(program, frames, 0)
    with tempfile.TemporaryDirectory(prefix="linnet_jet_") as place:
        program.to_c(place)
        loaded = load_c(place)
    print(f"{'path':10}{'microseconds a frame':>22}")
    for path in loaded.paths:
        call, taken = loaded.caller(shown, path=path), []
        for _ in range(frames):
            begun = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begun)
        print(f"{path:10}{1e6 * min(taken):>22.1f}")
    begun = time.perf_counter()
    program.run(shown)
    print(f"{'numpy':10}{1e6 * (time.perf_counter() - begun) / frames:>22.1f}")
    closing("the table above (least of all calls; numpy: mean)", f"linnet jet show {model} tells what it computes")
    return 0


@jet.command(help_epilogue="Example: linnet jet show fashion --html fashion.html")
@in_cli_words
def show(
    model: Model,
    /,
    *,
    html: Path | None = None,
    factory: Factory = _NONE,
) -> int:
    """Show layers, ranges, cost and the kernels that were learned.

    Args:
        html: Writes one page with pictures of the kernels into this file.
    """
    from linnet.jet.integer.nodes import Conv
    from linnet.report.jet import jet_page, kind_counts
    from linnet.results import atomic_write

    program = _program(model, factory)
    print(f"{program}\n\n{program.cost()}")
    for node in program.graph.nodes:
        if isinstance(node.operation, Conv) and node.operation.kinds is not None:
            told = ", ".join(f"{name} {count}" for name, _, _, count in kind_counts(node.operation) if count)
            print(f"kernels of {node.name}: {told}")
    if html is not None:
        closing(atomic_write(html, jet_page(program, model)), f"linnet jet compile {model} -o jet_c writes the C")
    else:
        closing("the tables above", f"linnet jet show {model} --html jet.html draws the kernels")
    return 0


def _program(words: str, factory: Factory) -> Program:
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


def _pixels(words: str) -> tuple[float, float]:
    """SCALE,SHIFT; a scale may be a fraction such as 2/255."""
    from fractions import Fraction

    try:
        scale, shift = (
            float(part) if "/" not in part else float(Fraction(part)) for part in words.replace(" ", "").split(",")
        )
    except ValueError:
        raise InputError(f"`--pixels` must be SCALE,SHIFT (got {words}). E.g. 2/255,-1.") from None
    return scale, shift


def _random(program: Program, frames: int, rng_seed: int) -> np.ndarray:
    import numpy as np

    if frames < 1:
        raise InputError(f"`frames` must be a whole number >= 1 (got {frames}).")
    limits = program.graph.input
    rng = np.random.default_rng(rng_seed)
    return rng.integers(limits.low, limits.high + 1, (frames, *program.graph.input_shape))


def _images(data: Path, program: Program) -> np.ndarray:
    """Whole pixels of a folder's images or of a .npy file."""
    import numpy as np

    if data.suffix == ".npy":
        return np.load(data, allow_pickle=False)
    if not data.is_dir():
        raise InputError(f"`--data` must be a folder of images or a .npy file (got {data}).")
    from PIL import Image

    shape: Any = program.graph.input_shape
    mode = {1: "L", 3: "RGB"}.get(shape[0])
    if mode is None or len(shape) != 3:
        raise InputError(f"`--data` must be a .npy file for a network of {shape[0]} channels (got a folder).")
    frames = []
    for path in sorted(p for p in data.iterdir() if p.suffix.lower() in _SUFFIXES):
        with Image.open(path) as image:
            if (image.height, image.width) != tuple(shape[1:]):
                raise InputError(
                    f"{path} is {image.height} x {image.width}; the network takes {shape[1]} x {shape[2]}. Resize it."
                )
            frames.append(np.asarray(image.convert(mode), np.uint8).reshape(*shape[1:], shape[0]).transpose(2, 0, 1))
    if not frames:
        raise InputError(f"`--data` must be a folder with images (got {data}, which holds none).")
    return np.stack(frames)
