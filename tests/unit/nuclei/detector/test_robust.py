"""Dust, hot pixels, padding and noise don't move the scale of brightness."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

import linnet.nuclei
from linnet.data import fluorescence_field
from linnet.nuclei import evaluate
from linnet.nuclei.detector.brightness import Range, brightness_range, without_hot_pixels
from linnet.nuclei.detector.robust import robust_range
from linnet.nuclei.training.negatives import negatives


@pytest.fixture(scope="module")
def detector():
    return linnet.nuclei.load("default")


@pytest.fixture(scope="module")
def field():
    return fluorescence_field((512, 512), n=100, rng_seed=3)


def f1(detector, field, image):
    return evaluate(field[1], detector(image, diameter_px=None).points, 5.0).f1


def test_an_ordinary_picture_has_its_percentiles(field):
    assert robust_range(field[0]) == brightness_range(field[0])
    stain = np.random.default_rng(0).integers(40, 250, (30, 30, 3), dtype=np.uint8).repeat(9, 0).repeat(9, 1)
    assert robust_range(stain) == brightness_range(stain)


@pytest.mark.parametrize("times", [2, 10, 20, 50])
def test_a_speck_of_dust_on_a_half_percent_of_the_area(detector, field, times):
    image, _ = field
    y, x = np.mgrid[:512, :512]
    dusty = image.astype(float)
    dusty[(y - 400) ** 2 + (x - 100) ** 2 < 20**2] += times * float(image.max())
    assert brightness_range(dusty).high > times * 0.9 * float(image.max())
    assert robust_range(dusty).high < 1.3 * brightness_range(image).high
    assert f1(detector, field, dusty) > 0.97


@pytest.mark.parametrize("n", [100, 1000])
def test_hot_pixels_are_no_nuclei_and_no_scale(detector, field, n):
    hot = field[0].copy()
    places = np.random.default_rng(0).integers(0, 512, (n, 2))
    hot[places[:, 0], places[:, 1]] = 60_000
    assert robust_range(hot).high < 1.1 * brightness_range(field[0]).high
    assert f1(detector, field, hot) > 0.97


def test_a_hot_pixel_has_the_median_of_its_neighbours_as_a_slow_loop_finds_it():
    rng = np.random.default_rng(1)
    for shape in ((12, 15), (12, 15, 3)):
        pixels = rng.uniform(-0.2, 1.2, shape).astype(np.float32)
        pixels.reshape(-1)[rng.choice(pixels.size, 30, replace=False)] = 1.5
        out = without_hot_pixels(pixels)
        planes, found = pixels.reshape(12, 15, -1), out.reshape(12, 15, -1)
        changed = 0
        for c in range(planes.shape[2]):
            framed = np.pad(planes[..., c], 1, mode="edge")
            for y in range(12):
                for x in range(15):
                    value, median = planes[y, x, c], np.median(framed[y : y + 3, x : x + 3])
                    hot = value >= 1.4 and value - median > 1
                    assert found[y, x, c] == (median if hot else value)
                    changed += hot
        assert changed > 5
    calm = np.zeros((4, 4), np.float32)
    assert without_hot_pixels(calm) is calm


@pytest.mark.parametrize("value", [0, 65_535])
def test_padding_and_borders_count_for_nothing(detector, field, value):
    image, points = field
    canvas = np.full((700, 640), value, np.uint16)
    canvas[100:612, 80:592] = image
    padded, plain = detector(canvas), detector(image)
    assert np.array_equal(padded.points, plain.points + np.array([100, 80]))
    bordered = image.copy()
    bordered[:3] = bordered[-3:] = value
    bordered[:, :3] = bordered[:, -3:] = value
    assert f1(detector, field, bordered) > 0.97
    y, x = np.mgrid[:512, :512]
    gone = (y < 100) | (y + x > 800)
    stitched = np.where(gone, np.uint16(value), image)
    assert robust_range(stitched).high < 1.1 * brightness_range(image).high
    left = ~gone[tuple(np.rint(points).astype(int).T)]
    assert evaluate(points[left], detector(stitched, diameter_px=None).points, 5.0).f1 > 0.9


@pytest.mark.parametrize("photons", [5, 50])
def test_a_blank_field_of_a_camera_stays_empty(detector, photons):
    for rng_seed in range(3):
        rng = np.random.default_rng(rng_seed)
        counts = rng.poisson(photons, (512, 512)) + rng.normal(0, 3, (512, 512)) + 100
        blank = counts.clip(0).astype(np.uint16)
        noise = np.sqrt(photons + 9)
        known = robust_range(blank)
        assert known.high - known.low == pytest.approx(20 * noise, rel=0.05)
        found = detector(blank)
        assert (len(found), found.scale) == (0, 1.0)


def test_white_glass_of_8_bits_spans_at_least_12_levels():
    rng = np.random.default_rng(0)
    content = io.BytesIO()
    white = np.clip(rng.normal(240, 2, (256, 256, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(white).save(content, "JPEG", quality=80)
    glass = np.asarray(Image.open(content))
    assert np.ptp(np.percentile(glass, [1, 99.8])) < 12
    known = robust_range(glass)
    assert known.high - known.low >= 12
    mask = (rng.random((64, 64)) < 0.01).astype(np.uint8)
    assert robust_range(mask) == robust_range(mask > 0) == Range(0, 1)


@pytest.mark.parametrize("quality", [30, 60, 75, 90, None])
def test_white_glass_stays_empty_at_every_quality(detector, quality):
    for level in (240, 200):
        white = np.clip(np.random.default_rng(0).normal(level, 2, (512, 512, 3)), 0, 255).astype(np.uint8)
        if quality is not None:
            content = io.BytesIO()
            Image.fromarray(white).save(content, "JPEG", quality=quality)
            white = np.asarray(Image.open(content))
        assert len(detector(white)) == 0
        assert len(detector(white[:256, :256])) == 0


def test_a_bubble_with_a_bright_rim_moves_nothing(detector, field):
    image, points = field
    y, x = np.mgrid[:512, :512]
    away = np.hypot(y - 260, x - 250)
    for times in (2, 5):
        bubble = image.astype(float)
        bubble[np.abs(away - 70) < 2.5] += times * float(image.max())
        left = np.abs(np.hypot(points[:, 0] - 260, points[:, 1] - 250) - 70) > 12
        found = detector(bubble, diameter_px=None).points
        kept = np.abs(np.hypot(found[:, 0] - 260, found[:, 1] - 250) - 70) > 12
        assert evaluate(points[left], found[kept], 5.0).f1 > 0.95


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_an_exactly_black_ground_is_no_padding(detector, field, dtype):
    """A picture whose background was subtracted: all that isn't a nucleus is 0, and most nuclei are far above it."""
    image, points = field
    plain = image.astype(float)
    subtracted = np.where(plain < np.percentile(plain, 80), 0, plain)
    subtracted = (subtracted / subtracted.max() * (255 if dtype is np.uint8 else 4000)).astype(dtype)
    if dtype is np.float32:
        subtracted /= 4000
    assert robust_range(subtracted).low == 0
    assert evaluate(points, detector(subtracted, diameter_px=None).points, 5.0).f1 > 0.95
    canvas = np.zeros((700, 640), dtype)
    canvas[100:612, 80:592] = subtracted
    assert evaluate(points + np.array([100, 80]), detector(canvas, diameter_px=None).points, 5.0).f1 > 0.95


