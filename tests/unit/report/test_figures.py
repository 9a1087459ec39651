import base64
import io
import re
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from linnet.report import Curve, chart, data_uri, figure, image


def decoded(uri: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))))


def test_a_chart_is_the_same_bytes_twice_and_carries_its_text():
    curves = [Curve("train <a>", [0, 1, 2], [3.0, 2.0, 1.0]), Curve("val", [0, 1, 2], [3.0, float("nan"), 2.0])]
    first = chart(curves, x_label="epoch", y_label="loss", alt='a "chart"', caption="c < d")
    assert first == chart(curves, x_label="epoch", y_label="loss", alt='a "chart"', caption="c < d")
    assert ">epoch</text>" in first
    assert "train &lt;a&gt;" in first
    assert 'aria-label="a &#34;chart&#34;"' in first
    assert "<figcaption>c &lt; d</figcaption>" in first


def test_a_chart_has_no_style_of_its_own_and_takes_the_colour_of_the_page():
    # A rule for `*` in an inline SVG once hid the round caps of the dots elsewhere in the page.
    svg = chart([Curve("a", [0, 1], [0, 1])], x_label="x", y_label="y", alt="")
    assert "<style" not in svg
    assert "currentColor" in svg
    assert "#123457" not in svg


def test_ids_of_two_charts_differ():
    a = chart([Curve("a", [0, 1], [0, 1])], x_label="x", y_label="y", alt="")
    b = chart([Curve("b", [0, 1], [1, 0])], x_label="x", y_label="y", alt="")
    ids_a, ids_b = (set(re.findall(r'\bid="([^"]+)"', s)) for s in (a, b))
    assert ids_a
    assert not ids_a & ids_b
    assert set(re.findall(r"url\(#([^)]+)\)", a)) <= ids_a


def test_a_figure_of_the_callers_own_goes_in():
    fig = Figure()
    fig.subplots().set_title("own title")
    assert ">own title</text>" in figure(fig, alt="x")


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (1, 300)])
def test_a_small_picture_is_kept_without_loss(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.array_equal(decoded(data_uri(pixels)), pixels)
    assert data_uri(pixels, max_bytes=10_000).startswith("data:image/png")


def test_a_picture_over_its_budget_becomes_jpeg():
    noise = np.random.default_rng(0).integers(0, 256, (128, 128), dtype=np.uint8)
    png, jpeg = data_uri(noise), data_uri(noise, max_bytes=9_000)
    assert jpeg.startswith("data:image/jpeg")
    assert len(jpeg) < 9_000 * 4 / 3 + 40 < len(png)
    assert decoded(jpeg).shape == (128, 128)


def test_image_states_its_size_and_alt_text():
    html = image(np.zeros((2, 3), np.uint8), alt='the "demo"', caption="c")
    assert 'width="3" height="2" alt="the &#34;demo&#34;"' in html


def test_matplotlib_is_loaded_when_something_is_drawn():
    code = "import sys, linnet.nuclei, linnet.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
