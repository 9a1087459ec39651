"""One-to-one matching of found points to true points within a radius."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree


@dataclass(frozen=True)
class Matching:
    """Pairs of one matching.

    Attributes:
        pairs: (k, 2) indices (into truth, into found), sorted by the index into truth.
        distances: (k,) distance of each pair in pixels.
    """

    pairs: Int64[np.ndarray, "k 2"]
    distances: Float64[np.ndarray, " k"]


def match(truth: Float64[np.ndarray, "t 2"], found: Float64[np.ndarray, "p 2"], radius_px: float = 5.0) -> Matching:
    """The one-to-one assignment with most pairs of distance <= radius and, among those, least total distance.

    Only points of one connected component of the radius graph compete, so each component is solved alone by the
    Hungarian algorithm with cost d where d <= r and r (min(|T|, |P|) + 1) elsewhere: one pair more always beats any
    saving in distance, and the cost stays of the size of r, so nothing cancels. O(n log n + sum of k^3).

    Args:
        truth: True points, (y, x) in pixels.
        found: Found points, (y, x) in pixels.
        radius_px: Largest distance of a pair; a distance of exactly `radius_px` counts.

    Returns:
        The pairs and their distances.

    Source:
        Ours; the exactness of the cost is shown in docs/concepts/matching.md.
    """
    truth = np.asarray(truth, dtype=np.float64).reshape(-1, 2)
    found = np.asarray(found, dtype=np.float64).reshape(-1, 2)
    edges, lengths = _edges(truth, found, radius_px)
    pairs, distances = [], []
    for part in _components(edges, len(truth), len(found)):
        i, j, d = _assign(edges[part], lengths[part], radius_px)
        pairs.append(np.stack([i, j], axis=1))
        distances.append(d)
    if not pairs:
        return Matching(np.zeros((0, 2), dtype=np.int64), np.zeros(0))
    joined, joined_d = np.concatenate(pairs), np.concatenate(distances)
    order = np.argsort(joined[:, 0], kind="stable")
    return Matching(joined[order], joined_d[order])


def _edges(truth: np.ndarray, found: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Index pairs with distance <= radius, and those distances."""
    if len(truth) == 0 or len(found) == 0:
        return np.zeros((0, 2), dtype=np.int64), np.zeros(0)
    # The tree rounds differently from the distance below; a hair more is asked for, then cut exactly.
    near = KDTree(found).query_ball_point(truth, radius * (1 + 1e-9) + 1e-12)
    i = np.repeat(np.arange(len(truth)), [len(k) for k in near])
    j = np.concatenate([np.asarray(k, dtype=np.int64) for k in near])
    d = np.hypot(truth[i, 0] - found[j, 0], truth[i, 1] - found[j, 1])
    keep = d <= radius
    return np.stack([i[keep], j[keep]], axis=1), d[keep]


def _components(edges: np.ndarray, truths: int, founds: int) -> list[np.ndarray]:
    """Indices of the edges of each connected component."""
    if len(edges) == 0:
        return []
    n = truths + founds
    graph = coo_matrix((np.ones(len(edges)), (edges[:, 0], truths + edges[:, 1])), shape=(n, n))
    label = connected_components(graph, directed=False)[1][edges[:, 0]]
    order = np.argsort(label, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1)


def _assign(edges: np.ndarray, lengths: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hungarian assignment of one component; pairs that are no edge are dropped."""
    if len(edges) == 1:
        return edges[:, 0], edges[:, 1], lengths
    rows, i = np.unique(edges[:, 0], return_inverse=True)
    cols, j = np.unique(edges[:, 1], return_inverse=True)
    far = radius * (min(len(rows), len(cols)) + 1) if radius > 0 else 1.0
    cost = np.full((len(rows), len(cols)), far)
    cost[i, j] = lengths
    a, b = linear_sum_assignment(cost)
    keep = cost[a, b] < far
    return rows[a[keep]], cols[b[keep]], cost[a[keep], b[keep]]
