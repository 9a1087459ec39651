"""Points that were read the wrong way are recognised; points that merely don't fit are not accused."""

import numpy as np
import pytest
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from linnet.errors import PointsError
from linnet.nuclei.scoring.plausible import _hits, plausibility, require_plausible
from linnet.nuclei.scoring.scores import evaluate

SHAPE = (300, 400)


def nuclei(seed, n=60):
    """Points at least 14 px apart."""
    rng = np.random.default_rng(seed)
    kept = []
    for point in rng.uniform(0, 1, (4000, 2)) * SHAPE:
        if len(kept) < n and all(np.hypot(*(point - other)) > 14 for other in kept):
            kept.append(point)
    return np.array(kept)


@pytest.fixture
def found():
    """What a detector found: a tenth missing, each 1 px off."""
    rng = np.random.default_rng(9)
    return {f"im{k}": nuclei(k)[:54] + rng.normal(0, 0.7, (54, 2)) for k in range(3)}


def read(change):
    return {f"im{k}": change(nuclei(k)) for k in range(3)}


WRONG = {
    "with x and y exchanged": lambda p: p[:, ::-1],
    "taken as micrometres": lambda p: p * 0.325,
    "with y counted from the bottom": lambda p: np.stack([SHAPE[0] - 1 - p[:, 0], p[:, 1]], axis=1),
    "multiplied by 0.4": lambda p: (p + 0.5) * 2.5 - 0.5,
    "multiplied by 1.8": lambda p: (p + 0.5) / 1.8 - 0.5,
    "moved by -30 in y and 17 in x": lambda p: p + np.array([30, -17]),
}


@pytest.mark.parametrize("reading", WRONG)
def test_what_would_fit_better_is_named(found, reading):
    fit = plausibility(read(WRONG[reading]), found, shapes=dict.fromkeys(found, SHAPE), pixel_size_um=0.325)
    assert fit.better.startswith(reading)
    assert fit.better_share > 0.85 > 0.3 > fit.share
    with pytest.raises(
        PointsError, match=rf"as given {fit.share:.0%} of the points lie on a nucleus; {reading}.*trust"
    ):
        require_plausible(fit, "points")


def test_points_of_other_images(found):
    fit = plausibility(dict(zip(found, (nuclei(k) for k in (1, 2, 0)), strict=True)), found)
    assert fit.better.startswith("on other images (those of 'im0' on 'im1')")


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p,
        lambda p: p[::3],
        lambda p: p + np.random.default_rng(1).normal(0, 3, p.shape),
        lambda p: np.random.default_rng(2).uniform(0, 1, p.shape) * SHAPE,
        lambda p: np.random.default_rng(3).uniform(0, 1, (12, 2)) * SHAPE,
        lambda p: p[:2],
        lambda p: p[:0],
    ],
)
def test_points_as_they_should_be_and_points_of_chance_are_not_accused(found, change):
    fit = plausibility(read(change), found, shapes=dict.fromkeys(found, SHAPE), pixel_size_um=0.325)
    assert fit.plausible
    require_plausible(fit, "points")


def test_hits_against_all_distances():
    rng = np.random.default_rng(0)
    nuclei, points = rng.uniform(0, 60, (40, 2)), rng.uniform(0, 60, (50, 2))
    distance = cdist(points, nuclei)
    nearest = distance.argmin(axis=1)
    assert _hits(KDTree(nuclei), points, 4.0) == len(set(nearest[distance.min(axis=1) < 4.0]))


def test_evaluate_refuses_files_whose_points_are_exchanged(tmp_path):
    truth, found = tmp_path / "truth.csv", tmp_path / "found.csv"
    np.savetxt(truth, nuclei(0)[:, ::-1], delimiter=",", header="y,x", comments="")
    np.savetxt(found, nuclei(0), delimiter=",", header="y,x", comments="")
    with pytest.raises(PointsError, match=r"truth\.csv.*as given .* x and y exchanged 100%"):
        evaluate(truth, found)
    assert evaluate(truth, found, trust_points=True).f1 < 0.3
    assert evaluate(nuclei(0)[:, ::-1], nuclei(0)).f1 < 0.3  # arrays are the caller's own business