@pytest.mark.parametrize("side", [128, 192])
def test_tiles_that_a_person_cut_lose_little(detector, field, side):
    """The same field in squares with hardly a nucleus less; the nuclei on their borders don't count."""
    image, points = field
    whole = detector(image).points
    found, truth, in_whole = [], [], []
    for top in range(0, 512 - side + 1, side):
        for left in range(0, 512 - side + 1, side):
            corner = np.array([top, left])

            def inner(at, corner=corner):
                return at[np.all((at >= corner + 6) & (at < corner + side - 7), axis=1)]

            found.append(inner(detector(image[top : top + side, left : left + side]).points + corner))
            truth.append(inner(points))
            in_whole.append(inner(whole))
    cut = evaluate(np.concatenate(truth), np.concatenate(found), 5.0).f1
    assert cut > evaluate(np.concatenate(truth), np.concatenate(in_whole), 5.0).f1 - 0.03


def test_the_noise_is_that_of_white_noise_and_edges_hardly_count(field):
    from linnet.nuclei.detector.robust import _noise

    noise = np.random.default_rng(0).normal(0, 7, (512, 512))
    assert _noise([noise]) == pytest.approx(7, rel=0.02)
    step = noise + 500 * (np.arange(512) > 256)
    assert _noise([step]) == pytest.approx(7, rel=0.03)
    assert _noise([np.zeros((1, 5))]) == 0


@pytest.mark.parametrize("photons", [3, 30, 300])
@pytest.mark.parametrize("blur", [0.6, 1.2, 2.5])
def test_noise_of_any_grain_spans_a_small_part_of_the_range(photons, blur):
    """An empty field that a camera or a filter has blurred: its pixels hardly differ from their neighbours."""
    rng = np.random.default_rng([photons, int(10 * blur)])
    noise = gaussian_filter(rng.poisson(photons, (300, 300)) + rng.normal(0, 3, (300, 300)), blur)
    field = (100 + 4 * noise).round().astype(np.uint16)
    for pixels in (field, field / 65535):
        known = robust_range(pixels)
        assert known.high - known.low > 18 * pixels.std()


def test_faint_nuclei_on_a_bright_ground_are_no_noise(field):
    image, _ = field
    faint = (20_000 + 0.05 * image).round().astype(np.uint16)
    plain = brightness_range(faint)
    assert (plain.high - plain.low) / plain.low < 0.2
    assert robust_range(faint) == plain


def test_an_empty_tile_has_hardly_a_false_nucleus(detector):
    """At most 0.1 in a tile of 96 px; with the range of its own percentiles there were 18."""
    tiles = [image.pixels[:96, :96] for image in negatives(99)[:36]]
    found = [detector(tile) for tile in tiles]
    assert np.mean([len(one) for one in found]) <= 0.1
    assert all(one.flag != "ok" for one in found)
