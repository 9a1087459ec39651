"""How large the study may be."""

from __future__ import annotations

from dataclasses import dataclass

MEMBERS = 4  # of the full Deep Ensemble: half of it is two whole members
BUDGET = 0.5  # of the full Deep Ensemble's training


@dataclass(frozen=True)
class Scale:
    """A size of the study.

    Attributes:
        name: On the command line.
        sets: Sets of images.
        train: Training images.
        held: Images for validation, and as many for the test.
        shifted: Test images under each corruption and severity.
        severities: Of the corruptions.
        epochs: Of a full member's schedule.
        widths: Channels of the full network's layers.
        narrow: Channels of the narrow network's: about equal ranks.
        seeds: Paired seeds.
        arms: What is compared; none: all.
        searched: Whether dials are chosen on validation images first; else the first candidate of each counts.
        workers: Processes of one thread.
    """

    name: str
    sets: tuple[str, ...]
    train: int
    held: int
    shifted: int
    severities: tuple[int, ...]
    epochs: int
    widths: tuple[int, ...]
    narrow: tuple[int, ...]
    seeds: int
    arms: tuple[str, ...] = ()
    searched: bool = True
    workers: int = 2


SCALES = {
    "smoke": Scale(
        "smoke",
        ("digits",),
        400,
        200,
        50,
        (3,),
        8,
        (8, 8, 12, 12, 16),
        (4, 4, 4, 4, 4),
        2,
        ("full", "two", "hatch_late"),
        searched=False,
        workers=0,
    ),
    "cpu": Scale(
        "cpu",
        ("fashion_mnist", "cifar10_jpeg"),
        4000,
        1500,
        200,
        (1, 3, 5),
        8,
        (24, 24, 48, 48, 64),
        (16, 16, 16, 16, 16),
        5,
    ),
}
