"""Whether points belong to their images: do they lie on nuclei as given, or would they if they were read otherwise."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.spatial import KDTree

from linnet.errors import PointsError

PointsOfImages = Mapping[str, Float64[np.ndarray, "n 2"]]

# All ours. A reading is preferred when it puts at least this share of the points on nuclei, and so much more than the
# points as given; the second pair is for readings that were searched for, where some gain comes by chance.
_SHARE, _GAIN = 0.5, 0.25
_SHARE_SEARCHED, _GAIN_SEARCHED = 0.6, 0.35
_FEW = 10  # points or nuclei below which nothing is said
_MOST = 400  # points of an image that are looked at
_REACH, _REACH_PX = 0.35, (3.0, 10.0)  # a point lies on a nucleus within this share of the nuclei's spacing
_FACTORS = np.exp(np.arange(np.log(1 / 16), np.log(16), 0.006))  # a step moves a point at 1,000 px by 6 px
_OTHERS = 40  # images up to which points are also held against the nuclei of the other images


@dataclass(frozen=True)
class Plausibility:
    """How points fit to nuclei that a detector found.

    Attributes:
        share: Of the points that lie on a nucleus as given, 0..1; NaN when there is too little to say.
        better: What would have to be done with the points for many more of them to lie on nuclei; "" for nothing.
        better_share: The share then.
    """

    share: float
    better: str = ""
    better_share: float = float("nan")

    @property
    def plausible(self) -> bool:
        """Whether no other reading fits the points much better."""
        return not self.better


def plausibility(
    points: PointsOfImages,
    found: PointsOfImages,
    *,
    shapes: Mapping[str, tuple[int, int]] | None = None,
    pixel_size_um: float | None = None,
) -> Plausibility:
    """Holds points against the nuclei that a detector found in the same images.

    Tried are: y and x exchanged, micrometres for pixels, y counted from the bottom, a factor (points of a picture of
    another size), a shift (another origin), and points of one image on another.

    Args:
        points: (n, 2) y, x by image.
        found: The same for what was found; images on one side alone are left out.
        shapes: (h, w) by image, where known.
        pixel_size_um: Side of a pixel in micrometres, where known.
    """
    names = [name for name in points if len(points[name]) and len(found.get(name, ()))]
    given = {name: _some(points[name]) for name in names}
    total, nuclei = sum(map(len, given.values())), sum(len(found[name]) for name in names)
    if total < _FEW or nuclei < _FEW:
        return Plausibility(float("nan"))
    trees = {name: KDTree(found[name]) for name in names}
    reach = _reach(trees)

    def share(change: Callable[[str, np.ndarray], np.ndarray]) -> float:
        return sum(_hits(trees[name], change(name, p), reach) for name, p in given.items()) / total

    as_given = share(lambda _, p: p)
    best = Plausibility(as_given)
    for words, value, searched in _readings(given, trees, reach, share, shapes or {}, pixel_size_um):
        least, gain = (_SHARE_SEARCHED, _GAIN_SEARCHED) if searched else (_SHARE, _GAIN)
        known = best.better_share if best.better else as_given + gain
        if value >= max(least, known + (0.05 if best.better else 0.0)):
            best = Plausibility(as_given, words, value)
    return best


def require_plausible(fit: Plausibility, whose: str) -> None:
    """Refuses points that another reading fits much better.

    Raises:
        PointsError: says how many of the points lie on a nucleus as given and how many otherwise.
    """
    if fit.plausible:
        return
    raise PointsError(
        f"{whose}: as given {fit.share:.0%} of the points lie on a nucleus; {fit.better} {fit.better_share:.0%} do. "
        "Mend the points, or take them as they are with `trust_points`."
    )


def _readings(
    given: Mapping[str, np.ndarray],
    trees: Mapping[str, KDTree],
    reach: float,
    share: Callable[[Callable[[str, np.ndarray], np.ndarray]], float],
    shapes: Mapping[str, tuple[int, int]],
    pixel_size_um: float | None,
) -> Iterator[tuple[str, float, bool]]:
    """(what is done with the points, the share that lies on nuclei then, whether it was searched for)."""
    yield "with x and y exchanged", share(lambda _, p: p[:, ::-1]), False
    if pixel_size_um:
        words = f"taken as micrometres, with {pixel_size_um:g} micrometres per pixel,"
        yield words, share(lambda _, p: p / pixel_size_um), False
    if all(name in shapes for name in given):
        yield "with y counted from the bottom", share(lambda name, p: _upside_down(p, shapes[name])), False
    factor = _factor(given, trees, reach, share)
    words = f"multiplied by {factor:.3g} (micrometres, or a picture of another size)"
    yield words, share(lambda _, p: (p + 0.5) * factor - 0.5), True
    dy, dx = _shift(given, trees, reach)
    yield f"moved by {dy:.0f} in y and {dx:.0f} in x", share(lambda _, p: p + np.array([dy, dx])), True
    if 1 < len(given) <= _OTHERS:
        yield from _other_images(given, trees, reach)


def _other_images(
    given: Mapping[str, np.ndarray], trees: Mapping[str, KDTree], reach: float
) -> Iterator[tuple[str, float, bool]]:
    """Each image's points on the nuclei of that other image which they fit best."""
    hits, example = 0, ("", "", 0)
    for name, p in given.items():
        there = {other: _hits(tree, p, reach) for other, tree in trees.items() if other != name}
        other = max(there, key=lambda key: there[key])
        hits += there[other]
        example = max(example, (name, other, there[other]), key=lambda one: one[2])
    words = f"on other images (those of {example[0]!r} on {example[1]!r})"
    yield words, hits / sum(map(len, given.values())), True


