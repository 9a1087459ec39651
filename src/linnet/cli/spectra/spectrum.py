"""`linnet spectrum`: the spectrum of a network, beside its theory, and the largest safe step size."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from linnet.cli.model_argument import example_of, model_of, own_input, with_weights
from linnet.cli.next_step import closing
from linnet.cli.words import in_cli_words
from linnet.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from linnet.report.spectra.study import SpectrumStudy
    from linnet.spectra.rows.jacobian_rows import Progress

WIDTH = 1000  # of the demonstration
SETS = ("digits", "mnist", "fashion_mnist", "cifar10_jpeg")


@in_cli_words
def spectrum(
    model: str | None = None,
    /,
    *,
    data: str | None = None,
    samples: Annotated[int, Parameter(alias="-n")] = 100,
    loss: str = "mse",
    what: str = "fisher",
    compare_theory: bool = False,
    verify: bool = False,
    heatmap: bool = False,
    demo: bool = False,
    input_: Annotated[str | None, Parameter(name="--input", alias="-i")] = None,
    weights: Path | None = None,
    reduce: str = "none",
    memory_gib: float | None = None,
    out: Annotated[Path, Parameter(alias="-o")] = Path("linnet-spectrum"),
    rng_seed: int = 0,
) -> int:
    """Show the spectrum of a network on your data: how steep it is, in how many directions, and how far one may step.

    The network is read in eval mode and left as it is.

    Args:
        model: A name of linnet.models, file.py:factory, package.module:factory, a file saved by linnet, or a recipe
            (.toml), which says the network and the data.
        data: digits, mnist, fashion_mnist, cifar10_jpeg, or a folder with a folder of images for each class; without it
            the inputs are drawn from the normal distribution.
        samples: How many samples are looked at.
        loss: mse or cross_entropy.
        what: Comma-separated: fisher, ntk, input, feature:LAYER.
        compare_theory: Also shows what mean-field theory expects of a random perceptron of this shape.
        verify: Also trains copies of the network just below and just above the step, 30 steps each.
        heatmap: Also trains small perceptrons of five widths over a range of step sizes and draws where it goes down.
        demo: Shows a built-in perceptron on random inputs, beside its theory, in a few seconds.
        input_: Size of the network's input, such as 1x3x32x32; a classifier of linnet.models knows its own.
        weights: A safetensors file with the network's values.
        reduce: What is done with outputs at several positions: none, mean (over positions) or flatten.
        memory_gib: Memory for captured tensors and work; what doesn't fit goes to a temporary file. Without it a
            quarter of what is free.
        out: Folder for the report, the pictures and the records; made when missing.
        rng_seed: Seed of the weights that are drawn and of random inputs.
    """
    from linnet.report.spectra.study import check_kinds, measure, write

    if demo == (model is not None):
        given = "both). Leave one out." if demo else "neither). Example: linnet spectrum --demo"
        raise InputError(f"MODEL must be given, or --demo alone (got {given}")
    if samples < 1:
        raise InputError(f"`samples` must be 1 or more (got {samples}).")
    if memory_gib is not None and memory_gib <= 0:
        raise InputError(f"`memory_gib` must be above 0 (got {memory_gib}).")
    memory = None if memory_gib is None else max(1, int(memory_gib * 2**30))
    kinds = [kind.strip() for kind in what.split(",") if kind.strip()]
    check_kinds(kinds)
    _check_out(out)
    begin = time.perf_counter()
    if demo:
        name, network, x = _demo(samples, rng_seed)
        compare_theory = verify = True
    else:
        assert model is not None
        name = Path(model).stem if model.endswith((".toml", ".safetensors")) else model
        network, x = _network(model, data, samples, input_, weights, rng_seed)
    network = _reduced(network.eval(), reduce)
    extras = {"compare_theory": compare_theory, "verify": verify}
    found = measure(name, network, x, loss, kinds, **extras, memory=memory, progress=_progress())
    if heatmap:
        _heatmap(found, rng_seed)
    print("\n".join(found.lines))
    command = f"linnet spectrum {'--demo' if demo else model}"
    page = write(found, out, command=command)
    print(f"\n{time.perf_counter() - begin:.1f} s; pictures in {out / 'pictures'}, records in {out / 'records.jsonl'}")
    then = "linnet spectrum mlp --data fashion_mnist --loss cross_entropy" if demo else f"{command} --heatmap"
    closing(page, then)
    return 0


def _check_out(out: Path) -> None:
    """Refuses a folder that can't be made, before anything is measured."""
    there = next((path for path in (out, *out.parents) if path.exists()), None)
    if there is not None and not there.is_dir():
        raise InputError(f"`out` must be a folder (got {out}, but {there} is a file). Give another one.")


