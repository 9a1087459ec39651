"""Names of the corruptions, and the suites that they form."""

from __future__ import annotations

from linnet.errors import InputError
from linnet.suggest import one_of

TEST = (
    "gaussian_noise", "shot_noise", "impulse_noise", "defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "snow",
    "frost_like", "fog", "brightness", "contrast", "elastic_transform", "pixelate", "jpeg_compression",
)  # fmt: skip
EXTRA = ("speckle_noise", "gaussian_blur", "spatter", "saturate")
SUITES = {"cifar15": TEST, "extra4": EXTRA, "all19": TEST + EXTRA}

COLOUR_ONLY = ("saturate",)
"""What does nothing to gray."""


def corruption_names(suite: str = "all19", *, channels: int = 3) -> tuple[str, ...]:
    """Names of the corruptions of the generated suite.

    Args:
        suite: "cifar15" (the usual test corruptions), "extra4" (kept apart for validation) or "all19".
        channels: 3, or 1 to leave out what needs colour: saturate.

    Raises:
        InputError: the suite is unknown, or `channels` is neither 1 nor 3.

    Source:
        Hendrycks & Dietterich 2019, whose names these are.

    Example:
        >>> corruption_names("extra4", channels=1)
        ('speckle_noise', 'gaussian_blur', 'spatter')
    """
    names = SUITES[one_of("suite", suite, SUITES)]
    if channels not in (1, 3):
        raise InputError(f"`channels` must be 1 or 3 (got {channels}).")
    return tuple(name for name in names if channels == 3 or name not in COLOUR_ONLY)
