import itertools

import numpy as np
import pytest

from linnet.errors import ImageError
from linnet.nuclei.read.tiff_axes import Choice, Layout, channels_listed, choose

STACK = Layout("ZCYX", (5, 2, 30, 20), channel_names=("DAPI", "GFP"), dtype="uint16")


def chosen(layouts, page=None, channel=None):
    return choose("a.tif", layouts, page=page, channel=channel)


@pytest.mark.parametrize("axes", ["ZCYX", "CZYX", "TZCYX", "CTZYX", "TCZYX"])
def test_every_plane_is_reached_once_and_in_order(axes):
    sizes = {"T": 2, "Z": 3, "C": 4, "Y": 1, "X": 1}
    layout = Layout(axes, tuple(sizes[a] for a in axes))
    planes = np.arange(np.prod(layout.shape)).reshape(layout.shape)
    pages = list(itertools.product(*(range(sizes[a]) for a in layout.page_axes)))
    assert layout.pages == len(pages)
    for (page, position), channel in itertools.product(enumerate(pages), range(4)):
        index = dict(zip(layout.page_axes, position, strict=True)) | {"C": channel, "Y": 0, "X": 0}
        assert chosen([layout], page, channel).plane == planes[tuple(index[a] for a in axes)]


def test_pages_run_through_all_series():
    layouts = [Layout("YX", (3, 4)), Layout("QYX", (2, 5, 6)), Layout("YX", (7, 8))]
    assert [(c.series, c.plane) for c in (chosen(layouts, p) for p in range(4))] == [(0, 0), (1, 0), (1, 1), (2, 0)]


def test_one_plane_needs_no_choice_and_allows_zero():
    gray = Layout("YX", (3, 4))
    assert chosen([gray]) == chosen([gray], 0, 0) == Choice(0, 0, None)


def test_colour_is_one_picture_whose_parts_can_be_asked_for():
    rgba = Layout("YXS", (3, 4, 4), color=True, alpha=1)
    assert chosen([rgba]) == Choice(0, 0, None)
    assert [chosen([rgba], channel=c).sample for c in range(3)] == [0, 1, 2]
    with pytest.raises(ImageError, match=r"channel.*red"):
        chosen([rgba], channel=3)


def test_samples_that_are_no_colours_are_channels():
    assert chosen([Layout("YXS", (3, 4, 5))], channel=4) == Choice(0, 0, 4)
    with pytest.raises(ImageError, match=r"channel.*0, 1, 2, 3, 4"):
        chosen([Layout("YXS", (3, 4, 5))])


@pytest.mark.parametrize(
    ("layouts", "page", "channel", "message"),
    [
        (
            [STACK],
            None,
            None,
            "--page N.*--channel N",
        ),
        ([STACK], 0, None, "DAPI.*--channel N"),
        ([STACK], None, 0, "--page N(?!.*--channel)"),
        ([STACK], 5, 0, r"\bpage\b.*\b5\b"),
        ([STACK], -1, 0, r"\bpage\b.*-1"),
        ([STACK], 0, 2, r"\bchannel\b.*\b2\b"),
        ([STACK], 0, -1, r"\bchannel\b.*-1"),
        ([Layout("YX", (3, 4))], 1, None, r"\bpage\b.*\b1\b"),
        ([Layout("YX", (3, 4))], None, 1, r"\bchannel\b.*\b1\b"),
        (
            [Layout("YX", (3, 4), dtype="uint8"), Layout("QYX", (3, 5, 6))],
            None,
            None,
            "4 x 3 uint8.*6 x 5.*--page N",
        ),
        ([Layout("CYX", (20, 3, 4))], None, None, r"channel.*7, \.\.\. 19"),
    ],
)
def test_a_wrong_choice_lists_what_there_is(layouts, page, channel, message):
    with pytest.raises(ImageError, match=message) as caught:
        chosen(layouts, page, channel)
    assert "a.tif" in str(caught.value)


def test_what_is_not_there_is_said_with_what_is():
    one = Layout("YX", (4, 5))
    with pytest.raises(ImageError, match=r"page 7 was requested, but there is only one, number 0. Leave the page out"):
        choose("a.tif", [one], page=7, channel=None)
    with pytest.raises(ImageError, match=r"'DAPI' was requested, but there is only one channel.*Leave the channel out"):
        choose("a.tif", [one], page=None, channel="DAPI")
    named = Layout("CYX", (3, 4, 5), channel_names=("0", "GFP", ""))
    assert channels_listed(named) == "0, 1 GFP, 2"
