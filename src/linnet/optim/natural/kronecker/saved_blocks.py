"""Curvature blocks as plain values and back: everything that a resumed run needs to go on with the same bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from linnet.core.capture.layers.layer_rule import Sharing
from linnet.errors import OptimizerStateError
from linnet.optim.natural.kronecker.blocks import Block
from linnet.optim.natural.kronecker.exact_block import SmallBlock
from linnet.optim.natural.kronecker.kronecker_block import KroneckerBlock, Sums, packed, unpacked

_SIDES = ("a_inverse", "b_inverse")


def packed_blocks(blocks: Mapping[str, Block], model: nn.Module) -> dict[str, Any]:
    """Every block with its running means, its kept vectors and its inverses, by key.

    Args:
        blocks: By key.
        model: The network, for the paths of their layers.
    """
    paths = {id(module): path for path, module in model.named_modules()}
    result = {}
    for key, block in blocks.items():
        module = paths[id(block.module)] if isinstance(block, KroneckerBlock) else None
        held: dict[str, Any] = {
            "module": module,
            "names": list(block.names),
            "a": block.a,
            "mass": block.mass,
            "size": block.size,
        }
        if isinstance(block, KroneckerBlock):
            held["b"] = block.b
        held |= {side: packed(getattr(block, side)) for side in _SIDES if hasattr(block, side)}
        result[key] = held | {"latest": None if block.latest is None else vars(block.latest).copy()}
    return result


def unpacked_blocks(saved: Mapping[str, Any], model: nn.Module, sharing: Sharing) -> dict[str, Block]:
    """The blocks of `packed_blocks`, on the devices of their parameters.

    Args:
        saved: What it gave; files from before vectors were kept lack "latest".
        model: The network.
        sharing: How positions are treated.

    Raises:
        OptimizerStateError: the network lacks a layer.
    """
    modules, values = dict(model.named_modules()), dict(model.named_parameters())
    blocks: dict[str, Block] = {}
    for key, held in saved.items():
        names: tuple[str, ...] = tuple(held["names"])
        if held["module"] is not None and held["module"] not in modules:
            raise OptimizerStateError(
                f"The state holds factors of `{held['module']}`, which the network doesn't have. Load it into "
                "the network that it was saved with."
            )
        device, mass, latest = values[names[0]].device, float(held["mass"]), held.get("latest")
        sums = None if latest is None else Sums(**{name: _moved(value, device) for name, value in latest.items()})
        a, a_inverse = _moved(held["a"], device), unpacked(_on(held["a_inverse"], device))
        if held["module"] is None:
            blocks[key] = SmallBlock(names, a, mass, sums, a_inverse, held.get("size"))
            continue
        b, b_inverse = _moved(held["b"], device), unpacked(_on(held["b_inverse"], device))
        layer, (weight, bias) = modules[held["module"]], (*names, None)[:2]
        blocks[key] = KroneckerBlock(
            layer, cast(str, weight), bias, sharing, a, b, mass, sums, a_inverse, b_inverse, held.get("size")
        )  # fmt: skip
    return blocks


def _on(state: Mapping[str, Any] | None, device: Any) -> dict[str, Any] | None:
    """A packed inverse on the device."""
    return None if state is None else {**state, "tensors": [_moved(t, device) for t in state["tensors"]]}


def _moved(value: Any, device: Any) -> Any:
    """A copy on the device: the state that was given doesn't move with the optimizer."""
    return value.to(device, copy=True) if isinstance(value, Tensor) else value
