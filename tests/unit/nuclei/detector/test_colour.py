"""Colour pictures of fluorescence are searched as the gray ones that they were made from."""

import matplotlib as mpl
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import linnet.nuclei
from linnet.data import fluorescence_field
from linnet.errors import InputError
from linnet.nuclei import evaluate
from linnet.nuclei.detector.colour import ColourView, nuclear_view
from tests.unit.nuclei.lazy import Lazy


@pytest.fixture(scope="module")
def field():
    image, points = fluorescence_field((300, 300), n=40, rng_seed=3)
    share = (image - float(image.min())) / np.ptp(image.astype(float))
    return (share * 255).astype(np.uint8), points


@pytest.fixture(scope="module")
def detector():
    return linnet.nuclei.load("default")


def unasked(_view):
    raise AssertionError("nothing had to be searched")


@pytest.mark.parametrize("rest", [0, 255])
@pytest.mark.parametrize("channel", [0, 1, 2])
def test_with_two_constant_channels_it_is_the_third_exactly(detector, field, channel, rest):
    gray, _ = field
    colour = np.full((*gray.shape, 3), rest, np.uint8)
    colour[..., channel] = gray
    found, expected = detector(colour), detector(gray)
    assert found.points.tobytes() == expected.points.tobytes()
    assert found.score.tobytes() == expected.score.tobytes()
    assert found.flag == "ok"


@pytest.mark.parametrize("hue", [(0, 0.8, 1), (1, 0.5, 0), (1, 0, 1), (0.3, 1, 0.2)])
def test_one_hue_on_dark_ground_is_its_own_brightness(detector, field, hue):
    gray, points = field
    colour = (gray[..., None] * np.array(hue)).astype(np.uint8)
    found = detector(colour)
    assert evaluate(points, found.points, 5.0).f1 > 0.97
    assert np.array_equal(found.points, detector(gray).points)


@pytest.mark.parametrize("name", ["viridis", "inferno", "magma", "hot"])
def test_a_colour_map_is_undone(detector, field, name):
    gray, points = field
    colour = (mpl.colormaps[name](gray)[..., :3] * 255).astype(np.uint8)
    assert evaluate(points, detector(colour).points, 5.0).f1 > 0.97


def merged(gray, strength, *, nuclei=2, other=1):
    share = gray / 255
    cytoplasm = gaussian_filter(share, 8)
    colour = np.zeros((*gray.shape, 3))
    colour[..., nuclei], colour[..., other] = share, strength * cytoplasm / cytoplasm.max()
    return (colour * 255).astype(np.uint8)


@pytest.mark.parametrize("strength", [0.25, 0.5, 0.8])
def test_of_several_dyes_the_nuclear_one_is_searched_and_the_other_named(detector, field, strength):
    gray, points = field
    found = detector(merged(gray, strength))
    assert evaluate(points, found.points, 5.0).f1 > 0.97
    if strength > 0.4:
        assert found.flag == "look"
        assert "blue" in found.flag_reasons[0]
        assert "green" in found.flag_reasons[0]


def test_blue_is_taken_where_it_comes_close_and_another_where_it_is_clearly_better(field):
    gray, _ = field
    colour = merged(gray, 0.9)
    for merits, expected in (({2: 0.55, 1: 0.6}, 2), ({2: 0.5, 1: 0.6}, 1), ({2: -np.inf, 1: 0.4}, 1)):
        asked = {}

        def merit(view, merits=merits, asked=asked):
            channel = 2 if np.array_equal(view[:, :], colour[..., 2]) else 1
            asked[channel] = merits[channel]
            return merits[channel]

        view, ground, word = nuclear_view(colour, "auto", merit)
        assert asked == merits
        assert ground == "dark"
        assert np.array_equal(view[:, :], colour[..., expected])
        assert word.index(("red", "green", "blue")[expected]) < word.index(("red", "green", "blue")[3 - expected])


def test_stain_stays_in_colour_unless_it_is_said_to_be_fluorescence():
    rng = np.random.default_rng(0)
    stain = np.full((64, 64, 3), (235, 225, 240), np.uint8)
    stain[rng.integers(4, 60, 40), rng.integers(4, 60, 40)] = (120, 60, 150)
    assert nuclear_view(stain, "auto", unasked) == (stain, "light", "")
    assert nuclear_view(stain, "brightfield", unasked)[0] is stain
    assert nuclear_view(stain, "fluorescence", lambda _: 0.0)[1] == "dark"


def test_a_gray_picture_stays_as_it_is_and_equal_channels_are_gray(field):
    gray, _ = field
    assert nuclear_view(gray, "auto", unasked) == (gray, "unknown", "")
    view, _, word = nuclear_view(np.repeat(gray[..., None], 3, axis=2), "auto", unasked)
    assert np.array_equal(view[:, :], gray)
    assert word == ""


def test_a_view_reads_what_it_is_asked_for():
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 4), dtype=np.uint8)
    lazy = Lazy(image)
    assert np.array_equal(ColourView(lazy, 1)[3:9, 4:7], image[3:9, 4:7, 1])
    mean = ColourView(lazy, None)[3:9, 4:7]
    np.testing.assert_allclose(mean, image[3:9, 4:7, :3].astype(float).mean(-1), rtol=1e-6)
    assert lazy.pixels_read == 2 * 6 * 3 * 4


def test_other_words_are_refused(detector, field):
    with pytest.raises(InputError, match=r"`modality`.*fluorescence.*'dapi'"):
        detector(field[0], modality="dapi")
    with pytest.raises(InputError, match=r"`polarity`.*bright.*'light'"):
        detector(field[0], polarity="light")
