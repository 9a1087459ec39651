"""Whether a picture is like those that a detector learned from: a distance, and its conformal p-value by picture."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from linnet.errors import InputError
from linnet.nuclei.trust.early_features import GROUPS, group_of

LOOK, OUT = 0.05, 0.02
"""p-values from which a picture is flagged "look" and "out_of_domain"; ours, so that 5 % of known pictures are."""

_SHRINK = 0.01  # share of the mean variance that is added to each direction's; chosen on foreign pictures, ours
LEAST = 20  # pictures below which no p-value reaches LOOK
_WORDS = {
    "texture": "its texture and shapes are the most unusual",
    "contrast": "its contrast is the most unusual",
    "colour": "its colours are the most unusual",
}


@dataclass(frozen=True)
class Domain:
    """Pictures that a detector learned from, as a measure of how unusual another one is.

    The features z of a picture are whitened by the covariance of those of the known pictures, shrunk towards a
    multiple of the identity; its score is the distance to the nearest known one. A known picture's own score leaves
    out all images of the same picture. The p-value of a score s is

        p = sum_i w_i [s_i >= s] + 1 / (K + 1),   w_i = 1 / ((K + 1) m_i),

    for K known pictures, of which that of image i has m_i images: for a new picture from the same source, p <= a
    happens with probability <= a.

    Attributes:
        centre: (d,) mean of the features.
        whitening: (d, d) maps centred features to whitened ones.
        known: (n, d) whitened features of the known images.
        score: (n,) their scores.
        weight: (n,) their weights w.

    Source:
        Weights by picture: hierarchical conformal prediction; features, distance and constants are linnet's choice.
    """

    centre: Float64[np.ndarray, " d"]
    whitening: Float64[np.ndarray, "d d"]
    known: Float64[np.ndarray, "n d"]
    score: Float64[np.ndarray, " n"]
    weight: Float64[np.ndarray, " n"]

    def judge(self, features: Float64[np.ndarray, " d"]) -> Judgement:
        """How unusual a picture with these features is."""
        z = (features - self.centre) @ self.whitening
        apart = z - self.known
        distance = np.sqrt((apart**2).sum(axis=1))
        nearest = int(np.argmin(distance))
        score = float(distance[nearest])
        pictures = round(1 / self._least_p) - 1
        p = float(self.weight[self.score >= score].sum()) + self._least_p
        return Judgement(score, min(1.0, p), pictures, self._strangest(apart[nearest]))

    def arrays(self) -> dict[str, np.ndarray]:
        """The parts as float32 arrays by name, for a file; `from_arrays` reads them."""
        parts = ("centre", "whitening", "known", "score", "weight")
        return {name: np.ascontiguousarray(getattr(self, name), dtype=np.float32) for name in parts}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Domain:
        """The domain that `arrays` wrote."""
        return cls(**{name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()})

    @property
    def _least_p(self) -> float:
        """1 / (K + 1): what the weights leave to a new picture."""
        return 1.0 - float(self.weight.sum())

    def _strangest(self, apart: Float64[np.ndarray, " d"]) -> str:
        """The group of features that contributes most, per feature, to a whitened difference."""
        back = np.linalg.pinv(self.whitening)
        unusual = np.abs(apart @ back) / np.sqrt(np.maximum((back**2).sum(axis=0), 1e-30))
        groups = [group_of(k, len(unusual)) for k in range(len(unusual))]
        strength = {g: max(v for v, of in zip(unusual, groups, strict=True) if of == g) for g in set(groups)}
        return max(GROUPS, key=lambda group: strength.get(group, 0.0))


@dataclass(frozen=True)
class Judgement:
    """How unusual one picture is.

    Attributes:
        score: Distance to the nearest known picture; higher is farther.
        p: Share of pictures of the known kind that are at least as unusual.
        pictures: Number of known pictures.
        strangest: One of `GROUPS`.
    """

    score: float
    p: float
    pictures: int
    strangest: str

    @property
    def flag(self) -> str:
        """ "ok", "look" or "out_of_domain"."""
        return "out_of_domain" if self.p <= OUT else "look" if self.p <= LOOK else "ok"

    @property
    def reason(self) -> str:
        """Why it isn't "ok", in words; "" when it is."""
        if self.flag == "ok":
            return ""
        how = "unlike" if self.flag == "out_of_domain" else "hardly like"
        return (
            f"the picture is {how} the {self.pictures} that the detector learned from ({self.p:.1%} of them are as "
            f"unusual); {_WORDS[self.strangest]}"
        )


def fit_domain(features: Sequence[Float64[np.ndarray, " d"]], pictures: Sequence[Hashable]) -> Domain:
    """The domain of known images.

    Args:
        features: Of each image, from `EarlyFeatures.features`.
        pictures: The picture that each image belongs to: crops of one picture share theirs.

    Raises:
        InputError: there are fewer than 20 pictures, or the two lists don't belong together.
    """
    if len(features) != len(pictures):
        raise InputError(f"`pictures` must name one picture for each of {len(features)} images (got {len(pictures)}).")
    names = {name: k for k, name in enumerate(dict.fromkeys(pictures))}
    if len(names) < LEAST:
        raise InputError(f"`pictures` must name at least {LEAST} pictures, or no p-value says much (got {len(names)}).")
    of = np.array([names[name] for name in pictures])
    x = np.stack(features)
    centre = x.mean(axis=0)
    whitening = _whitening(x - centre)
    known = (x - centre) @ whitening
    score = np.array([_apart(known[k], known[of != of[k]]) for k in range(len(known))])
    weight = 1 / ((len(names) + 1) * np.bincount(of)[of])
    return Domain(centre, whitening, known, score, weight)


def _whitening(x: Float64[np.ndarray, "n d"]) -> Float64[np.ndarray, "d d"]:
    """Maps x to directions of variance near 1: by each feature's deviation, then by the shrunk covariance."""
    deviation = x.std(axis=0) + 1e-6
    values, vectors = np.linalg.eigh(np.cov((x / deviation).T, bias=True))
    return vectors / np.sqrt(np.maximum(values, 0) + _SHRINK * values.mean()) / deviation[:, None]


def _apart(one: Float64[np.ndarray, " d"], others: Float64[np.ndarray, "n d"]) -> float:
    return float(np.sqrt(((others - one) ** 2).sum(axis=1).min()))
