import dataclasses
import sys
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnet.errors import ImageError, InputError
from linnet.nuclei.detector.brightness import Range
from linnet.nuclei.detector.detector import Detector, Thresholds, settle
from linnet.nuclei.detector.tiles import Plane
from tests.unit.nuclei.lazy import Lazy
from tests.unit.nuclei.networks import Spotter, lively

MODULE = sys.modules[Detector.__module__]  # `linnet.nuclei.detect` is the function
SPOTTING = Thresholds(0.5, 2, 4.0)
PLACES = [(30, 21), (31, 22), (29, 24), (0, 0), (0, 44), (60, 0), (60, 44)]


def spot(place, side=1, shape=(61, 45)):
    image = np.zeros(shape, np.uint8)
    image[place[0] : place[0] + side, place[1] : place[1] + side] = 200
    return image


def assert_at(detections, place):
    assert detections.points.shape == (1, 2)
    assert np.abs(detections.points[0] - place).max() <= 1e-6


@pytest.fixture(scope="module")
def small():
    return Detector(lively("small"), thresholds=Thresholds(0.5, 2, 4.0))


@pytest.fixture(scope="module")
def picture():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (90, 121, 3), dtype=np.uint8)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("place", PLACES)
def test_one_bright_pixel_comes_back_where_it_is(stride, place):
    assert_at(Detector(Spotter(stride), thresholds=SPOTTING)(spot(place)), place)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("place", [p for p in PLACES if 0 < p[0] < 60 and 0 < p[1] < 44])
def test_one_bright_pixel_at_scale_2(stride, place):
    """Interpolated, the pixel is a pyramid of 4 x 4 pixels whose sum is 4 and whose middle is the pixel's."""
    assert_at(Detector(Spotter(stride, light=4), thresholds=SPOTTING)(spot(place), scale=2), place)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("place", [(30, 20), (32, 22), (0, 0), (58, 42)])
def test_one_bright_pixel_at_scale_a_half(stride, place):
    """One bright pixel of the scaled picture is a block of 2 x 2; its middle lies between their centres."""
    middle = (place[0] + 0.5, place[1] + 0.5)
    assert_at(Detector(Spotter(stride), thresholds=SPOTTING)(spot(place, side=2), scale=0.5), middle)
    assert_at(Detector(Spotter(stride, light=0.25), thresholds=SPOTTING)(spot(place), scale=0.5), middle)


@pytest.mark.parametrize("stride", [2, 4])
def test_a_forgotten_half_cell_is_seen(monkeypatch, stride):
    """The planted fault: cell i's centre taken at stride * i."""
    monkeypatch.setattr(MODULE, "to_points", lambda cells, offset, s: s * (cells + offset.astype(float)))
    with pytest.raises(AssertionError):
        assert_at(Detector(Spotter(stride), thresholds=SPOTTING)(spot((30, 21))), (30, 21))


def test_a_forgotten_half_pixel_of_the_scale_is_seen(monkeypatch):
    """The planted fault: y = y_scaled / s."""

    def wrong(points, logit, plane, thresholds):
        return points / plane.scale, logit

    monkeypatch.setattr(MODULE, "settle", wrong)
    with pytest.raises(AssertionError):
        assert_at(Detector(Spotter(1, light=4), thresholds=SPOTTING)(spot((30, 21)), scale=2), (30, 21))


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_a_shift_by_the_stride_shifts_the_detections(stride):
    rng = np.random.default_rng(1)
    image = np.zeros((80, 80), np.uint8)
    for y, x in rng.permutation(np.stack(np.mgrid[20:60:12, 20:60:12], -1).reshape(-1, 2)):
        image[y + rng.integers(3), x + rng.integers(3)] = 200
    detector = Detector(Spotter(stride), thresholds=SPOTTING)
    here, there = detector(image), detector(np.roll(image, (2 * stride, -stride), (0, 1)))
    assert len(here) == 16
    np.testing.assert_allclose(there.points, here.points + np.array([2 * stride, -stride]), atol=1e-6)


def test_a_shift_by_the_period_shifts_the_detections_of_the_small_preset(small):
    image = np.random.default_rng(2).integers(0, 256, (336, 336), dtype=np.uint8)
    here, there = small(image), small(np.roll(image, (16, 16), (0, 1)))

    def inner(points, shift):
        at = points - shift
        return at[((at > 130) & (at < 200)).all(1)]  # farther from the border than the reach of 101 and the windows

    assert len(inner(here.points, 0)) > 5
    np.testing.assert_allclose(inner(there.points, 16), inner(here.points, 0), atol=1e-4)


def test_points_are_sorted_scored_and_counted(small, picture):
    found = small(picture, pixel_size_um=0.25, scale=1)
    assert len(found) == found.count.n == len(found.score) > 20
    assert np.array_equal(np.lexsort((found.points[:, 1], found.points[:, 0])), np.arange(len(found)))
    assert found.points.dtype == found.score.dtype == np.float64
    assert (found.score > 0.5).all()
    assert (found.score < 1).all()
    assert (found.count.lo, found.count.hi, found.count.level, found.confidence, found.sd_px) == (None,) * 5
    assert (found.shape, found.scale, found.pixel_size_um, found.flag) == ((90, 121), 1.0, 0.25, "ok")
    assert found.flag_reasons == ()
    middle = float(np.median(found.score))
    high = small(picture, threshold=middle, scale=1)
    assert np.array_equal(high.points, found.points[found.score > middle])
    assert 0 < len(high) < len(found)


