"""KroneckerOptions: how Kronecker factors are taken, kept and inverted."""

from dataclasses import dataclass
from typing import Literal

import torch


@dataclass(frozen=True)
class KroneckerOptions:
    """Options of `NaturalGradient` for approx="kfac".

    `NaturalGradient` checks the values, and names the field that can't be used.

    Attributes:
        factor_every: Steps between refreshes of stored factors.
        inverse_every: Steps between refreshes of their inverses.
        ema: Decay of the running mean of factors, 0 or more and below 1.
        dense_start: Whether factors and inverses are refreshed at steps 1, 2, 4, 8, ... up to `inverse_every` as well.
        adapt_damping: Whether the damping follows the Levenberg-Marquardt rule.
        compute_dtype: Of factors; None: the model's.
        sharing: Positions in factors: "expand" or "reduce".
        max_side: Largest side of a factor (a bias aside); a larger one is taken as diagonal blocks of one size, so that
            inverses and products cost less. None: always whole. At damping 0 factors are whole.
        sample_positions: Whether a layer with many positions, as an early convolution, is read at a part of them: at
            about four input vectors for each entry of a block's side, 512 at least, on a grid whose place is drawn anew
            at each refresh. The sums are weighed so that their mean is that over all positions. Not at damping 0.
        half_products: Whether inverses of large float32 layers are kept and multiplied in bfloat16 on CPUs that have
            instructions for it, where that leaves the direction the same but for 3 %; checked at each new inverse.

    Example:
        >>> import torch
        >>> from linnet.optim import KroneckerOptions, NaturalGradient
        >>> options = KroneckerOptions(factor_every=1, ema=0.9)
        >>> opt = NaturalGradient(torch.nn.Linear(3, 1), approx="kfac", damping=0.1, kronecker=options)
    """

    factor_every: int = 10
    inverse_every: int = 100
    ema: float = 0.95
    dense_start: bool = True
    adapt_damping: bool = False
    compute_dtype: torch.dtype | None = None
    sharing: Literal["expand", "reduce"] = "expand"
    max_side: int | None = 128
    sample_positions: bool = True
    half_products: bool = True
