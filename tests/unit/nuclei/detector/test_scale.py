"""The search for the scale at which nuclei have the size that the detector was trained for."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from skimage.transform import rescale

import linnet.nuclei
from linnet.data import fluorescence_field
from linnet.nuclei import evaluate
from linnet.nuclei.detector.scale import SCALES, Choice, Found, agreed_scale, find_scale
from linnet.nuclei.training.crowded import crowded
from tests.unit.nuclei.lazy import Lazy

CLOSE = np.stack(np.meshgrid(np.arange(3) * 4.0, np.arange(3) * 4.0, indexing="ij"), -1).reshape(-1, 2)


def finder(means: dict[float, float], points: np.ndarray = CLOSE):
    """A detector whose points have a given mean score at each scale, and that notes the parts it saw."""
    seen: dict[float, tuple[int, ...]] = {}

    def find(part: np.ndarray, scale: float) -> Found:
        seen[scale] = part.shape
        mean = means.get(scale, 0.0)
        n = len(points) if mean else 0
        return Found(points[:n] / scale, np.full(n, mean))

    return find, seen


def chosen(find, image):
    return find_scale(find, image, 24.0, lambda block: float(block.std()))


@pytest.mark.parametrize(
    ("means", "expected"),
    [
        ({1.0: 0.50, 1.4: 0.55, 2.0: 0.60, 2.8: 0.58}, 2.0),
        ({0.25: 0.58, 0.5: 0.56, 1.0: 0.50, 1.4: 0.47}, 0.25),
        ({0.7: 0.515, 1.0: 0.50, 1.4: 0.51}, 1.0),  # not clearly better
        ({0.7: 0.50, 1.0: 0.60, 1.4: 0.55}, 1.0),  # the image is right as it is
        ({2.0: 0.55}, 2.0),  # nothing at all at the first scales
    ],
)
def test_the_clearly_better_scale_is_chosen(means, expected):
    find, _ = finder(means)
    assert chosen(find, np.zeros((100, 100))) == Choice(expected, sure=True)


def test_an_empty_field_chooses_1():
    find, seen = finder({})
    assert chosen(find, np.zeros((100, 100))) == Choice(1.0, sure=False)
    assert set(seen) == set(SCALES)


def test_a_few_points_say_nothing():
    find, _ = finder({1.0: 0.5, 0.5: 0.9}, CLOSE[:4])
    assert chosen(find, np.zeros((100, 100))) == Choice(1.0, sure=False)


@pytest.mark.parametrize(("gain", "expected"), [(0.021, 0.5), (0.019, 1.0)])
def test_points_far_apart_cost_as_the_formula_says(gain, expected):
    """Merit = mean score - 0.1 max(0, ln(median distance of nearest neighbours / spacing)), worked out slowly."""
    points = np.random.default_rng(0).uniform(0, 400, (12, 2))
    away = cdist(points, points) + np.diag(np.full(12, np.inf))
    price = 0.1 * math.log(np.median(away.min(1)) / 24)
    assert price > 0.03

    def find(_part, scale):  # at 1 the points are too far apart, at 0.5 they are not
        at = points if scale == 1 else CLOSE
        return Found(at / scale, np.full(len(at), {1.0: 0.5, 0.5: 0.5 - price + gain}.get(scale, 0.0)))

    assert chosen(find, np.zeros((500, 500))).scale == expected


@pytest.mark.parametrize(("gain", "expected"), [(0.021, 0.5), (0.019, 1.0)])
def test_where_diameters_are_known_large_nuclei_cost_and_spacing_does_not(gain, expected):
    """Merit = mean score - 0.1 max(0, ln(median diameter in scaled pixels / 24)); nuclei of 60 px."""
    price = 0.1 * (math.log(60 / 24) - math.log(30 / 24))
    points = np.random.default_rng(0).uniform(0, 2000, (12, 2))

    def find(_part, scale):
        mean = {1.0: 0.5, 0.5: 0.5 - price + gain}.get(scale, 0.0)
        return Found(points, np.full(12, mean), np.full(12, 60.0))

    assert chosen(find, np.zeros((500, 500))).scale == expected


@pytest.mark.parametrize(("diameter", "expected"), [(15.0, 1.4), (11.0, 2.0), (17.0, 1.0)])
def test_an_image_is_enlarged_only_where_its_nuclei_are_small(diameter, expected):
    means = {1.0: 0.5, 1.4: 0.6, 2.0: 0.7}

    def find(_part, scale):
        mean = means.get(scale, 0.0)
        n = len(CLOSE) if mean else 0
        return Found(CLOSE[:n] / scale, np.full(n, mean), np.full(n, diameter))

    assert chosen(find, np.zeros((500, 500))).scale == expected


def led(sizes, *, scores=None, image=(300, 300), n=12):
    """The choice, and (scale, shape of the part) of each look; `sizes` are median diameters in pixels of the image."""
    looks = []

    def find(part, scale):
        looks.append((scale, part.shape))
        count = n if scale in sizes else 0
        score = (scores or {}).get(scale, 0.5)
        points = np.random.default_rng(0).uniform(0, min(image), (count, 2))
        return Found(points, np.full(count, score), np.full(count, float(sizes.get(scale, 0.0))))

    return chosen(find, np.zeros(image)), looks


def test_sure_nuclei_of_the_right_size_end_the_search_at_the_first_look():
    choice, looks = led({1.0: 24.0}, scores={1.0: 0.6})
    assert choice == Choice(1.0, sure=True)
    assert looks == [(1.0, (300, 300))]  # a small image as a whole: what was found there is the result
    _, looks = led({1.0: 24.0}, scores={1.0: 0.6}, image=(2000, 1000))
    assert looks == [(1.0, (283, 283))]  # sqrt(4 % of the pixels)


@pytest.mark.parametrize(
    ("sizes", "scores", "expected"),
    [
        ({1.0: 60.0, 0.5: 60.0, 0.35: 60.0}, {0.35: 0.55}, 0.35),  # the diameters lead there
        ({1.0: 60.0, 0.5: 60.0, 0.35: 60.0}, {0.35: 0.2, 0.5: 0.2}, 1.0),  # but there is nothing sure
        ({1.0: 20.0, 0.25: 90.0}, {0.25: 0.6}, 0.25),  # pieces at 1, nuclei at 0.25
        ({1.0: 12.0, 2.0: 12.0}, {2.0: 0.55}, 2.0),
        ({1.0: 15.0, 1.4: 9.0, 2.8: 9.0}, {1.4: 0.52, 2.8: 0.56}, 2.8),  # a second step
        ({2.0: 9.0, 2.8: 9.0}, {}, 2.8),  # nothing at all at 1
        ({2.0: 20.0}, {}, 1.0),  # what a sample of the enlarged image shows isn't there at its own size
    ],
)
def test_diameters_lead_to_the_scale(sizes, scores, expected):
    choice, looks = led(sizes, scores=scores)
    assert choice.scale == expected
    assert len(looks) == len(set(looks)) <= 6


def test_another_scale_must_be_much_better_where_the_nuclei_have_the_right_size_at_1():
    """At 0.25 the nuclei seem to have 30 px as well: 0.04 better isn't enough, 0.06 is."""
    for gain, expected in ((0.04, 1.0), (0.06, 0.7)):
        sizes = {1.0: 36.0, 0.7: 30.0, 0.5: 36.0}
        choice, _ = led(sizes, scores={1.0: 0.50, 0.5: 0.3, 0.7: 0.50 - 0.1 * math.log(36 / 24) + gain})
        assert choice.scale == expected