def test_the_world_is_left_as_it_was(small):
    """Random states, thread count, the model's mode and weights, and the array; and the bits are the same again."""
    network = lively("small", rng_seed=3).train()
    weights = {k: v.clone() for k, v in network.state_dict().items()}
    image = np.random.default_rng(0).random((70, 80, 3))
    image.setflags(write=False)
    before, threads = image.copy(), torch.get_num_threads()
    states = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    detector = Detector(network, thresholds=SPOTTING)
    first, again = detector(image, tile=32), detector(image, tile=32)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
    assert torch.get_num_threads() == threads
    assert torch.is_grad_enabled()
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(v, weights[k]) for k, v in network.state_dict().items())
    assert np.array_equal(image, before)
    assert first.points.tobytes() == again.points.tobytes()
    assert first.score.tobytes() == again.score.tobytes()
    assert len(first) > 5


@pytest.mark.parametrize("shape", [(90, 121), (90, 121, 3)])
def test_the_type_of_the_pixels_does_not_matter(small, shape):
    image = np.random.default_rng(4).integers(0, 256, shape, dtype=np.uint8)
    image[5:-5, 5:-5] //= 64  # dark ground inside a frame: noise alone would be taken for an empty field
    plain = small(image, diameter_px=None)
    wide = image.astype(np.uint16) * 257
    for other in [wide, image / 255.0, (image / 255).astype(np.float32), image.astype(np.int64), wide.astype(">u2")]:
        found = small(other, diameter_px=None)
        assert len(found) == len(plain) > 20
        np.testing.assert_allclose(found.points, plain.points, atol=1e-3)
        np.testing.assert_allclose(found.score, plain.score, atol=1e-4)


def test_booleans_lists_and_tensors_are_images_too(small):
    image = np.random.default_rng(5).random((50, 60)) < 0.5
    expected = small(image.astype(np.uint8)).points
    assert len(expected) > 3
    for other in [image, image.tolist(), torch.from_numpy(image), torch.from_numpy(image.astype(np.float32))]:
        assert np.array_equal(small(other).points, expected)


def test_gray_is_copied_to_colours_and_alpha_is_dropped(small, picture):
    gray = picture[..., 0]
    assert np.array_equal(small(gray).points, small(np.repeat(gray[..., None], 3, axis=2)).points)
    alpha = np.concatenate([picture, np.full((*picture.shape[:2], 1), 255, np.uint8)], axis=2)
    for scale in (1, 0.5):
        expected = small(picture, scale=scale).points
        assert np.array_equal(small(alpha, scale=scale).points, expected)
        assert np.array_equal(small(Lazy(alpha), scale=scale).points, expected)


def test_the_diameter_sets_the_scale(small, picture):
    by_diameter, by_scale = small(picture, diameter_px=16), small(picture, scale=1.5)
    assert by_diameter.scale == 1.5
    assert np.array_equal(by_diameter.points, by_scale.points)


def test_a_diameter_in_micrometres_needs_the_pixel_size(small, picture):
    assert small(picture, 0.5, diameter_um=8).scale == small(picture, diameter_px=16).scale == 1.5
    with pytest.raises(InputError, match=r"`diameter_um`.*`pixel_size_um`"):
        small(picture, diameter_um=8)
    with pytest.raises(InputError, match=r"(?=.*`diameter_px`).*`diameter_um`"):
        small(picture, 0.5, diameter_px=16, diameter_um=8)
    with pytest.raises(InputError, match=r"`diameter_px`.*'large'"):
        small(picture, diameter_px="large")


def test_a_detector_that_knows_its_pixel_size_scales_other_ones(small, picture):
    knowing = dataclasses.replace(small, pixel_size_um=0.5)
    assert [knowing(picture, um).scale for um in (0.25, 0.46, 0.5, 0.54, 1.0)] == [0.5, 1.0, 1.0, 1.0, 2.0]
    assert knowing(picture, 0.25, diameter_px=24).scale == 1.0  # what is said counts more
    assert small(picture, 0.25, diameter_px=None).scale == 1.0


def test_points_outside_the_picture_are_dropped_and_close_ones_merged_in_its_pixels():
    plane = Plane(np.zeros((10, 20)), Range(0, 1), 2.0, 1)
    scaled = np.array([[-0.5, 3.0], [-0.51, 9], [19.5, 3], [19.49, 9], [8, 20], [8, 26.1], [8, 33], [8, 40]])
    points, score = settle(scaled, np.array([1.0, 2, 3, 4, 5, 6, 7, 8], np.float32), plane, Thresholds(0.5, 1, 7.0))
    # Kept: inside [-0.5, 9.5) x [-0.5, 19.5) and not nearer than 3.5 to a higher one.
    np.testing.assert_allclose(points, [[-0.5, 1.25], [3.75, 9.75], [3.75, 16.25], [9.495, 4.25]])
    np.testing.assert_allclose(score, 1 / (1 + np.exp(-np.array([1.0, 5, 7, 4]))), rtol=1e-12)


