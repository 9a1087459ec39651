"""Conformal sets against MAPIE, where it is installed."""

import numpy as np
import pytest

from linnet.ensemble import Conformal

GENERATOR = np.random.default_rng(0)
PROBS = GENERATOR.dirichlet(np.full(4, 0.6), size=700)
LABELS = np.array([GENERATOR.choice(4, p=p) for p in PROBS])


class Known:
    """A fitted classifier, as scikit-learn has them, whose inputs are its probabilities."""

    classes_ = np.arange(4)
    n_features_in_ = 4

    def fit(self, x, y):
        return self

    def predict_proba(self, x):
        return x

    def predict(self, x):
        return x.argmax(axis=1)

    def __sklearn_is_fitted__(self):
        return True


def theirs(score):
    classification = pytest.importorskip("mapie.classification", reason="MAPIE isn't installed", exc_type=ImportError)
    from sklearn.base import BaseEstimator, ClassifierMixin

    known = type("Fitted", (Known, ClassifierMixin, BaseEstimator), {})()
    return classification.SplitConformalClassifier(known, confidence_level=0.8, conformity_score=score, random_state=0)


@pytest.mark.filterwarnings("ignore")
def test_lac_sets_are_mapies():
    model = theirs("lac").conformalize(PROBS[:300], LABELS[:300])
    _, sets = model.predict_set(PROBS[300:])
    ours = Conformal.fit(PROBS[:300], LABELS[:300], alpha=0.2)
    assert np.array_equal(ours.sets(PROBS[300:]), sets[:, :, 0])


@pytest.mark.filterwarnings("ignore")
def test_aps_covers_as_mapie_does_with_sets_as_large():
    model = theirs("aps").conformalize(PROBS[:300], LABELS[:300])
    _, sets = model.predict_set(PROBS[300:], conformity_score_params={"include_last_label": "randomized"})
    sets = sets[:, :, 0]
    share, size = Conformal.fit(PROBS[:300], LABELS[:300], 0.2, "aps").coverage(PROBS[300:], LABELS[300:])
    # Both draw random numbers of their own: 400 samples, so a share has a standard error of .02.
    assert share == pytest.approx(sets[np.arange(400), LABELS[300:]].mean(), abs=0.06)
    assert size == pytest.approx(sets.sum(axis=1).mean(), abs=0.2)
