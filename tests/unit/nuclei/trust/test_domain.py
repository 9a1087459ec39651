"""How unusual a picture is: whitening, distances and p-values against slow twins."""

import numpy as np
import pytest

from linnet.errors import InputError
from linnet.nuclei.trust.domain import LOOK, OUT, Domain, fit_domain


def features(n=60, d=9, rng_seed=0):
    rng = np.random.default_rng(rng_seed)
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)


PICTURES = [k // 2 for k in range(60)]  # 30 pictures of two images each


def test_scores_leave_out_images_of_the_same_picture():
    domain = fit_domain(list(features()), PICTURES)
    for k in range(60):
        apart = [np.linalg.norm(domain.known[k] - domain.known[j]) for j in range(60) if PICTURES[j] != PICTURES[k]]
        assert domain.score[k] == pytest.approx(min(apart), rel=1e-12)


def test_the_whitened_features_have_no_correlation_and_little_shrinkage():
    domain = fit_domain(list(features(400)), list(range(400)))
    covariance = np.cov(domain.known.T, bias=True)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-9
    assert 0.5 < np.diag(covariance).min() <= np.diag(covariance).max() < 1


def test_p_by_picture_against_its_definition():
    domain = fit_domain(list(features()), PICTURES)
    for new in features(20, rng_seed=1):
        judged = domain.judge(new)
        z = (new - domain.centre) @ domain.whitening
        assert judged.score == pytest.approx(min(np.linalg.norm(z - known) for known in domain.known))
        above = [np.mean([domain.score[i] >= judged.score for i in range(60) if PICTURES[i] == k]) for k in range(30)]
        assert judged.p == pytest.approx((sum(above) + 1) / 31)
        assert judged.pictures == 30


def test_with_one_image_a_picture_it_is_the_textbook_p_value():
    domain = fit_domain(list(features()), list(range(60)))
    judged = domain.judge(features(1, rng_seed=2)[0])
    assert judged.p == pytest.approx((1 + np.sum(domain.score >= judged.score)) / 61)


def test_new_pictures_of_the_same_kind_are_seldom_flagged():
    """P(p <= a) <= a: 300 pictures known, 1,000 new ones of the same law; 5 % and 4 standard deviations."""
    rng = np.random.default_rng(3)
    domain = fit_domain(list(rng.normal(size=(300, 4))), list(range(300)))
    p = np.array([domain.judge(new).p for new in rng.normal(size=(1000, 4))])
    assert (p <= LOOK).mean() < 0.05 + 4 * np.sqrt(0.05 * 0.95 * (1 / 1000 + 1 / 300))


def test_far_is_out_of_domain_and_says_what_is_strange():
    known = features(120)
    domain = fit_domain(list(known), list(range(120)))
    deviation = known.std(axis=0)
    assert domain.judge(known[5]).flag == "ok"
    assert domain.judge(known[5]).reason == ""
    for place, word in ((0, "texture"), (4, "contrast"), (6, "colours"), (8, "colours")):
        new = known[0] + 60 * deviation * (np.arange(9) == place)
        judged = domain.judge(new)
        assert judged.flag == "out_of_domain"
        assert judged.p == pytest.approx(1 / 121)
        assert judged.p <= OUT
        assert judged.reason.startswith("the picture is unlike the 120 that the detector learned from (0.8% of them")
        assert word in judged.reason


def test_arrays_there_and_back():
    domain = fit_domain(list(features()), PICTURES)
    back = Domain.from_arrays(domain.arrays())
    new = features(1, rng_seed=5)[0]
    assert back.judge(new).score == pytest.approx(domain.judge(new).score, rel=1e-4)
    assert back.judge(new).p == pytest.approx(domain.judge(new).p, abs=0.02)


def test_few_pictures_and_lists_that_do_not_belong_together():
    with pytest.raises(InputError, match="at least 20 pictures"):
        fit_domain(list(features(38)), [k // 2 for k in range(38)])
    with pytest.raises(InputError, match="`pictures`"):
        fit_domain(list(features()), PICTURES[:-1])