def test_progress_is_told_tile_by_tile(small, picture):
    calls = []
    small(picture, diameter_px=None, tile=64, on_tile=lambda done, of: calls.append((done, of)))
    assert calls == [(k, 6) for k in range(1, 7)]  # frame 128 x 160: 2 x 3 cores


def test_a_lazy_picture_is_read_in_tiles_and_found_alike(small):
    for dtype in (np.uint8, np.float32):
        image = (np.random.default_rng(6).random((60, 420)) * 255).astype(dtype)
        lazy = Lazy(image)
        whole = small(image, tile=None)
        assert np.array_equal(small(image, tile=64).points, small(lazy, tile=64).points)
        assert len(whole) == len(small(lazy, tile=64))
    assert lazy.largest_read <= image.size


class Plate:
    """6000 x 6000 pixels that exist nowhere: one bright pixel at each (50 i + 7, 60 j + 9)."""

    shape, dtype = (6000, 6000), np.dtype(np.uint8)

    def __getitem__(self, where):
        rows, columns = (
            (np.arange(*part.indices(6000)) for part in where)
            if isinstance(where, tuple)
            else (
                np.arange(*where.indices(6000)),
                np.arange(6000),
            )
        )
        out = np.zeros((len(rows), len(columns)), np.uint8)
        out[np.ix_(rows % 50 == 7, columns % 60 == 9)] = 200
        return out


@pytest.mark.slow
def test_a_large_picture_is_never_copied_as_a_whole():
    detector = Detector(Spotter(4), thresholds=SPOTTING)
    tracemalloc.start()
    found = detector(Plate(), tile=512)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    y, x = np.mgrid[7:6000:50, 9:6000:60]
    np.testing.assert_allclose(found.points, np.stack([y.ravel(), x.ravel()], -1), atol=1e-6)
    assert peak < 0.1 * 6000 * 6000 * 4  # a tenth of one float32 copy; PyTorch's own memory isn't counted


def test_flags(small):
    constant = small(np.full((50, 50), 9, np.uint8))
    assert len(constant) == 0
    assert constant.flag == "look"
    assert constant.flag_reasons == ("the image is constant: every pixel has the same value",)
    tiny = small(np.random.default_rng(0).random((1, 40)), scale=1)
    assert tiny.flag_reasons == ("the image is only 40 x 1 pixels",)
    assert small(np.zeros((1, 1))).count.n == 0


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.sampled_from([None, 16, "auto"]), st.floats(1 / 64, 3))
@settings(max_examples=25, deadline=None)
def test_any_small_size_and_scale_works(shape, tile, scale):
    detector = Detector(Spotter(2), thresholds=SPOTTING)
    image = np.random.default_rng(shape).random(shape)
    points = detector(image, tile=tile, scale=scale).points
    assert ((points >= -0.5) & (points < np.array(shape) - 0.5)).all()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((5,)), r"image.*\(5,\)"),
        (np.zeros((0, 5)), r"image.*\(0, 5\)"),
        (np.zeros((3, 40, 50)), r"image.*\(3, 40, 50\)"),
        (np.zeros((40, 50, 2)), r"image.*\(40, 50, 2\)"),
        (np.zeros((2, 40, 50, 3)), r"image.*\(2, 40, 50, 3\)"),
        (np.zeros((40, 50), complex), "image.*complex128"),
        ("nuclei.png", "image"),
        (None, "image"),
        (np.full((40, 50), np.nan), "image.*NaN"),
    ],
)
def test_what_is_no_image_is_refused(small, image, message):
    with pytest.raises(ImageError, match=message):
        small(image)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"diameter_px": 20, "scale": 1.0},
            "(?=.*`scale`).*`diameter_px`",
        ),
        ({"diameter_px": 0}, "`diameter_px`.*0"),
        ({"diameter_px": -5}, "`diameter_px`.*-5"),
        ({"scale": 0}, "`scale`.*0"),
        ({"scale": float("nan")}, "`scale`.*nan"),
        ({"scale": 65}, "`scale`.*65"),
        ({"tile": 0}, "`tile`.*0"),
        ({"tile": "large"}, "`tile`.*'large'"),
        ({"tile": True}, "`tile`.*True"),
        ({"tile": 64.0}, r"`tile`.*64\.0"),
        ({"threshold": 0.0}, r"threshold.*0\.0"),
        ({"threshold": 1.0}, r"threshold.*1\.0"),
        ({"pixel_size_um": -1.0}, r"`pixel_size_um`.*-1\.0"),
        ({"pixel_size_um": float("inf")}, "`pixel_size_um`.*inf"),
    ],
)
def test_options_out_of_range_are_refused(small, picture, options, message):
    with pytest.raises(InputError, match=message):
        small(picture, **options)
