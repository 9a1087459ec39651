"""The layers whose inputs a mask or a gate multiplies.

A *read* is a place where a weight consumes a channel. The masked network is the one whose reads see 0 in place of a
masked channel, so it equals the sliced network whatever lies between producer and read.
"""

from __future__ import annotations

import numpy as np
from torch import nn

from linnet.core import ChannelGraph
from linnet.core.channels.layer_attributes import layer_of
from linnet.core.channels.reads import Read


def maskable_reads(model: nn.Module, graph: ChannelGraph) -> tuple[list[Read], dict[str, str]]:
    """The reads that are a layer's input, and the classes that are read where no layer's input can be multiplied.

    Args:
        model: The unwrapped network of the graph.
        graph: Its channel graph.

    Returns:
        (reads, one for each layer; {class name: why it can't be masked}).
    """
    names = list(graph.classes)
    modules = dict(model.named_modules())
    found: dict[str, Read] = {}
    refused: dict[str, str] = {}
    for read in graph.reads():
        node, earlier = read.node, found.setdefault(read.module, read)
        same = np.array_equal(earlier.classes, read.classes) and np.array_equal(earlier.channels, read.channels)
        if not _masked(modules.get(read.module)) or not same:
            why = f"`{read.module}` reads it by {node.op} ({node.source}), not as the input of a linear or convolution"
            refused.update({names[number]: why for number in np.unique(read.classes) if number >= 0})
    return [read for path, read in found.items() if _masked(modules.get(path))], refused


def _masked(module: nn.Module | None) -> bool:
    layer = layer_of(module)
    return layer is not None and layer.masked
