"""The learning rate that goes with a p."""

from __future__ import annotations

from linnet.errors import InputError


def padam_lr(lr_ref: float, p_ref: float, p: float, gradient_scale: float) -> float:
    """The learning rate at p that makes steps as large as `lr_ref` does at `p_ref`.

    lr(p) = lr_ref gradient_scale^(2 (p - p_ref)): a step of Padam goes as lr |g|^(1 - 2p), so it keeps its size when
    lr |g|^(-2p) stays the same for the typical gradient. A start for tuning, and no replacement of it: from a best
    learning rate at p = 1/2 it came within a factor 3 of the best ones at p = 1/8 and 1/4, for one small network and
    short training; nearer to p = 0 it was too low. See papers/chen2020_padam.

    Args:
        lr_ref: A learning rate that suits at p_ref, such as a tuned one of Adam (p_ref = 1/2).
        p_ref: Its p, 0 to 1/2.
        p: The p to go to, 0 to 1/2.
        gradient_scale: Typical size of one gradient element; in the study the mean over all elements of
            sqrt(v / (1 - b2^t)), v being `exp_avg_sq` of Adam after one epoch.

    Raises:
        InputError: a p is outside [0, 1/2], or a rate or the scale isn't positive.

    Source:
        The scale law of the update; the rule and its test are ours.

    Example:
        >>> round(padam_lr(0.04, 0.5, 0.25, gradient_scale=0.01), 3)
        0.4
    """
    for name, value in (("p_ref", p_ref), ("p", p)):
        if not 0 <= value <= 0.5:
            raise InputError(f"`{name}` must be from 0 (SGD with momentum) to 0.5 (Amsgrad) (got {value}).")
    for name, value in (("lr_ref", lr_ref), ("gradient_scale", gradient_scale)):
        if not 0 < value < float("inf"):
            raise InputError(f"`{name}` must be a positive number (got {value}).")
    return lr_ref * gradient_scale ** (2 * (p - p_ref))
