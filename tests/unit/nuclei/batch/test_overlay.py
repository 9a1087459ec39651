import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from linnet.nuclei.batch.overlay import draw_overlay, write_overlay
from linnet.nuclei.batch.thumbnail import shown
from linnet.nuclei.points.columns import Count
from linnet.nuclei.points.detections import Detections


def found(points, score, shape):
    points = np.array(points, dtype=float).reshape(-1, 2)
    return Detections(points=points, score=np.array(score, dtype=float), shape=shape, count=Count(len(points)))


class TestShown:
    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
    def test_gray_is_stretched_whatever_its_type(self, dtype):
        pixels = (np.arange(1000).reshape(10, 100) % 250).astype(dtype)
        picture, zoom = shown(pixels, max_side=100)
        assert zoom == 1
        assert picture.dtype == np.uint8
        assert (picture.min(), picture.max()) == (0, 255)
        assert np.array_equal(picture, shown(pixels / 250, max_side=100)[0])

    def test_colour_of_8_bits_stays_as_it_is(self):
        rgb = np.random.default_rng(0).integers(90, 120, (6, 7, 3), dtype=np.uint8)
        assert np.array_equal(shown(rgb, max_side=10)[0], rgb)

    def test_deep_colour_is_stretched_over_all_channels_together(self):
        rgb = np.zeros((4, 4, 3), np.uint16)
        rgb[0], rgb[..., 0] = 4000, 2000
        picture, _ = shown(rgb, max_side=10)
        assert picture.max() == 255
        assert abs(int(picture[3, 3, 0]) - 128) <= 2

    @pytest.mark.parametrize("value", [0, 7, 255])
    def test_a_constant_picture_is_middle_gray(self, value):
        assert (shown(np.full((3, 4), value, np.uint8), max_side=10)[0] == 128).all()

    @pytest.mark.parametrize("dtype", [bool, np.float16])
    def test_boolean_and_half_precision(self, dtype):
        picture, _ = shown(np.eye(4).astype(dtype), max_side=10)
        assert np.array_equal(picture, np.eye(4) * 255)

    @pytest.mark.parametrize("shape", [(100, 300), (301, 100), (1, 1000), (64, 64)])
    @pytest.mark.parametrize("max_side", [40, 64, 128])
    def test_a_bright_spot_stays_where_the_zoom_says(self, shape, max_side):
        pixels = np.zeros(shape, np.float32)
        y, x = shape[0] * 2 // 3, shape[1] * 3 // 4
        pixels[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3] = 1
        picture, zoom = shown(pixels, max_side=max_side)
        assert max(picture.shape) <= max_side
        weight = picture.astype(float)
        centre = np.array([(weight.sum(axis=1 - a) * np.arange(weight.shape[a])).sum() / weight.sum() for a in (0, 1)])
        rows = np.arange(max(0, y - 2), min(shape[0], y + 3)).mean()
        assert np.abs(centre - ((np.array([rows, x]) + 0.5) * zoom - 0.5)).max() < 0.6

    def test_averages_are_exact_and_a_lazy_picture_gives_the_same(self):
        pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)

        class Lazy:
            shape, dtype, ndim = pixels.shape, pixels.dtype, 3

            def __getitem__(self, key):
                return pixels[key]

        picture, zoom = shown(pixels, max_side=14)
        assert zoom == 1 / 5
        assert np.array_equal(picture, np.rint(pixels.reshape(10, 5, 14, 5, 3).mean(axis=(1, 3))))
        assert np.array_equal(shown(Lazy(), max_side=14)[0], picture)

    def test_a_small_picture_is_enlarged_by_at_most_4(self):
        picture, zoom = shown(np.eye(20), max_side=2000, min_side=900)
        assert zoom == 4
        assert picture.shape == (80, 80)


class TestOverlay:
    @pytest.mark.parametrize("ground", [0, 255])
    @pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
    def test_a_dot_has_its_colour_in_a_white_and_a_dark_ring(self, ground, score):
        pixels = np.full((1000, 1000, 3), ground, np.uint8)
        drawn = draw_overlay(pixels, found([[300, 600]], [score], (1000, 1000)), legend=False).astype(int)
        expected = np.rint(np.array(colormaps["viridis"](score)[:3]) * 255)
        assert np.abs(drawn[300, 600] - expected).max() <= 1
        assert drawn[300, 606].min() > 240  # the white ring
        assert drawn[300, 607].max() < 200  # the dark ring
        assert (drawn[300, 609] == ground).all()

    def test_dots_cover_but_a_little(self):
        drawn = draw_overlay(
            np.zeros((1000, 1000), np.uint8) + 128, found([[500, 500]], [1], (1000, 1000)), legend=False
        )
        assert 60 < (drawn != 128).any(axis=2).sum() < 250

    def test_the_surest_of_two_at_one_place_is_on_top(self):
        drawn = draw_overlay(
            np.zeros((900, 900), np.uint8), found([[50, 50], [50, 50]], [1, 0], (900, 900)), legend=False
        )
        assert drawn[50, 50].tolist() == [253, 231, 37]

    def test_dots_at_the_border_are_cut(self):
        corners = [[-0.4, -0.4], [-0.4, 899.4], [899.4, -0.4], [899.4, 899.4]]
        drawn = draw_overlay(np.zeros((900, 900), np.uint8), found(corners, [1] * 4, (900, 900)), legend=False)
        assert all(drawn[y, x].max() > 200 for y in (0, -1) for x in (0, -1))
        assert drawn[450].max() == 128

    def test_large_pictures_shrink_and_their_dots_with_them(self):
        drawn = draw_overlay(np.zeros((3000, 4000), np.uint8), found([[1500, 1000]], [1], (3000, 4000)), max_side=1000)
        assert drawn.shape == (750 + 40, 1000, 3)
        assert np.abs(drawn[375, 250].astype(int) - [253, 231, 37]).max() <= 2

    def test_no_nuclei(self):
        drawn = draw_overlay(np.full((900, 900), 5, np.uint8), found([], [], (900, 900)), legend=False)
        assert (drawn == 128).all()

    @pytest.mark.parametrize("shape", [(1, 900), (900, 1), (1, 1), (30, 30)])
    def test_thin_pictures_and_their_legend(self, shape, tmp_path):
        path = write_overlay(tmp_path / "a.png", np.ones(shape, np.uint8), found([[0, 0]], [0.5], shape))
        assert np.asarray(Image.open(path)).ndim == 3
        assert list(tmp_path.iterdir()) == [path]

    def test_many_dots_in_pieces_are_those_of_one_piece(self, monkeypatch):
        rng = np.random.default_rng(0)
        grid = np.stack(np.meshgrid(np.arange(50, 900, 60), np.arange(50, 900, 60)), -1).reshape(-1, 2)
        every = found(grid, rng.random(len(grid)), (900, 900))
        whole = draw_overlay(np.zeros((900, 900), np.uint8), every)
        monkeypatch.setattr("linnet.nuclei.batch.overlay._AT_ONCE", 10)
        assert np.array_equal(draw_overlay(np.zeros((900, 900), np.uint8), every), whole)
