"""The page as a browser sees it: nothing on the console, dots drawn, two themes."""

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image

from linnet.report import Curve, Section, chart, data_uri, page, svg_dots
from tests.browser import console_messages

pytestmark = pytest.mark.slow


def written(folder, body):
    path = folder / "page.html"
    path.write_text(page("A page", [Section("One", body)]), encoding="utf-8")
    return path


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def dots_and_chart():
    points = np.random.default_rng(0).uniform(0, 256, (50, 2))
    uri = data_uri(np.zeros((256, 256), np.uint8))
    one = svg_dots(
        points, np.ones(50), shape=(256, 256), picture_uri=uri, picture_shape=(256, 256), key="a", alt="dots"
    )
    return [Markup('<div class="gallery"><figure>{}</figure></div>').format(one), lines()]


def lines():
    return chart([Curve("loss", [0, 1], [1, 0])], x_label="epoch", y_label="loss", alt="falling line")


def test_the_console_stays_silent_and_the_dots_are_drawn_beside_a_chart(tmp_path):
    shot = tmp_path / "light.png"
    assert console_messages(written(tmp_path, dots_and_chart()), tmp_path, screenshot=shot) == []
    light = pixels(shot)
    assert light[5, 5].min() > 240
    assert (np.abs(light - [0xBD, 0xDE, 0x26]).max(axis=2) < 6).sum() > 500  # the yellow-green of the highest bin


def test_the_dark_theme_is_dark(tmp_path):
    shot = tmp_path / "dark.png"
    assert console_messages(written(tmp_path, [lines()]), tmp_path, screenshot=shot, dark=True) == []
    assert pixels(shot)[5, 5].max() < 40


def test_a_load_from_outside_and_a_script_show_up_on_the_console(tmp_path):
    body = [Markup('<img alt="" src="http://127.0.0.1:9/x.png"><script>console.log("ran")</script>')]
    messages = console_messages(written(tmp_path, body), tmp_path)
    assert sum("Content Security Policy" in message for message in messages) == 2
    assert not any("ran" in message.split("Content Security")[0] for message in messages)


def test_a_wide_picture_outside_a_figure_stays_inside_the_page(tmp_path):
    uri, shot = data_uri(np.zeros((64, 2000), np.uint8)), tmp_path / "wide.png"
    wide = svg_dots(
        np.zeros((1, 2)), np.ones(1), shape=(64, 2000), picture_uri=uri, picture_shape=(64, 2000), key="a", alt="wide"
    )
    assert console_messages(written(tmp_path, [wide]), tmp_path, screenshot=shot) == []
    assert pixels(shot)[:, -5:].min() > 200