def _hits(tree: KDTree, points: np.ndarray, reach: float) -> int:
    """Points on a nucleus; several points on one nucleus count once."""
    distance, nearest = _nearest(tree, points, reach)
    return len(np.unique(nearest[np.isfinite(distance)]))


def _nearest(tree: KDTree, points: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """(distance, index) of the nearest nucleus within reach; infinite where there is none."""
    distance, nearest = tree.query(points, distance_upper_bound=reach)
    return np.asarray(distance), np.asarray(nearest)


def _reach(trees: Mapping[str, KDTree]) -> float:
    spacing = [np.asarray(tree.query(tree.data, k=2)[0])[:, 1] for tree in trees.values() if tree.n > 1]
    usual = float(np.median(np.concatenate(spacing))) if spacing else _REACH_PX[1]
    return float(np.clip(_REACH * usual, *_REACH_PX))


def _factor(
    given: Mapping[str, np.ndarray],
    trees: Mapping[str, KDTree],
    reach: float,
    share: Callable[[Callable[[str, np.ndarray], np.ndarray]], float],
) -> float:
    """The factor that puts most points on nuclei, then made exact by least squares over those points."""
    factor = max(_FACTORS.tolist(), key=lambda f: share(lambda _, p: (p + 0.5) * f - 0.5))
    inner = norm = 0.0
    for name, p in given.items():
        distance, nearest = _nearest(trees[name], (p + 0.5) * factor - 0.5, reach)
        hit = np.isfinite(distance)
        corner = p[hit] + 0.5
        inner += float((corner * (np.asarray(trees[name].data)[nearest[hit]] + 0.5)).sum())
        norm += float((corner * corner).sum())
    return inner / norm if norm else factor


def _shift(given: Mapping[str, np.ndarray], trees: Mapping[str, KDTree], reach: float) -> tuple[float, float]:
    """The commonest difference from a point to a nucleus, over all pairs: the peak of their histogram."""
    differences = np.concatenate(
        [(np.asarray(trees[name].data)[None] - p[:, None]).reshape(-1, 2) for name, p in given.items()]
    )
    cells = np.rint(differences / reach).astype(np.int64)
    _, at, count = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    middle = differences[at.ravel() == int(np.argmax(count))].mean(axis=0)
    near = differences[np.abs(differences - middle).max(axis=1) <= reach]
    dy, dx = np.median(near, axis=0).tolist()
    return dy, dx


def _upside_down(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.stack([shape[0] - 1 - points[:, 0], points[:, 1]], axis=1)


def _some(points: np.ndarray) -> np.ndarray:
    """At most _MOST of the points, evenly through the list."""
    array = np.asarray(points, dtype=np.float64)
    return array if len(array) <= _MOST else array[np.linspace(0, len(array) - 1, _MOST).astype(int)]
