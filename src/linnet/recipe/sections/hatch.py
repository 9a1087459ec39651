"""[hatch]: the trained network becomes the members of an ensemble."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from linnet.recipe.toml.setting import setting


@dataclass(frozen=True)
class HatchSection:
    """The arguments of `linnet.ensemble.hatch`, and how the members are trained on.

    Attributes:
        members: How many.
        widths: Of one or of different architectures.
        factor: How many times as many channels.
        noise: On weights, in standard deviations of each tensor.
        split: How copies share their channel's outgoing weights.
        maps: Which channels are copied.
        reinit: Share of the added channels with fresh weights.
        at: Hatch in the middle of [train], after this share of its budget; no further epochs then.
        epochs: Passes over the training images for each member after the hatch.
        lr: Highest learning rate of the members.
    """

    members: int = setting("members of the ensemble", default=5, at_least=1)
    widths: str = setting("one architecture or several", default="same", choices=("same", "varied"))
    factor: float = setting("how many times as many channels", default=1.25, above=1)
    noise: float = setting("noise on weights, in standard deviations", default=0.5, at_least=0)
    split: str = setting("how copies share outgoing weights", default="random", choices=("random", "even", "pair"))
    maps: str = setting("which channels are copied", default="independent", choices=("independent", "anti"))
    reinit: float = setting("share of added channels with fresh weights", default=0.0, at_least=0, at_most=1)
    at: float | None = setting("share of the training after which it hatches", default=None, above=0, below=1)
    epochs: int | None = setting("passes for each member after the hatch", default=None, at_least=1)
    lr: float = setting("highest learning rate of the members", default=0.05, above=0)

    def problems(self) -> Iterator[tuple[str, str]]:
        """Neither or both of the two ways to go on."""
        if (self.at is None) == (self.epochs is None):
            given = "both" if self.at is not None else "neither"
            yield "at", f"either `at` or `epochs` must be given (got {given}), such as epochs = 5"

    def problems_with(self, sections: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        """What can't be combined with hatching."""
        if sections.get("prune") is not None:
            yield "members", "[hatch] can't be combined with [prune] yet; remove one of the sections"
        train, optimizer = sections.get("train"), sections.get("optimizer")
        if self.at is not None and train is not None and (train.early_stop is not None or train.average is not None):
            yield "at", "`at` can't be combined with [train] `early_stop` or `average`; remove one, or give `epochs`"
        if self.at is not None and optimizer is not None and optimizer.name == "natural":
            yield "at", '`at` can\'t be combined with [optimizer] "natural"; give `epochs`, or choose another'

    def options(self) -> dict[str, Any]:
        """Arguments of `linnet.ensemble.hatch`."""
        names = ("widths", "factor", "noise", "split", "maps", "reinit")
        return {name: getattr(self, name) for name in names}
