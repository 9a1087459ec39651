"""Scores of found points against true points: precision, recall, F1, distances and counts."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from linnet.errors import PointsError
from linnet.nuclei.read.formats import stem_of
from linnet.nuclei.scoring.matching import match
from linnet.nuclei.scoring.plausible import plausibility, require_plausible

Points = np.ndarray
PointsOfImages = Mapping[str, Points]


@dataclass(frozen=True)
class ImageScore:
    """Counts of one image, and the distances of its matched pairs in pixels."""

    image: str
    tp: int
    fp: int
    fn: int
    distances: tuple[float, ...]

    @property
    def f1(self) -> float:
        """2 TP / (|P| + |T|); NaN when there is neither a true nor a found point."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def count_difference(self) -> int:
        """Found minus true."""
        return self.fp - self.fn


@dataclass(frozen=True)
class Evaluation:
    """Scores pooled over images; NaN (shown as "-") where a ratio has nothing to divide by.

    Attributes:
        per_image: One score per image, in the order of the truth.
        radius_px: Largest distance of a matched pair.
    """

    per_image: tuple[ImageScore, ...]
    radius_px: float

    @property
    def tp(self) -> int:
        """Matched pairs."""
        return sum(s.tp for s in self.per_image)

    @property
    def fp(self) -> int:
        """Found points without a true one."""
        return sum(s.fp for s in self.per_image)

    @property
    def fn(self) -> int:
        """True points that weren't found."""
        return sum(s.fn for s in self.per_image)

    @property
    def precision(self) -> float:
        """TP / |P|."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """TP / |T|."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """2 TP / (|P| + |T|) from the pooled sums."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def distance_mean(self) -> float:
        """Mean distance of matched pairs in pixels."""
        return _mean(self._distances())

    @property
    def distance_sd(self) -> float:
        """Population standard deviation of the distance of matched pairs in pixels."""
        return _sd(self._distances())

    @property
    def count_difference_mean(self) -> float:
        """Mean over images of | found - true |."""
        return _mean(self._differences())

    @property
    def count_difference_sd(self) -> float:
        """Population standard deviation over images of | found - true |."""
        return _sd(self._differences())

    def of(self, images: set[str]) -> Evaluation:
        """The same scores over some of the images."""
        return Evaluation(tuple(s for s in self.per_image if s.image in images), self.radius_px)

    def interval(
        self,
        clusters: Mapping[str, Hashable],
        *,
        metric: Callable[[Evaluation], float] = lambda e: e.f1,
        level: float = 0.95,
        draws: int = 1000,
        rng_seed: int = 0,
    ) -> tuple[float, float]:
        """Bootstrap interval of a pooled metric over clusters of images that stay together.

        Args:
            clusters: Image to cluster; crops of one picture (a mosaic) belong to one cluster.
            metric: What to compute on each draw.
            level: Coverage, 0..1.
            draws: Number of bootstrap draws.
            rng_seed: Seed of the draws.

        Returns:
            (lo, hi), percentiles of the draws in which the metric is defined; NaN when there are none or fewer than two
            clusters, which say nothing about how clusters differ.

        Raises:
            PointsError: an image has no cluster.
        """
        alone = [score.image for score in self.per_image if score.image not in clusters]
        if alone:
            raise PointsError(
                f"{len(alone)} of {len(self.per_image)} images are missing in `clusters`: image {alone[0]!r} has no "
                "cluster. Each image needs one; crops of one picture share theirs."
            )
        members: dict[Hashable, list[ImageScore]] = {}
        for score in self.per_image:
            members.setdefault(clusters[score.image], []).append(score)
        groups, rng = list(members.values()), np.random.default_rng(rng_seed)
        if len(groups) < 2:
            return (float("nan"), float("nan"))
        values = []
        for _ in range(draws):
            picked = [groups[k] for k in rng.integers(0, len(groups), len(groups))]
            values.append(metric(Evaluation(tuple(s for group in picked for s in group), self.radius_px)))
        known = np.asarray([v for v in values if np.isfinite(v)])
        if known.size == 0:
            return (float("nan"), float("nan"))
        lo, hi = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
        return (float(lo), float(hi))

    def _distances(self) -> list[float]:
        return [d for s in self.per_image for d in s.distances]

    def _differences(self) -> list[float]:
        return [float(abs(s.count_difference)) for s in self.per_image]


