import math

import pytest
from markupsafe import Markup

from linnet.report import measured, number, table


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "∞"),
        (-math.inf, "-∞"),
        (0, "0"),
        (1.0, "1"),
        (0.5, "0.5000"),
        (0.912345, "0.9123"),
        (-12.34567, "-12.35"),
        (1234.567, "1,235"),
        (1234567, "1,234,567"),
        (3.2e-7, "3.2e-07"),
        (1.5e20, "1.5e+20"),
        (0.00012345, "0.0001234"),
    ],
)
def test_number(value, shown):
    assert number(value) == shown


def test_number_takes_digits():
    assert number(0.77123, 3) == "0.771"


def test_measured_shows_value_unit_and_interval():
    assert measured(0.5, (0.25, 0.75), "px") == (
        '<span class="value">0.5000</span><span class="unit">px</span><span class="interval">[0.250, 0.750]</span>'
    )


def test_cells_are_escaped_and_numbers_are_right_aligned():
    html = table(["name <", "n"], [["<b>", 1200], ["x", None]], caption="c & d")
    assert '<th scope="row">&lt;b&gt;</th><td class="number">1,200</td>' in html
    assert '<th scope="row">x</th><td class="number">-</td>' in html
    assert '<th scope="col">name &lt;</th><th scope="col" class="number">n</th>' in html
    assert html.count("c &amp; d") == 2


def test_a_column_with_text_stays_left_aligned():
    assert "number" not in table(["a"], [["x"], ["1"]], caption="c")
    assert 'class="number"' in table(["a", "b"], [["x", measured(1.0)]], caption="c")
    assert 'class="number"' not in table(["a", "b"], [["x", Markup("<i>1</i>")]], caption="c")


def test_a_ragged_row_is_refused():
    with pytest.raises(ValueError, match="columns"):
        table(["a", "b"], [["x"]], caption="c")


def test_written_numbers_are_aligned_as_numbers_are():
    text = str(table(["what", "share", "size"], [["a", "12.5%", "1,234"], ["b", "-", "2e-07"]], caption="c"))
    assert text.count('<td class="number">') == 4
    words = str(table(["what", "value"], [["a", "1 of 2"], ["b", "3"]], caption="c"))
    assert 'class="number"' not in words
