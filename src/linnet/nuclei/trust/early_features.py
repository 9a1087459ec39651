"""What a network sees while it searches a picture: a few numbers of its early features and of its input."""

import threading
from types import TracebackType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

# Layer whose features are looked at, by preset, and its stride: early enough to see texture and stain. Ours.
LAYERS = {"small": ("fine", 4), "paper": ("encoder.1", 2)}
GROUPS = ("texture", "contrast", "colour")
_BINS, _SATURATION = (
    200,
    2.0,
)  # histogram of the difference between a pixel's channels, in units of the brightness range


class EarlyFeatures:
    """Adds up what passes through a network, tile by tile; the sums are the same for every choice of tiles.

    A context manager: inside it the network is observed, for the calls of this thread alone.

    Args:
        network: A network that `Detector` runs.
        preset: Its name in `LAYERS`.
    """

    def __init__(self, network: nn.Module, preset: str) -> None:
        name, self._stride = LAYERS[preset]
        self._layer = network.get_submodule(name)
        self._thread, self._seen = threading.get_ident(), torch.empty(0)
        self._handle: Any = None
        self._features: Float64[np.ndarray, "k c"] = np.zeros((0, 0))
        self._input = np.zeros(5)
        self._cells, self._pixels = 0, 0
        self._saturation = np.zeros(_BINS)

    def __enter__(self) -> "EarlyFeatures":
        self._handle = self._layer.register_forward_hook(self._keep_features)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.remove()

    def take(self, picture: np.ndarray, size: tuple[int, int], core: Any, window: Any) -> None:
        """Adds what of the last call's input and features lies in a tile's core and in the picture.

        Args:
            picture: (3, h, w), the network's input over the tile's window.
            size: (h, w) of the scaled picture.
            core: ((y0, y1), (x0, x1)) of the tile in scaled pixels.
            window: The same of its window.
        """
        spans = []
        for (low, high), (start, _), end in zip(core, window, size, strict=True):
            begin, stop = max(0, low), min(high, end)
            if begin >= stop:
                return
            spans.append((begin - start, stop - start))
        (y0, y1), (x0, x1) = spans
        s = self._stride
        cells = self._seen[:, y0 // s : max(y0 // s + 1, y1 // s), x0 // s : max(x0 // s + 1, x1 // s)].double()
        sums = torch.stack([cells.sum(dim=(1, 2)), cells.square().sum(dim=(1, 2))]).cpu().numpy()
        self._features = sums if self._features.size == 0 else self._features + sums
        self._cells += cells.shape[1] * cells.shape[2]
        self._add_input(torch.from_numpy(picture[:, y0:y1, x0:x1]))

    def features(self) -> Float64[np.ndarray, " d"] | None:
        """Mean and standard deviation of each feature, then contrast and colour of the input; None of nothing."""
        if self._cells == 0:
            return None
        mean = self._features[0] / self._cells
        spread = np.sqrt(np.maximum(self._features[1] / self._cells - mean**2, 0))
        brightness, square, saturation, red_green, green_blue = self._input / self._pixels
        contrast = np.sqrt(max(square - brightness**2, 0))
        below = np.searchsorted(np.cumsum(self._saturation), 0.95 * self._pixels)
        colourful = (float(below) + 0.5) * _SATURATION / _BINS
        return np.concatenate([mean, spread, [contrast, saturation, colourful, red_green, green_blue]])

    def _add_input(self, x: Tensor) -> None:
        bright = x.mean(dim=0)
        saturation = x.amax(dim=0) - x.amin(dim=0)
        parts = (bright, bright.square(), saturation, x[0] - x[1], x[1] - x[2])
        self._input += np.array([float(part.double().sum()) for part in parts])
        self._saturation += torch.histc(saturation.clamp(0, _SATURATION), _BINS, 0, _SATURATION).cpu().numpy()
        self._pixels += bright.numel()

    def _keep_features(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        if threading.get_ident() == self._thread:
            self._seen = output[0]


def group_of(index: int, dimensions: int) -> str:
    """Which of `GROUPS` a feature belongs to."""
    place = index - (dimensions - 5)
    return GROUPS[0] if place < 0 else GROUPS[1] if place == 0 else GROUPS[2]
