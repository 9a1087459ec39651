"""Layers whose weights are +-1: jet and binary convolution, binary linear, and the sign between them.

Each is a plain `nn.Module` with real latents as its only parameters; an ordinary loop trains them. A forward composes
the integer kernels from the latents' signs and runs one ordinary convolution, in float32 whatever autocast says: its
sums are integers below 2^24, so that float32 is exact, and bfloat16 (exact up to 256) wouldn't be.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from linnet.errors import InputError
from linnet.jet import kernel_family
from linnet.jet.straight_through import sign_activation, sign_latent
from linnet.suggest import one_of

TAPS = ("free", "first_one")
BINARY_SIZES = (1, 2, 3, 4, 5, 6, 7)
LATENT_BOUND = 0.5  # start values are uniform within it; ours


class JetConv2d(nn.Module):
    """Convolution with jet kernels: each (output, input) pair learns its taps, [1, 1] or [1, -1], along y and x.

    Args:
        cin: Input channels.
        cout: Output channels.
        kernel_size: 2, 3, 4 or 5; n = kernel_size - 1 taps an axis.
        taps: "free": both elements of a tap are learned, so a kernel may be negative (8 bits for 3 x 3, 18 kernels).
            "first_one": its first element is +1 (4 bits, 9 kernels); whether that is the paper's constrained layer
            was not verified.
        stride: Pixels between outputs.
        padding: Pixels added on every side.
        pad_value: Their value: -1 or +1 where signs come in, the value of a whole pixel in the first layer.
        normalise: None: kernels as they are; a Gaussian then outweighs a mixed one 4 to 1. "shift": each times the
            power of two that makes all L1 gains equal (3 x 3: 1, 2 or 4), kernel sizes 2 to 4; ours.

    Raises:
        InputError: a channel count, size, stride, padding or word can't be used.

    Source:
        Simons & Lee 2021 for the idea; straight-through estimator as usual for binarized networks; the rest is
        linnet's choice, see the page on jets.

    Example:
        >>> layer = JetConv2d(1, 2)
        >>> layer(torch.ones(1, 1, 5, 5)).shape, layer.kernels().shape
        (torch.Size([1, 2, 3, 3]), torch.Size([2, 1, 3, 3]))
    """

    def __init__(
        self,
        cin: int,
        cout: int,
        kernel_size: int = 3,
        taps: str = "free",
        stride: int = 1,
        padding: int = 0,
        pad_value: float = -1,
        normalise: str | None = None,
    ) -> None:
        super().__init__()
        _check(cin, cout, kernel_size, kernel_family.SIZES, stride, padding, pad_value)
        self.taps = one_of("taps", taps, TAPS)
        if normalise is not None:
            one_of("normalise", normalise, ("shift",))
            if kernel_size not in kernel_family.SHIFT_SIZES:
                raise InputError(
                    f'`normalise` must be None for kernel_size={kernel_size} (got "shift"). Powers of two make the '
                    "gains equal for kernel sizes 2, 3 and 4 only."
                )
        self.cin, self.cout, self.kernel_size = cin, cout, kernel_size
        self.stride, self.padding, self.pad_value, self.normalise = stride, padding, pad_value, normalise
        self.latents = _latents(cout, cin, 2, kernel_size - 1, 2 if taps == "free" else 1)
        shifts = [2.0 ** kernel_family.gain_shift(kernel_size, q) for q in range(kernel_size)]
        self.register_buffer("gains", torch.tensor(shifts), persistent=False)
        self.gains: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """Integer sums (N, cout, h, w) of (N, cin, H, W), as floats."""
        return _convolve(x, self._composed(), self.stride, self.padding, self.pad_value)

    def kernels(self) -> Tensor:
        """The kernels as conv2d takes them (a correlation): int8 (cout, cin, k, k)."""
        with torch.no_grad():
            return self._composed().to(torch.int8)

    def kinds(self) -> Tensor:
        """Which kernel each pair has: int8 (cout, cin, 3) of differences down, differences across and the sign."""
        with torch.no_grad():
            bits = sign_latent(self.latents)
            first, last = self._taps(bits)
            differences = (first != last).sum(-1)
            sign = first.prod(-1).prod(-1)
            return torch.stack((differences[..., 0], differences[..., 1], sign), -1).to(torch.int8)

    def _taps(self, bits: Tensor) -> tuple[Tensor, Tensor]:
        """First and second element of every tap: (cout, cin, 2 axes, n) each."""
        last = bits[..., -1]
        return (bits[..., 0] if self.taps == "free" else torch.ones_like(last)), last

    def _composed(self) -> Tensor:
        first, last = self._taps(sign_latent(self.latents))
        rows = torch.stack((first[..., 0], last[..., 0]), -1)
        for tap in range(1, self.kernel_size - 1):
            padded = functional.pad(rows, (1, 1))
            rows = padded[..., 1:] * first[..., tap, None] + padded[..., :-1] * last[..., tap, None]
        if self.normalise == "shift":
            differences = (first != last).sum(-1)
            rows = rows * self.gains.to(rows.dtype)[differences][..., None]
        return rows[..., 0, :, None] * rows[..., 1, None, :]

    def extra_repr(self) -> str:
        """Sizes and options, as `print` shows them."""
        more = "" if self.normalise is None else f", normalise={self.normalise!r}"
        return f"{_extra(self)}, taps={self.taps!r}{more}"


class BinaryConv2d(nn.Module):
    """Convolution whose every weight is +1 or -1: the layer that jets are compared with.

    Args:
        cin: Input channels.
        cout: Output channels.
        kernel_size: 1 to 7.
        stride: Pixels between outputs.
        padding: Pixels added on every side.
        pad_value: Their value, as for `JetConv2d`.

    Raises:
        InputError: a channel count, size, stride or padding can't be used.
    """

    def __init__(
        self, cin: int, cout: int, kernel_size: int = 3, stride: int = 1, padding: int = 0, pad_value: float = -1
    ) -> None:
        super().__init__()
        _check(cin, cout, kernel_size, BINARY_SIZES, stride, padding, pad_value)
        self.cin, self.cout, self.kernel_size = cin, cout, kernel_size
        self.stride, self.padding, self.pad_value = stride, padding, pad_value
        self.latents = _latents(cout, cin, kernel_size, kernel_size)

    def forward(self, x: Tensor) -> Tensor:
        """Integer sums (N, cout, h, w) of (N, cin, H, W), as floats."""
        return _convolve(x, sign_latent(self.latents), self.stride, self.padding, self.pad_value)

    def kernels(self) -> Tensor:
        """The kernels as conv2d takes them: int8 (cout, cin, k, k) of +-1."""
        with torch.no_grad():
            return sign_latent(self.latents).to(torch.int8)

    def extra_repr(self) -> str:
        """Sizes and options, as `print` shows them."""
        return _extra(self)


class BinaryLinear(nn.Module):
    """Linear layer whose every weight is +1 or -1, without bias.

    Args:
        nin: Input features.
        nout: Output features.

    Raises:
        InputError: a feature count is below 1.
    """

    def __init__(self, nin: int, nout: int) -> None:
        super().__init__()
        _whole("nin", nin, 1)
        _whole("nout", nout, 1)
        self.nin, self.nout = nin, nout
        self.latents = _latents(nout, nin)

    def forward(self, x: Tensor) -> Tensor:
        """Integer sums (..., nout) of (..., nin), as floats."""
        dtype = _exact(x)
        with torch.autocast(x.device.type, enabled=False):
            return functional.linear(x.to(dtype), sign_latent(self.latents).to(dtype))

    def kernels(self) -> Tensor:
        """The weights: int8 (nout, nin) of +-1."""
        with torch.no_grad():
            return sign_latent(self.latents).to(torch.int8)

    def extra_repr(self) -> str:
        """Sizes, as `print` shows them."""
        return f"{self.nin}, {self.nout}"


class Sign(nn.Module):
    """+1 where x >= 0, else -1 (so sign(0) = +1); the gradient passes where |x| <= 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Signs of any shape."""
        return sign_activation(x)


def _latents(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-LATENT_BOUND, LATENT_BOUND))


def _convolve(x: Tensor, kernels: Tensor, stride: int, padding: int, pad_value: float) -> Tensor:
    dtype = _exact(x)
    x = x.to(dtype)
    if padding and pad_value != 0:
        x = functional.pad(x, (padding,) * 4, value=pad_value)
        padding = 0
    with torch.autocast(x.device.type, enabled=False):
        return functional.conv2d(x, kernels.to(dtype), None, stride, padding)


def _exact(x: Tensor) -> torch.dtype:
    """The type in which the sums are exact: float64 stays, all else becomes float32."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _check(cin: int, cout: int, size: int, sizes: tuple[int, ...], stride: int, padding: int, pad_value: float) -> None:
    _whole("cin", cin, 1)
    _whole("cout", cout, 1)
    if not isinstance(size, int) or isinstance(size, bool) or size not in sizes:
        raise InputError(f"`kernel_size` must be one of {', '.join(map(str, sizes))} (got {size!r}).")
    _whole("stride", stride, 1)
    _whole("padding", padding, 0)
    if isinstance(pad_value, bool) or not isinstance(pad_value, (int, float)) or not math.isfinite(pad_value):
        raise InputError(f"`pad_value` must be a finite number (got {pad_value!r}). Give -1 or +1 for sign maps.")


def _whole(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"`{name}` must be a whole number >= {least} (got {value!r}).")


def _extra(layer: JetConv2d | BinaryConv2d) -> str:
    words = f"{layer.cin}, {layer.cout}, kernel_size={layer.kernel_size}"
    words += "" if layer.stride == 1 else f", stride={layer.stride}"
    return words + (f", padding={layer.padding}, pad_value={layer.pad_value}" if layer.padding else "")
