"""What a widening did, as facts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WidenedClass:
    """One channel class before and after.

    Attributes:
        name: Of the class.
        before: n, channels of the seed.
        after: N, channels of the wide network.
        map: For each new channel the seed's channel that it is or copies: its first mention is the channel itself.
        pairs: Zero-sum pairs among the added channels.
    """

    name: str
    before: int
    after: int
    map: tuple[int, ...]
    pairs: int = 0


@dataclass(frozen=True)
class Widening:
    """How a network was widened.

    Attributes:
        classes: The classes that grew, in order of execution.
        split: How copies share their channel's outgoing weights.
        error: The proof: largest relative difference from the seed before noise, in eval and train mode.
        noise: Its scale.
        noise_on: "all" or "copies".
        change: Largest relative difference from the seed in eval mode after noise; 0 without noise.
        params: Parameters (before, after).
        macs: Multiply-accumulates of one sample (before, after).
        rng_seed: What decided the draws.
        notes: What else the user should know.
    """

    classes: tuple[WidenedClass, ...]
    split: str
    error: float
    noise: float
    noise_on: str
    change: float
    params: tuple[int, int]
    macs: tuple[int, int]
    rng_seed: int
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        grown = ", ".join(f"{one.name} {one.before} -> {one.after}" for one in self.classes)
        noise = f"noise {self.noise:g} on {self.noise_on}, which changes the function by {self.change:.2e}"
        lines = [
            f"Widening(error={self.error:.2e}, split={self.split!r}, rng_seed={self.rng_seed})",
            f"  channels: {grown}",
            f"  parameters: {self.params[0]:,} -> {self.params[1]:,}; MACs: {self.macs[0]:,} -> {self.macs[1]:,}",
            f"  {noise if self.noise else 'no noise: the function is unchanged'}",
        ]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])
