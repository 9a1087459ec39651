"""One set of detections comes out of any tile size, and the maps agree to 1e-5."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from linnet.nuclei.detector.brightness import brightness_range
from linnet.nuclei.detector.detector import Detector, Thresholds
from linnet.nuclei.detector.receptive_field import halo
from linnet.nuclei.detector.tiles import Plane
from tests.unit.nuclei.networks import lively

SMALL = Detector(lively("small"), thresholds=Thresholds(0.5, 2, 4.0))
PAPER = Detector(lively("paper", width=4), "paper", Thresholds(0.5, 2, 4.0))


def whole_map(detector, plane, tile, around):
    """The network's output over the frame, put together from the cores of tiles."""
    of = detector._reach
    (top, bottom), (left, right) = plane.frame
    channels = 1 if detector.preset == "paper" else 3
    out = np.full((channels, (bottom - top) // of.stride, (right - left) // of.stride), np.nan, np.float32)
    for each in plane.tiles(tile, around):
        (y0, y1), (x0, x1) = ((a // of.stride, b // of.stride) for a, b in each.core)
        (wy, _), (wx, _) = ((a // of.stride, b // of.stride) for a, b in each.window)
        piece = detector.output(plane, each).numpy()
        ys, xs = (
            slice(y0 - top // of.stride, y1 - top // of.stride),
            slice(x0 - left // of.stride, x1 - left // of.stride),
        )
        assert np.isnan(out[:, ys, xs]).all()  # cores don't overlap
        out[:, ys, xs] = piece[:, y0 - wy : y1 - wy, x0 - wx : x1 - wx]
    assert not np.isnan(out).any()  # and leave nothing out
    return out


def assert_same_map(detector, image, tile, *, scale=1.0, around=None):
    plane = Plane(image, brightness_range(image), scale, detector.network.period)
    expected = whole_map(detector, plane, None, 0)
    given = whole_map(detector, plane, tile, halo(detector._reach, 2) if around is None else around)
    assert np.abs(given - expected).max() <= 1e-5


def assert_same_detections(detector, image, tile, *, scale=1.0, least):
    whole, tiled = detector(image, tile=None, scale=scale), detector(image, tile=tile, scale=scale)
    assert len(whole) == len(tiled) >= least
    np.testing.assert_allclose(tiled.points, whole.points, atol=1e-4)
    np.testing.assert_allclose(tiled.score, whole.score, atol=1e-5)


def strip(height, width, seed=0, channels=()):
    """Long and low: longer than two halos, so that tiles in its middle see neither end."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, *channels), dtype=np.uint8)


@given(
    st.integers(1, 40), st.integers(300, 360), st.integers(49, 200), st.sampled_from([0.8, 1.0, 1.5]), st.integers(0, 9)
)
@settings(max_examples=5, deadline=None)
def test_the_small_preset_in_any_tiles(height, width, tile, scale, seed):
    image = strip(height, width, seed, (3,) if seed % 2 else ())
    image = image.T.copy() if seed % 4 == 0 else image
    assert_same_map(SMALL, image, tile, scale=scale)
    assert_same_detections(SMALL, image, tile, scale=scale, least=0)


@given(st.integers(1, 24), st.integers(170, 220), st.integers(33, 150), st.sampled_from([0.7, 1.0, 1.3]))
@settings(max_examples=5, deadline=None)
def test_the_paper_preset_in_any_tiles(height, width, tile, scale):
    image = strip(height, width, 1)
    assert_same_map(PAPER, image, tile, scale=scale)
    assert_same_detections(PAPER, image, tile, scale=scale, least=0)


@pytest.mark.parametrize(("detector", "least"), [(SMALL, 100), (PAPER, 300)], ids=["small", "paper"])
def test_many_peaks_in_tiles_on_both_axes(detector, least):
    image = strip(180, 300, 2)
    assert_same_detections(detector, image, 96, least=least)
    assert_same_map(detector, image, 112)


@pytest.mark.slow
def test_the_paper_preset_at_full_width():
    detector = Detector(lively("paper"), "paper", Thresholds(0.5, 2, 4.0))
    image = strip(48, 220, 3)
    assert_same_detections(detector, image, 104, least=40)
    assert_same_map(detector, image, 72)


class Far(nn.Module):
    """Looks 24 pixels to each side, in four equal shares."""

    stride, period = 1, 8

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(3, 3, 3, padding=24, dilation=24)

    def forward(self, x):
        return nn.functional.interpolate(nn.functional.avg_pool2d(self.look(x), 8), scale_factor=8.0)


def test_a_halo_too_small_by_a_period_is_seen():
    """The planted fault: from a core's edge 24 pixels are seen (R = 31 counts from the far side of a cell of 8)."""
    detector = Detector(Far())
    assert detector._reach.radius == 31
    image = strip(20, 200, 4)
    assert_same_map(detector, image, 64, around=24)
    with pytest.raises(AssertionError):
        assert_same_map(detector, image, 64, around=16)


class Gray(nn.Module):
    """The map is the first channel; no offsets; peaks are those of the picture."""

    stride = period = 1

    def __init__(self):
        super().__init__()
        self.look = nn.Conv2d(3, 1, 1)
        nn.init.zeros_(self.look.weight)
        nn.init.zeros_(self.look.bias)
        self.look.weight.data[0, 0] = 1.0

    def forward(self, x):
        return self.look(x)


def stairs(window):
    """B = 2 is a peak: A = 2 before it in its window is none, since C = 9 is in A's window, which B's doesn't hold."""
    image = np.zeros((60, 50), np.uint8)
    image[12, 20], image[12, 20 - window], image[12, 20 - 2 * window] = 2, 2, 9
    return image


@pytest.mark.parametrize("window", [1, 2, 3, 5])
def test_plateaus_give_way_alike_in_tiles(window):
    detector = Detector(Gray(), thresholds=Thresholds(0.51, window, 0.0))
    # A core of 21 pixels begins at B: the frame begins at -1.
    for image, tile in [(stairs(window), 21), (stairs(window).T, 21), (strip(60, 70, window) // 30, 13)]:
        whole = detector(image, tile=None).points
        assert len(whole) >= 2
        assert np.array_equal(detector(image, tile=tile).points, whole)
    assert detector(stairs(window)).points.tolist() == [[12, 20 - 2 * window], [12, 20]]


def test_a_halo_of_one_window_is_too_small_for_plateaus(monkeypatch):
    """The planted fault of the test above."""
    monkeypatch.setattr(sys.modules["linnet.nuclei.detector.detector"], "halo", lambda of, window: window)
    detector = Detector(Gray(), thresholds=Thresholds(0.51, 3, 0.0))
    assert len(detector(stairs(3), tile=None)) == 2
    assert len(detector(stairs(3), tile=21)) == 1


@given(
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.sampled_from([1, 2, 8, 16]),
    st.one_of(st.none(), st.integers(4, 150)),
    st.sampled_from([0, 16, 64]),
    st.floats(0.3, 2.5),
)
@settings(max_examples=40, deadline=None)
def test_cores_cover_the_frame_once_and_windows_hold_them(size, period, tile, around, scale):
    plane = Plane(np.zeros(size), brightness_range(np.eye(2)), scale, period)
    seen = np.zeros([b - a for a, b in plane.frame], int)
    origin = [a for a, _ in plane.frame]
    assert all(n % period == 0 for n in seen.shape)
    assert all(a == -period and b >= n + period for (a, b), n in zip(plane.frame, plane.size, strict=True))
    for each in plane.tiles(tile, around):
        (y, x) = (slice(a - o, b - o) for (a, b), o in zip(each.core, origin, strict=True))
        seen[y, x] += 1
        for (a, b), (low, high), (first, last) in zip(each.core, each.window, plane.frame, strict=True):
            assert (low, high) == (max(first, a - around), min(last, b + around))
            assert all(v % period == 0 for v in (a, b)) or tile is not None
            assert (a - first) % period == (b - first) % period == 0
    assert (seen == 1).all()