def _demo(samples: int, rng_seed: int) -> tuple[str, nn.Module, Tensor]:
    """A ReLU perceptron with ten outputs, weight variance 2 and bias variance 0.1."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng_seed)
        network = _perceptron(WIDTH, 10)
        return f"a perceptron (2 x {WIDTH}, ReLU)", network, torch.randn(samples, WIDTH)


def _perceptron(width: int, outputs: int) -> nn.Module:
    from torch import nn

    layers: list[nn.Module] = []
    for number in range(3):
        linear = nn.Linear(width, outputs if number == 2 else width)
        nn.init.normal_(linear.weight, std=math.sqrt(2 / width))
        nn.init.normal_(linear.bias, std=math.sqrt(0.1))
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _network(
    model: str, data: str | None, samples: int, size: str | None, weights: Path | None, rng_seed: int
) -> tuple[nn.Module, Tensor]:
    """The network and its inputs."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(rng_seed)
        if model.endswith(".toml"):
            return _of_recipe(model, samples)
        network = model_of(model)
        if weights is not None:
            network = with_weights(network, weights)
        if data is not None:
            return network, _images(data, samples)
        example = example_of(size or own_input(model, network))
        if not example.is_floating_point():
            return network, torch.randint(0, 2, (samples, *example.shape[1:]), dtype=example.dtype)
        return network, torch.randn(samples, *example.shape[1:], dtype=example.dtype)


def _of_recipe(path: str, samples: int) -> tuple[nn.Module, Tensor]:
    """The network of a recipe, freshly initialised, and inputs of its training batches."""
    import torch

    from linnet.recipe import parse

    plan = parse(path)
    built = plan.task.build(plan)
    parts: list[Tensor] = []
    for batch in built.loader.epoch(0):
        parts.append(batch[0] if isinstance(batch, (tuple, list)) else batch)
        if sum(map(len, parts)) >= samples:
            break
    return built.model, torch.cat(parts)[:samples].float()


def _images(data: str, samples: int) -> Tensor:
    """Standardised images: each channel has mean 0 and variance 1."""
    import torch

    from linnet.data import cifar10_jpeg, digits, fashion_mnist, image_folder, mnist

    readers = {"mnist": mnist, "fashion_mnist": fashion_mnist, "cifar10_jpeg": cifar10_jpeg}
    if data in readers:
        found = readers[data]("test")
    elif data == "digits":
        found = digits()
    elif Path(data).is_dir():
        found = image_folder(Path(data))
    else:
        raise InputError(f"`data` must be {', '.join(SETS)} or a folder of class folders (got {data!r}).")
    pixels = found.images[torch.randperm(len(found), generator=torch.Generator().manual_seed(0))[:samples]].float()
    mean, deviation = pixels.mean((0, 2, 3), keepdim=True), pixels.std((0, 2, 3), keepdim=True).clamp_min(1e-6)
    return (pixels - mean) / deviation


def _reduced(network: nn.Module, reduce: str) -> nn.Module:
    """The network with one row of outputs for each sample."""
    from torch import nn

    from linnet.suggest import one_of

    one_of("reduce", reduce, ("none", "mean", "flatten"))
    if reduce == "none":
        return network
    pooled = [nn.AdaptiveAvgPool2d(1)] if reduce == "mean" else []
    return nn.Sequential(network, *pooled, nn.Flatten()).eval()


def _heatmap(study: SpectrumStudy, rng_seed: int) -> None:
    import torch

    from linnet.report.spectra.figures import lr_heatmap
    from linnet.results import Record
    from linnet.spectra import lr_map

    def make(width: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(rng_seed)
            return _perceptron(width, 2).eval()

    def inputs(width: int) -> Tensor:
        return torch.randn(30, width, generator=torch.Generator().manual_seed(rng_seed))

    found = lr_map(make, (32, 64, 128, 256, 512), [0.002 * 1.3**k for k in range(18)], inputs)
    study.pictures["lr_map"] = (
        lr_heatmap(found),
        "Highest loss while training near a zero of it, over step size and width",
    )
    study.records += [
        Record.measured(f"spectrum.lr_map.{width}", edge, context={"limit": limit})
        for width, edge, limit in zip(found.widths, found.edges(), found.limits, strict=True)
    ]


def _progress() -> Progress | None:
    """A bar on stderr for kernels of several tiles, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    if not console.is_terminal:
        return None
    bar = Bar(console=console, transient=True)
    task = bar.add_task("kernel", total=1)

    def told(done: int, total: int) -> None:
        if total > 1:
            bar.start()
            bar.update(task, completed=done, total=total)
            if done == total:
                bar.stop()

    return told
