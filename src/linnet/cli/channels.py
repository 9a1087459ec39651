"""`linnet channels`: which channels of a network live and die together, and how an edit changes the cost."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from linnet.cli.model_argument import example_of, model_of, own_input, with_weights
from linnet.cli.next_step import closing
from linnet.cli.words import in_cli_words
from linnet.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from linnet.core import ChannelGraph
    from linnet.prune import Budget


@in_cli_words
def channels(
    model: str,
    /,
    *,
    input_: Annotated[str | None, Parameter(name="--input", alias="-i")] = None,
    weights: Path | None = None,
    frozen: Annotated[list[str] | None, Parameter(negative="")] = None,
    grouped: str = "within",
    json: Path | None = None,
    html: Path | None = None,
    try_: Annotated[list[str] | None, Parameter(name="--try", negative="")] = None,
    budget: Annotated[list[str] | None, Parameter(negative="")] = None,
    align: int = 8,
    rng_seed: int = 0,
) -> int:
    """Show which channels of a network belong together, which can't be touched, and why.

    Args:
        model: A name of linnet.models, file.py:factory, package.module:factory, or a file saved by linnet.
        input_: Size of the network's input, such as 1x3x224x224; 1x16:int64 for tokens. A classifier of linnet.models,
            or one that a recipe has trained, knows its own.
        weights: A safetensors file with the network's values; without it they are as the factory draws them.
        frozen: Path of a module whose channels stay; may be given again.
        grouped: How grouped convolutions are edited: within (every group alike) or whole (groups come and go).
        json: Writes the graph as plain data into this file.
        html: Writes one page with a bar per class and the memory profile into this file.
        try_: CLASS=FRACTION keeps that share of a class, drawn at random, proves the result and compares the costs; may
            be given again.
        budget: LIMIT=VALUE (macs=0.3, params=50000, latency_ms=2) shows which channels a one-shot pruning by the size
            of the weights would keep; a fraction up to 1 of the network's cost, or an absolute amount; latency_ms is
            measured here and always absolute; may be given again.
        align: Channels that the budget keeps come in multiples of this.
        rng_seed: Seed of the draw of --try.
    """
    from linnet.core import ChannelGraph

    wanted = _budget(budget) if budget else None
    network = model_of(model)
    size = input_ or own_input(model, network)
    example = example_of(size)
    if weights is not None:
        network = with_weights(network, weights)
    graph = ChannelGraph(network, example, frozen=frozen or (), grouped=grouped)
    print(graph)
    print(f"one sample: {graph.cost()}")
    for wish in try_ or ():
        _try(network, graph, example, wish, rng_seed)
    if wanted is not None:
        from linnet.prune import plan

        print(f"\n{plan(network, example, wanted, align=align)}")
    written = _write(graph, model, json, html)
    command = f"linnet channels {model} --input {size}"
    if written:
        closing(", ".join(map(str, written)), f"{command} --try CLASS=0.5 narrows a class and proves it")
    else:
        closing("the table above", f"{command} --html channels.html draws it")
    return 0


def _try(network: nn.Module, graph: ChannelGraph, example: Tensor, wish: str, rng_seed: int) -> None:
    """Narrows one class at random, proves it, prints the cost before and after."""
    import numpy as np

    from linnet.core import cost, resize

    name, equals, share = wish.rpartition("=")
    try:
        fraction = float(share)
    except ValueError:
        fraction = 0.0
    if not equals or not 0.0 < fraction <= 1.0:
        raise InputError(f"`--try` must be CLASS=FRACTION, with a fraction above 0 and up to 1 (got `{wish}`).")
    size = graph.classes[name].size if name in graph.classes else 1
    kept = np.zeros(size, dtype=np.int64)
    kept[np.random.default_rng(rng_seed).permutation(size)[: max(1, round(size * fraction))]] = 1
    small = resize(network, graph, {name: kept})
    print(
        f"\n{name}: {kept.sum()} of {size} channels kept; narrowed equals masked within {small.linnet_edit.error:.2g}"
    )
    print(f"  before: {graph.cost()}")
    print(f"  after:  {cost(small, example)}")


def _budget(limits: list[str]) -> Budget:
    """The limits as one budget."""
    from linnet.prune import Budget
    from linnet.prune.budget import LIMITS as known

    given: dict[str, Any] = {}
    for limit in (part.strip() for words in limits for part in words.split(",")):
        name, equals, value = limit.rpartition("=")
        try:
            amount = float(value)
        except ValueError:
            amount = math.nan
        if not equals or name not in known or math.isnan(amount):
            raise InputError(f"`--budget` must be one of {', '.join(f'{n}=VALUE' for n in known)} (got `{limit}`).")
        if name in given:
            raise InputError(f"`--budget` must name each limit once (got `{name}` twice).")
        given[name] = amount
    return Budget(**given)


def _write(graph: ChannelGraph, model: str, json: Path | None, html: Path | None) -> list[Path]:
    """Writes the requested files."""
    from linnet.results import atomic_write

    written = []
    if json is not None:
        import json as text

        written.append(atomic_write(json, text.dumps(graph.to_dict())))
    if html is not None:
        from linnet.report.channels import channels_page

        written.append(atomic_write(html, channels_page(graph, model)))
    return written
