import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial.distance import cdist

from linnet.nuclei.scoring.matching import match
from linnet.nuclei.scoring.scores import evaluate


def points(most=25):
    # Quarters of a pixel: sums and differences are exact, and ties are common.
    return (
        st.integers(0, most)
        .flatmap(lambda n: arrays(np.float64, (n, 2), elements=st.integers(0, 80)))
        .map(lambda a: a / 4)
    )


RADII = st.sampled_from([0.25, 1.0, 2.5, 5.0, 40.0])


@given(points(), points(), RADII)
@settings(max_examples=60, deadline=None)
def test_there_are_as_many_pairs_as_any_matching_has(truth, found, radius):
    pairs = match(truth, found, radius).pairs
    if len(truth) and len(found):
        most = maximum_bipartite_matching(csr_matrix(cdist(truth, found) <= radius), perm_type="column")
        assert len(pairs) == (most >= 0).sum()
    else:
        assert len(pairs) == 0


@given(points(), points(), RADII)
@settings(max_examples=60, deadline=None)
def test_scores_hang_together(truth, found, radius):
    e, swapped = evaluate(truth, found, radius), evaluate(found, truth, radius)
    assert e.tp + e.fp == len(found)
    assert e.tp + e.fn == len(truth)
    assert (e.tp, e.fp, e.fn) == (swapped.tp, swapped.fn, swapped.fp)
    assert np.isclose(sum(e.per_image[0].distances), sum(swapped.per_image[0].distances), atol=1e-9)
    assert all(d <= radius for d in e.per_image[0].distances)


@given(points(), points(), st.sampled_from([(0.25, 1.0), (1.0, 2.5), (2.5, 40.0)]))
@settings(max_examples=40, deadline=None)
def test_a_larger_radius_never_matches_fewer(truth, found, radii):
    assert evaluate(truth, found, radii[0]).tp <= evaluate(truth, found, radii[1]).tp


@given(points(), points(), RADII, st.integers(-200, 200), st.integers(-200, 200))
@settings(max_examples=40, deadline=None)
def test_moving_both_sets_changes_nothing(truth, found, radius, dy, dx):
    step = np.array([dy, dx])
    here, there = match(truth, found, radius), match(truth + step, found + step, radius)
    assert len(here.pairs) == len(there.pairs)
    assert np.isclose(here.distances.sum(), there.distances.sum(), atol=1e-9)
