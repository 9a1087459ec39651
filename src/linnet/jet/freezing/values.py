"""What is known of a tensor while the recorded forward is read: its integers, and what they stand for."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from linnet.errors import FreezeError
from linnet.jet.freezing.norm import Norm, slopes, threshold_of
from linnet.jet.freezing.sums import addend, sign_of_sum
from linnet.jet.integer.graph import made_node
from linnet.jet.integer.nodes import Node, Operation, Pool, WeightedAdd

SIGN_AFTER_SUM = "Put linnet.jet.Sign() right after the addition, or the batch norm after it."


@dataclass(frozen=True)
class PendingPool:
    """A max pooling that waits for the sign after it, since pooling bits costs less than pooling integers."""

    name: str
    window: tuple[int, int]
    stride: tuple[int, int]
    after_norm: bool


@dataclass(frozen=True)
class Known:
    """A tensor of the trained network: norm(scale * a + shifts[c]), max pooled, for the integers a of a node.

    With an addend it is the sum of two such tensors, at least one of which has a norm; the pools come after the sum.

    Attributes:
        node: Number of the node.
        scale: Not 0.
        shifts: One a channel.
        norm: A batch norm that no threshold or score has taken in yet.
        pools: Max poolings likewise.
        addend: What is added to it before the pools.
        sum_name: Name of that addition.
    """

    node: int
    scale: Fraction
    shifts: tuple[Fraction, ...]
    norm: Norm | None = None
    pools: tuple[PendingPool, ...] = ()
    addend: Known | None = None
    sum_name: str = ""


@dataclass
class Call:
    """One call of a jet layer, to be compared with float64.

    Attributes:
        path: Of the layer.
        node: The node with the layer's result.
        scale: The float result is scale * a + shifts[c].
        shifts: One a channel.
        terms: For a sign: the largest size of what is added up before it, a channel; None otherwise.
    """

    path: str
    node: int
    scale: float
    shifts: np.ndarray
    terms: np.ndarray | None = None


@dataclass
class Builder:
    """The program so far."""

    shape: tuple[int, ...]
    nodes: list[Node] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def add(self, name: str, operation: Operation, *sources: int) -> int:
        """Appends a node under a name of its own; returns its number."""
        taken = {node.name for node in self.nodes}
        unique, repeat = name, 2
        while unique in taken:
            unique, repeat = f"{name}#{repeat}", repeat + 1
        self.nodes.append(made_node(unique, operation, sources, self.nodes, self.shape))
        return len(self.nodes) - 1

    def note(self, path: str, known: Known, terms: np.ndarray | None = None) -> None:
        """Remembers the result of one call of a jet layer."""
        shifts = np.array([float(s) for s in known.shifts])
        self.calls.append(Call(path, known.node, float(known.scale), shifts, terms))

    def pooled(self, known: Known, why: str) -> Known:
        """The same tensor with its waiting max poolings carried out on integers.

        Args:
            known: Any.
            why: What reads the integers, for the error.

        Raises:
            FreezeError: the largest value isn't that of the largest integer.
        """
        for pool in known.pools:
            falling = pool.after_norm and known.norm is not None and (slopes(known.norm, 1) < 0).any()
            if falling or known.scale < 0:
                raise FreezeError(
                    f"`{pool.name}` (max pooling) after a batch norm with negative weights is read by {why}, which has "
                    "no exact form. Put the pooling before the batch norm, or a Sign after it."
                )
            node = self.add(pool.name, Pool("max", pool.window, pool.stride), known.node)
            known = dataclasses.replace(known, node=node)
        return dataclasses.replace(known, pools=())

    def signed(self, name: str, known: Known) -> Known:
        """The tensor's signs: a threshold, and the waiting pools on bits."""
        source = self.nodes[known.node]
        if source.kind == "sign" and known.norm is None and not known.pools and known.scale > 0:
            return known
        if known.addend is not None:
            return self._signed_sum(name, known, known.addend)
        threshold = threshold_of(source.low, source.high, known.scale, known.shifts, known.norm)
        node = self.add(name, threshold, known.node)
        falling = slopes(known.norm, source.shape[0]) < 0
        for pool in known.pools:
            conjunction = np.zeros_like(falling) if pool.after_norm else falling
            node = self.add(pool.name, Pool("bits", pool.window, pool.stride, conjunction), node)
        return plain(node, self.nodes)

    def _signed_sum(self, name: str, known: Known, other: Known) -> Known:
        """The signs of a sum with batch norms: a whole combination of both maps, and its threshold."""
        maps = [
            (self.nodes[part.node].low, self.nodes[part.node].high, part.scale, part.shifts, part.norm)
            for part in (known, other)
        ]
        channels = self.nodes[known.node].shape[0]
        pairs = [(addend(c, *maps[0]), addend(c, *maps[1])) for c in range(channels)]
        multipliers, threshold = sign_of_sum(pairs)
        node = self.add(known.sum_name, WeightedAdd(multipliers), known.node, other.node)
        node = self.add(name, threshold, node)
        for pool in known.pools:
            node = self.add(pool.name, Pool("bits", pool.window, pool.stride, np.zeros(channels, bool)), node)
        return plain(node, self.nodes)

    def terms(self, known: Known) -> np.ndarray:
        """Per channel the largest size of what a float64 batch norm adds up."""
        if known.addend is not None:
            return self.terms(dataclasses.replace(known, addend=None)) + self.terms(known.addend)
        source, norm = self.nodes[known.node], known.norm
        largest = np.maximum(np.abs(source.low), np.abs(source.high)) * abs(float(known.scale))
        largest = largest + np.abs([float(s) for s in known.shifts])
        if norm is None:
            return largest + 1.0
        gain = np.abs([float(g) for g in norm.gamma]) / np.sqrt([float(q) for q in norm.q])
        return np.abs([float(b) for b in norm.beta]) + gain * (largest + np.abs([float(m) for m in norm.mean]))


def plain(node: int, nodes: Sequence[Node]) -> Known:
    """A tensor that is its integers."""
    return Known(node, Fraction(1), (Fraction(0),) * nodes[node].shape[0])


def described_sum(known: Known) -> str:
    """A sum of batch norms in the words of an error."""
    return f"the sum `{known.sum_name}` of batch norms, which have no common scale"
