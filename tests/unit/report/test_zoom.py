import re

import numpy as np
import pytest

from linnet.report import Section, page
from linnet.report.histogram import distribution
from linnet.report.zoom import zoomable
from tests.unit.report.test_html_page import assert_self_contained


def levels(*widths):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (w // 2, w, 3), dtype=np.uint8) for w in widths]


def test_each_level_is_cut_into_tiles_and_carries_the_dots():
    points, score = np.array([[0.0, 0.0], [99.0, 199.0], [50.0, 20.0]]), np.array([0.1, 0.9, np.nan])
    html = zoomable(levels(512, 1100), points, score, shape=(550, 1100), key="a", alt='a <picture> "x"', caption="c")
    assert html.count("<img ") == 1 + 2 * 3  # 256 x 512, and 550 x 1100 in tiles of 512
    assert re.findall(r"for=\"zoom-a-\d\">(\d+)%", html) == ["47", "100"]
    assert html.count("checked") == 1
    assert '<path id="zoom-a-dots-0" d="M0 0h0M20 50h0"/>' in html  # NaN counts as 0; corner of a pixel + half
    assert "M200 100h0" in html
    assert html.count('viewBox="0 0 1100 550"') == 2
    assert "<picture>" not in html
    assert_self_contained(page("t", [Section("s", [html])]))


@pytest.mark.parametrize("n", [0, 5])
def test_no_level_or_too_many(n):
    with pytest.raises(ValueError, match="`levels`"):
        zoomable(levels(8)[:1] * n, np.zeros((0, 2)), np.zeros(0), shape=(4, 8), key="a", alt="")


class TestDistribution:
    def test_bars_hold_every_value_once(self):
        rng = np.random.default_rng(0)
        values = [*rng.normal(20, 3, 500), float("nan"), float("inf")]
        html = distribution(values, title="Diameter <px>", unit="px")
        assert sum(int(n.replace(",", "")) for n in re.findall(r"<title>([\d,]+)</title>", html)) == 500
        assert "500 values" in html
        assert "Diameter &lt;px&gt;" in html

    def test_equal_values_and_none(self):
        assert "<title>3</title>" in distribution([2, 2, 2], title="a")
        assert "there are none" in distribution([float("nan")], title="a")
        assert "1 value<" in distribution([0.5], title="a", limits=(0, 1))