@pytest.mark.parametrize(
    ("many", "times", "smaller", "surer", "doubt", "scale"),
    [
        (60, 4.0, 2.0, 0.05, True, 1.0),
        (60, 4.0, 2.0, 0.10, True, 2.0),  # much surer: they may well be small nuclei
        (20, 4.0, 2.0, 0.05, True, 2.0),  # too few to pass the enlarged image over, enough for a doubt
        (60, 2.4, 2.0, 0.05, False, 2.0),  # small nuclei are found more surely when enlarged, not several times as many
        (60, 4.0, 1.2, 0.05, False, 2.0),  # and at the same size
        (12, 4.0, 2.0, 0.05, False, 2.0),  # so few may be noise
    ],
)
@pytest.mark.parametrize("side", [200, 1600])
def test_pieces_of_nuclei_are_not_taken_for_nuclei(many, times, smaller, surer, doubt, scale, side):
    """At 1 nuclei of 11 px are found; enlarged, more and smaller ones in the same place, and more surely."""

    def find(part, scale):
        area = part.shape[0] * part.shape[1]
        known = {1.0: (1.0, 11.0, 0.5), 2.0: (times, 11.0 / smaller, 0.5 + surer)}
        share, diameter, mean = known.get(scale, (0.0, 1.0, 0.0))
        n = round(many * share * area / (200 * 200 if side == 200 else 160 * 160))  # 160: of the part seen at 2
        points = part.shape[0] * (np.arange(n)[:, None] * np.array([0.7549, 0.5698]) % 1)  # evenly spread
        return Found(points, np.full(n, mean), np.full(n, diameter))

    choice = chosen(find, np.zeros((side, side)))
    assert choice.pieces == doubt
    assert choice.scale == scale


