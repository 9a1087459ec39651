import itertools

import numpy as np
import pytest

from linnet.errors import ImageError
from linnet.nuclei.axes import Choice, Layout, choose

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
    with pytest.raises(ImageError, match="channel 3 was asked for, but this is a colour picture: 0 is red"):
        chosen([rgba], channel=3)


def test_samples_that_are_no_colours_are_channels():
    assert chosen([Layout("YXS", (3, 4, 5))], channel=4) == Choice(0, 0, 4)
    with pytest.raises(ImageError, match=r"holds 5 channels \(0, 1, 2, 3, 4\)"):
        chosen([Layout("YXS", (3, 4, 5))])


@pytest.mark.parametrize(
    ("layouts", "page", "channel", "message"),
    [
        (
            [STACK],
            None,
            None,
            r"holds 5 pages \(Z 5, each 20 x 30 uint16\).*page=N.*0 to 4; and a channel.*0 DAPI, 1 GFP",
        ),
        ([STACK], 0, None, r"holds 2 channels \(0 DAPI, 1 GFP\).*--channel N, or channel=N"),
        ([STACK], None, 0, r"holds 5 pages .*from 0 to 4\."),
        ([STACK], 5, 0, "page 5 was asked for, but there are 5, counted from 0"),
        ([STACK], -1, 0, "page -1 was asked for"),
        ([STACK], 0, 2, r"channel 2 was asked for, but there are 2 \(0 DAPI, 1 GFP\)"),
        ([STACK], 0, -1, "channel -1 was asked for"),
        ([Layout("YX", (3, 4))], 1, None, "page 1 was asked for, but there are 1"),
        ([Layout("YX", (3, 4))], None, 1, "there is only one channel, number 0"),
        (
            [Layout("YX", (3, 4), dtype="uint8"), Layout("QYX", (3, 5, 6))],
            None,
            None,
            r"4 pages \(0: 4 x 3 uint8, 1-3: 6 x 5\)",
        ),
        ([Layout("CYX", (20, 3, 4))], None, None, r"holds 20 channels \(0, 1, 2, 3, 4, 5, 6, 7, \.\.\. 19\)"),
    ],
)
def test_a_wrong_choice_lists_what_there_is(layouts, page, channel, message):
    with pytest.raises(ImageError, match=message) as caught:
        chosen(layouts, page, channel)
    assert str(caught.value).startswith("a.tif: ")
