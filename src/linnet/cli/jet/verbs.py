"""`linnet jet compile | verify | synth | bench | show`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from linnet.cli.jet.inputs import Factory, at_size, images_of, inspected, program_of, random_frames
from linnet.cli.next_step import closing
from linnet.cli.words import in_cli_words
from linnet.errors import InputError

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
    c: Annotated[bool, Parameter(negative="")] = False,
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
        c: Write C, as without --verilog.
        verilog: Write Verilog that takes one pixel a clock, instead of C.
        overwrite: Replace files of the same names.
    """
    if c and verilog:
        raise InputError("`c` and `verilog` go into folders of their own. Give one of them at a time.")
    program = program_of(model, factory)
    if verilog:
        paths = program.to_verilog(out, height, width, name, share=1 if no_share else "auto", overwrite=overwrite)
    elif (height, width, no_share) != (None, None, False):
        raise InputError("`height`, `width` and `no_share` are for Verilog: give --verilog, or leave them out.")
    else:
        paths = program.to_c(out, name, word_bits=word_bits, overwrite=overwrite)
    print(program)
    for path in paths:
        print(f"{path.stat().st_size:>10,} bytes  {path.name}")
    sizes = [f" --{side} {given}" for side, given in (("height", height), ("width", width)) if given is not None]
    backend = "".join([" --backends rtl", *sizes]) if verilog else ""
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
    height: int | None = None,
    width: int | None = None,
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
        height: Rows of a frame, if the folder was written for another height than the program's.
        width: Pixels of a row, likewise.
        rng_seed: Of the random frames.
    """
    program = at_size(program_of(model, factory), height, width)
    shown = random_frames(program, frames, rng_seed) if data is None else images_of(data, program)
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

    program = program_of(model, factory)
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

    program = program_of(model, factory)
    shown = random_frames(program, frames, 0)
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
    image: Path | None = None,
    box: str | None = None,
    factory: Factory = _NONE,
) -> int:
    """Show layers, ranges, cost and the kernels that were learned.

    Args:
        html: Writes one page with pictures of the kernels and of feature maps into this file.
        image: Inspection image for the feature maps; with a box it may be larger than the network's frame. Without
            it: a drawn circuit board.
        box: Y1,X1,Y2,X2 of a defect in the image, in pixels, Y2 and X2 outside of it.
    """
    from linnet.jet.integer.nodes import Conv
    from linnet.report.jet.page import jet_page, kind_counts
    from linnet.results import atomic_write

    if (image is not None and html is None) or (box is not None and image is None):
        raise InputError("`image` needs `html`, the file of the page, and `box` needs `image`. Give both, or neither.")
    program = program_of(model, factory)
    seen = None if image is None else inspected(image, box, program)
    print(f"{program}\n\n{program.cost()}")
    for node in program.graph.nodes:
        if isinstance(node.operation, Conv) and node.operation.kinds is not None:
            told = ", ".join(f"{name} {count}" for name, _, _, count in kind_counts(node.operation) if count)
            print(f"kernels of {node.name}: {told}")
    if html is not None:
        page = jet_page(program, model, seen)
        closing(atomic_write(html, page), f"linnet jet compile {model} -o jet_c writes the C")
    else:
        closing("the tables above", f"linnet jet show {model} --html jet.html draws the kernels")
    return 0