def test_an_empty_field_of_a_network_with_diameters_chooses_1_after_four_looks():
    choice, looks = led({})
    assert choice == Choice(1.0, sure=False)
    assert [scale for scale, _ in looks] == [1.0, 0.25, 0.5, 2.0]
    assert looks[-1][1] == (80, 80)  # only a sample of the enlarged image


def test_what_was_found_on_the_way_is_the_result():
    """A small image's search at the chosen scale isn't done twice, and gives the same."""
    image, _ = fluorescence_field((256, 256), 40, rng_seed=3, diameter_px=(15, 21))
    detector = linnet.nuclei.load("default")
    tiles = []
    found = detector(image, on_tile=lambda done, of: tiles.append((done, of)))
    again = detector(image, scale=found.scale)
    assert tiles == [(1, 1)]
    assert np.array_equal(found.points, again.points)
    assert np.array_equal(found.score, again.score)
    assert (found.flag, found.ood_score) == (again.flag, again.ood_score)
    np.testing.assert_allclose(found.points, detector(image, tile=64).points, atol=1e-3)


def test_each_scale_sees_a_part_of_bounded_size():
    find, seen = finder({})
    chosen(find, np.zeros((3000, 700, 3)))
    side = math.sqrt(0.04 * 3000 * 700)
    assert seen == {s: (min(768, round(side / s)), min(700, round(side / s)), 3) for s in SCALES}
    chosen(find, np.zeros((60, 5000)))
    assert seen[2.8] == (57, 57)
    assert seen[0.25] == (60, 640)


def test_the_sample_lies_where_there_is_something_to_see_and_nothing_else_is_read():
    image = np.zeros((6000, 6000), np.uint8)
    image[5872:6000:4, 2936:3064] = 200
    lazy, parts = Lazy(image), []

    def find(part, _scale):
        parts.append(part.max())
        return Found(CLOSE, np.full(len(CLOSE), 0.5))

    chosen(find, lazy)
    assert min(parts) == 200
    assert lazy.pixels_read < 0.2 * image.size


def test_a_batch_agrees_by_vote_and_empty_images_do_not_vote():
    votes = [Choice(2.0, sure=True), Choice(0.5, sure=True), Choice(2.0, sure=True), Choice(1.0, sure=False)]
    assert agreed_scale(votes) == 2.0
    assert agreed_scale([Choice(1.0, sure=False)]) == 1.0
    assert agreed_scale([]) == 1.0


@pytest.mark.parametrize(("factor", "least"), [(0.4, 0.85), (1.0, 0.93), (3.0, 0.85)])
def test_nuclei_of_any_size_are_found_by_default(factor, least):
    """Nuclei of 18 px shown at 7, 18 and 54 px; without the search F1 is 0.52 at the smallest."""
    image, points = fluorescence_field((400, 400), 90, rng_seed=3, diameter_px=(15, 21))
    if factor != 1:
        image = rescale(image.astype(float), factor, anti_aliasing=factor < 1, order=1)
    detector = linnet.nuclei.load("default")
    found = detector(image)
    assert evaluate((points + 0.5) * factor - 0.5, found.points, max(2.0, 5.0 * factor)).f1 > least
    assert found.diameter_px == detector.reference_diameter_px / found.scale
    assert found.diameter_px == pytest.approx(18 * factor, rel=0.4)


def speckled(image, rng):
    """A drawn picture with six bright foci in each nucleus, and its background subtracted: most of it is exactly 0."""
    y, x = np.mgrid[:320, :320]
    shown = image.range.apply(image.pixels).clip(0, 1)
    for centre, diameter in zip(image.points, image.diameters, strict=True):
        for row, column in rng.normal(centre, diameter / 6, (6, 2)):
            shown = shown + 4 * shown.mean() * np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 1.2**2))
    dark = (shown - np.percentile(shown, 60)).clip(0)
    return (255 * (dark / np.percentile(dark, 99.9)).clip(0, 1)).astype(np.uint8)


def test_a_count_of_crowded_nuclei_with_foci_is_right_or_flagged():
    """Before, three times as many nuclei as there are were found, and the result was "ok"."""
    detector = linnet.nuclei.load("default")
    for k, image in enumerate(crowded(5, pictures=3)):
        found = detector(speckled(image, np.random.default_rng(k)))
        assert found.flag != "ok" or abs(len(found) - len(image.points)) < len(image.points) / 3
        assert len(found) < 1.5 * len(image.points)
