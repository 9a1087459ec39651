import numpy as np
import pytest

from linnet.nuclei.detector.brightness import OUTSIDE, Range
from linnet.nuclei.detector.tiles import Plane


def test_the_frame_is_one_period_and_what_rounds_the_size_up():
    plane = Plane(np.zeros((10, 32)), Range(0, 1), 1.0, 16)
    assert plane.size == (10, 32)
    assert plane.frame == ((-16, 32), (-16, 48))
    assert Plane(np.zeros((10, 32)), Range(0, 1), 0.5, 4).frame == ((-4, 12), (-4, 20))


def test_tiles_row_by_row_with_halos_cut_at_the_frame():
    plane = Plane(np.zeros((30, 60)), Range(0, 1), 1.0, 8)
    tiles = list(plane.tiles(30, 16))  # 30 becomes 32
    assert [t.core for t in tiles] == [
        ((-8, 24), (-8, 24)),
        ((-8, 24), (24, 56)),
        ((-8, 24), (56, 72)),
        ((24, 40), (-8, 24)),
        ((24, 40), (24, 56)),
        ((24, 40), (56, 72)),
    ]
    assert tiles[0].window == ((-8, 40), (-8, 40))
    assert tiles[4].window == ((8, 40), (8, 72))
    (whole,) = plane.tiles(None, 0)
    assert whole.core == whole.window == plane.frame


def test_pixels_are_normalised_and_framed():
    image = np.array([[10, 20], [30, 40]], np.uint8)
    out = Plane(image, Range(10, 30), 1.0, 1).read(((-1, 3), (0, 3)))
    o = OUTSIDE
    expected = [[o, o, o], [0, 0.5, o], [1, 1.5, o], [o, o, o]]
    assert out.dtype == np.float32
    for channel in out:
        np.testing.assert_allclose(channel, expected, atol=1e-6)


def test_colours_stay_in_their_order():
    image = np.stack([np.full((4, 4), v) for v in (0.0, 0.5, 1.0, 0.25)], axis=-1)
    out = Plane(image, Range(0, 1), 1.0, 2).read(((0, 2), (2, 4)))
    assert out.shape == (3, 2, 2)
    assert out[:, 0, 0].tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("scale", [0.37, 0.5, 1.0, 1.4, 2.0])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_window_is_the_part_of_the_whole_to_the_bit(scale, channels):
    image = np.random.default_rng(0).integers(0, 256, (41, 57, *channels), dtype=np.uint8)
    plane = Plane(image, Range(3, 250), scale, 4)
    whole = plane.read(plane.frame)
    (top, bottom), (left, right) = plane.frame
    for window in [((top, bottom), (left, left + 8)), ((4, 12), (8, 16)), ((bottom - 8, bottom), (right - 12, right))]:
        (y0, y1), (x0, x1) = window
        assert np.array_equal(plane.read(window), whole[:, y0 - top : y1 - top, x0 - left : x1 - left])
    height, width = plane.size
    assert (whole[:, :4] == OUTSIDE).all()
    assert (whole[:, 4 + height :] == OUTSIDE).all()
    assert (whole[:, 4 : 4 + height, 4 : 4 + width] > OUTSIDE).all()
