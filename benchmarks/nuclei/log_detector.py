"""The peer: single-scale Laplacian of Gaussian (LoG), with every setting tuned for each group of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.ndimage import gaussian_laplace, maximum_filter
from scipy.spatial import KDTree
from skimage.color import rgb2hed

from linnet.nuclei.detector.brightness import brightness_range

SIGMAS_PX = (2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0)
POLARITIES = ("bright", "dark")
WINDOWS = (0.0, 0.25, 0.5, 1.0)  # half width of the peak window in units of sigma; at least one pixel
GRAYS = ("linear", "sqrt", "log", "minimum", "hematoxylin")


@dataclass(frozen=True)
class LogSettings:
    """Everything that can be chosen of a single-scale LoG detector.

    Attributes:
        gray: How one number per pixel is made, one of GRAYS.
        polarity: "bright" or "dark" nuclei.
        sigma_px: Standard deviation of the Gaussian.
        window: Half width of the window in which a peak must be highest, in units of sigma.
        threshold: Smallest scale-normalised response sigma^2 |LoG| of a peak.
    """

    gray: str
    polarity: str
    sigma_px: float
    window: float
    threshold: float

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """(n, 2) float64 points (y, x) of one image."""
        response = log_response(to_gray(image, self.gray), self.sigma_px, self.polarity)
        points, height = peaks(response, self.reach_px)
        return points[height > self.threshold]

    @property
    def reach_px(self) -> int:
        """Half width of the peak window in pixels."""
        return max(1, round(self.window * self.sigma_px))


@dataclass(frozen=True)
class Tuned:
    """The best settings of one group and the F1 they reached where they were tuned."""

    settings: LogSettings
    f1: float


def to_gray(image: np.ndarray, gray: str) -> np.ndarray:
    """One float32 number per pixel, from pixels normalised as the detector's are.

    Args:
        image: (h, w) or (h, w, 3).
        gray: "linear" (mean of the channels), "sqrt" and "log" (of it: weak nuclei count more), "minimum" (over the
            channels: all stains are dark in it), "hematoxylin" (the stain of nuclei, by colour deconvolution).
    """
    pixels = np.clip(brightness_range(image).apply(image), 0, 1)
    if pixels.ndim == 3 and gray == "hematoxylin":
        return rgb2hed(pixels)[..., 0].astype(np.float32)
    if pixels.ndim == 3:
        pixels = pixels.min(axis=2) if gray == "minimum" else pixels.mean(axis=2)
    if gray == "sqrt":
        return np.sqrt(pixels)
    return np.log(pixels + np.float32(0.05)) if gray == "log" else pixels


def log_response(gray: np.ndarray, sigma_px: float, polarity: str) -> np.ndarray:
    """Scale-normalised sigma^2 LoG, positive at blobs of the given polarity."""
    response = gaussian_laplace(gray, sigma_px, mode="nearest")
    return response * np.float32(-(sigma_px**2) if polarity == "bright" else sigma_px**2)


def peaks(response: np.ndarray, reach_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Positive pixels that are highest in their square window, and their heights."""
    highest = maximum_filter(response, size=2 * reach_px + 1, mode="nearest")
    points = np.argwhere((response == highest) & (response > 0))
    return points.astype(np.float64), response[points[:, 0], points[:, 1]].astype(np.float64)


def tune(images: Sequence[np.ndarray], truths: Sequence[np.ndarray], *, radius_px: float = 5.0) -> Tuned:
    """The settings with the highest pooled F1 on one group; every threshold is tried.

    Args:
        images: The group's validation images.
        truths: Their true points.
        radius_px: Largest distance of a matched pair.
    """
    colour = any(image.ndim == 3 for image in images)
    best = Tuned(LogSettings("linear", "bright", SIGMAS_PX[0], 1.0, np.inf), -1.0)
    for gray in GRAYS if colour else GRAYS[:3]:
        grays = [to_gray(image, gray) for image in images]
        for sigma in SIGMAS_PX:
            bright = [log_response(one, sigma, "bright") for one in grays]
            for polarity, window in product(POLARITIES, WINDOWS):
                settings = LogSettings(gray, polarity, sigma, window, 0.0)
                responses = bright if polarity == "bright" else [-response for response in bright]
                f1, threshold = best_threshold([peaks(r, settings.reach_px) for r in responses], truths, radius_px)
                if f1 > best.f1:
                    best = Tuned(LogSettings(gray, polarity, sigma, window, threshold), f1)
    return best


def tune_groups(images: Iterable[tuple[str, np.ndarray, np.ndarray]], *, radius_px: float = 5.0) -> Mapping[str, Tuned]:
    """Settings for each group.

    Args:
        images: (group, pixels, true points) of each validation image.
        radius_px: Largest distance of a matched pair.
    """
    members: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
    for group, pixels, points in images:
        of_group = members.setdefault(group, ([], []))
        of_group[0].append(pixels)
        of_group[1].append(points)
    return {group: tune(*of_group, radius_px=radius_px) for group, of_group in sorted(members.items())}


def best_threshold(
    found: Sequence[tuple[np.ndarray, np.ndarray]], truths: Sequence[np.ndarray], radius_px: float
) -> tuple[float, float]:
    """(F1, threshold): the cut on peak heights with the highest pooled F1, over all cuts there are.

    Taking peaks from the highest down, each either lets one more pair be matched or doesn't (augmenting paths keep the
    matching maximal), so one pass gives the pooled TP at every cut exactly.
    """
    heights = np.concatenate([height for _, height in found])
    gains = np.concatenate([_gains(p, h, t, radius_px) for (p, h), t in zip(found, truths, strict=True)])
    if len(heights) == 0:
        return 0.0, np.inf
    order = np.argsort(-heights, kind="stable")
    heights, tp = heights[order], np.cumsum(gains[order])
    f1 = 2 * tp / (np.arange(1, len(tp) + 1) + sum(map(len, truths)))
    f1[:-1][heights[1:] == heights[:-1]] = -1  # a cut can't fall between equal heights
    best = int(np.argmax(f1))
    below = heights[best + 1] if best + 1 < len(heights) else 0.0
    return float(f1[best]), float((heights[best] + below) / 2)


def _gains(points: np.ndarray, heights: np.ndarray, truth: np.ndarray, radius_px: float) -> np.ndarray:
    """For each point, whether it adds a pair to the maximum matching of the points that are higher."""
    gains = np.zeros(len(points))
    if len(points) == 0 or len(truth) == 0:
        return gains
    near = KDTree(truth).query_ball_point(points, radius_px)
    owner: dict[int, int] = {}
    for point in np.argsort(-heights, kind="stable"):
        gains[point] = _augment(int(point), near, owner, set())
    return gains


def _augment(point: int, near: Sequence[Sequence[int]], owner: dict[int, int], seen: set[int]) -> bool:
    """Kuhn's step: gives the point a true nucleus, moving others to another one of theirs where needed."""
    for nucleus in near[point]:
        if nucleus in seen:
            continue
        seen.add(nucleus)
        if nucleus not in owner or _augment(owner[nucleus], near, owner, seen):
            owner[nucleus] = point
            return True
    return False
