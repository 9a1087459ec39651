import re

import numpy as np
import pytest

from linnet.report import BINS, score_colors, score_legend, svg_dots

BLACK = "data:image/png;base64,AAAA"


def drawn(points, score, **options):
    settings = {"shape": (100, 200), "picture_uri": BLACK, "picture_shape": (50, 100), "key": "k", "alt": "a <b>"}
    return svg_dots(np.array(points, dtype=float).reshape(-1, 2), np.array(score, dtype=float), **(settings | options))


def dots(svg):
    """{bin: [(x, y) in quarter thumbnail pixels]}."""
    return {
        int(b): [tuple(map(int, m)) for m in re.findall(r"M(-?\d+) (-?\d+)h0", d)]
        for b, d in re.findall(r'<path id="k-(\d)" d="([^"]*)"', svg)
    }


def test_a_dot_sits_on_its_pixel():
    # Centre (y, x) = (9, 19) of a 100 x 200 image is at corner coordinates (9.5, 19.5); the thumbnail halves them,
    # and the path counts in quarters: x = 39, y = 19.
    assert dots(drawn([[9, 19]], [0.5])) == {2: [(39, 19)]}


def test_one_path_per_bin_used_three_times():
    svg = drawn([[1, 1], [50, 50], [90, 190]], [0.0, 0.1, 1.0])
    assert {b: len(d) for b, d in dots(svg).items()} == {0: 2, BINS - 1: 1}
    assert svg.count("<path") == 2
    assert svg.count("<use") == 6


def test_score_that_is_not_a_number_counts_as_zero():
    assert list(dots(drawn([[1, 1], [50, 50]], [np.nan, np.inf]))) == [0, BINS - 1]


def test_ten_thousand_dots_become_a_bounded_number_and_the_best_stay():
    points = np.random.default_rng(0).uniform(0, [100, 200], (10_000, 2))
    score = np.r_[np.full(9_999, 0.1), 0.95]
    found = dots(drawn(points, score, max_dots=500))
    assert 100 < sum(map(len, found.values())) <= 500
    assert len(found[BINS - 1]) == 1


def test_no_points_gives_the_picture_alone():
    svg = drawn([], [])
    assert "<path" not in svg
    assert BLACK in svg
    assert 'aria-label="a &lt;b&gt;"' in svg


def test_colours_go_from_dark_to_light():
    colors = score_colors()
    light = [int(c[1:3], 16) * 0.299 + int(c[3:5], 16) * 0.587 + int(c[5:], 16) * 0.114 for c in colors]
    assert light == sorted(light)
    assert light[0] < 70
    assert light[-1] > 180


def test_legend_shows_every_colour_and_both_ends():
    legend = score_legend("score <")
    assert all(color in legend for color in score_colors())
    assert ">0.0</text>" in legend
    assert ">1.0</text>" in legend
    assert "score &lt;" in legend


@pytest.mark.parametrize("n", [1, 2, 3])
def test_points_on_one_line_are_drawn(n):
    assert sum(map(len, dots(drawn([[5, 10 * i] for i in range(n)], [0.5] * n)).values())) == n