def evaluate(
    truth: Points | PointsOfImages | str | Path,
    found: Points | PointsOfImages | str | Path,
    radius_px: float = 5.0,
    *,
    pixel_size_um: float | None = None,
    trust_points: bool = False,
) -> Evaluation:
    """Match found points to true points image by image and pool the counts.

    Args:
        truth: (n, 2) points (y, x) of one image, {image: points} of several, a file of points or of labels, or a
            folder of such files, paired with `found` by their stems; two files that are named themselves are a pair.
        found: The same for the found points. Images without a found entry count as images without detections.
        radius_px: Largest distance of a pair, inclusive.
        pixel_size_um: Side of a pixel in micrometres, for files whose points are in micrometres.
        trust_points: Takes points from files as they are, even where they fit much better when they are read otherwise
            (x and y exchanged, micrometres, a picture of another size, another origin, another image).

    Returns:
        The scores; `per_image` in the order of the truth.

    Raises:
        PointsError: a found image has no truth, the radius isn't positive and finite, points aren't finite (n, 2), or
            points from a file fit much better when they are read otherwise.

    Example:
        >>> evaluate(np.array([[0.0, 0.0], [0.0, 6.0]]), np.array([[0.0, 4.5], [0.0, 10.5]])).tp
        2
    """
    if not (np.isfinite(radius_px) and radius_px > 0):
        raise PointsError(f"`radius_px` is {radius_px}; a positive number of pixels was needed, for example 5.")
    truths, founds = _paired(truth, found, pixel_size_um)
    strangers = sorted(set(founds) - set(truths))
    if strangers:
        raise PointsError(
            f"{len(strangers)} found image(s) have no truth: {', '.join(map(repr, strangers[:5]))}. Each found image "
            f"needs true points under the same name; the truth has {', '.join(map(repr, sorted(truths)[:5]))}."
        )
    if not trust_points and isinstance(truth, (str, Path)) and isinstance(found, (str, Path)):
        require_plausible(plausibility(truths, founds, pixel_size_um=pixel_size_um), str(truth))
    empty = np.zeros((0, 2))
    return Evaluation(
        tuple(_score(name, t, founds.get(name, empty), radius_px) for name, t in truths.items()), radius_px
    )


def _score(image: str, truth: np.ndarray, found: np.ndarray, radius_px: float) -> ImageScore:
    matching = match(truth, found, radius_px)
    tp = len(matching.pairs)
    return ImageScore(image, tp, len(found) - tp, len(truth) - tp, tuple(float(d) for d in matching.distances))


def _paired(
    truth: Points | PointsOfImages | str | Path,
    found: Points | PointsOfImages | str | Path,
    pixel_size_um: float | None,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Points by image on both sides, under the same names where they belong together."""
    truths, founds = _by_image(truth, "truth", pixel_size_um), _by_image(found, "found", pixel_size_um)
    if isinstance(truth, Mapping) or isinstance(found, Mapping) or len(truths) != 1 or len(founds) != 1:
        return truths, founds
    names = [_own_name(points, by) for points, by in ((truth, truths), (found, founds))]
    if names[0] == names[1] or None in names or (_nameless(truth, truths) and _nameless(found, founds)):
        founds = dict.fromkeys(truths, next(iter(founds.values())))
    return truths, founds


def _own_name(points: Points | PointsOfImages | str | Path, by: dict[str, np.ndarray]) -> str | None:
    """The image that points of one image name: None for an array, the stem of a file that names none."""
    if not isinstance(points, (str, Path)):
        return None
    return stem_of(Path(points)) if _nameless(points, by) else next(iter(by))


def _nameless(points: Points | PointsOfImages | str | Path, by: dict[str, np.ndarray]) -> bool:
    """Whether it is one file whose points carry no image's name."""
    return isinstance(points, (str, Path)) and not Path(points).is_dir() and by.keys() == {"image"}


def _by_image(
    points: Points | PointsOfImages | str | Path, side: str, pixel_size_um: float | None
) -> dict[str, np.ndarray]:
    if isinstance(points, (str, Path)):
        from linnet.nuclei.points.readers import read_points_of_images

        return read_points_of_images(Path(points), pixel_size_um=pixel_size_um)
    if isinstance(points, Mapping):
        return {str(k): _checked(v, f"{side}[{k!r}]") for k, v in points.items()}
    return {"image": _checked(points, side)}


def _checked(points: Points, what: str) -> np.ndarray:
    try:
        array = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PointsError(
            f"`{what}` must hold points as finite numbers (y, x), of shape (n, 2) (got something else: {error})."
        ) from error
    if array.size == 0:
        return np.zeros((0, 2))
    if array.ndim != 2 or array.shape[1] != 2 or not np.isfinite(array).all():
        raise PointsError(f"`{what}` has shape {array.shape}; finite points of shape (n, 2), y and x, were needed.")
    return array


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else float("nan")


def _sd(values: list[float]) -> float:
    return float(np.std(values)) if values else float("nan")
