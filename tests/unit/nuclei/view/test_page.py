"""The page of `linnet nuclei view`, driven as a person would in a headless browser."""

import threading

import numpy as np
import pytest
from PIL import Image

from linnet.data import fluorescence_field
from linnet.nuclei.batch.batch import detect
from linnet.nuclei.points.readers import read_points
from linnet.nuclei.view.server import open_view
from tests.chromium import Chromium


@pytest.fixture
def server(tmp_path):
    field, _ = fluorescence_field((200, 300), n=20, rng_seed=1)
    Image.fromarray(np.stack([field // 2**8] * 3, axis=-1).astype(np.uint8)).save(tmp_path / "a.png")
    out = detect(tmp_path / "a.png", tmp_path / "found").out
    with open_view(out) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_points_are_added_moved_deleted_and_saved(server, tmp_path):
    found = server.found.points(server.found.images[0])
    at = "((p) => { const b = document.getElementById('picture').getBoundingClientRect();"
    at += " return [b.left + (p[1] + .5 - left) * zoom, b.top + (p[0] + .5 - top_) * zoom]; })"
    with Chromium(tmp_path) as page:
        page.open(server.url)
        page.until("document.getElementById('count').textContent !== ''")
        assert page.value("points.length") == len(found)

        free = next(
            [y, x] for y in range(20, 190, 7) for x in range(20, 290, 7) if np.hypot(*(found - (y, x)).T).min() > 14
        )
        page.value("document.querySelector('input[value=add]').click()")
        page.click(*page.value(f"{at}({free})"))
        page.until(f"points.length === {len(found) + 1}")
        page.value("document.querySelector('input[value=delete]').click()")
        page.click(*page.value(f"{at}({found[0].tolist()})"))
        page.until(f"points.length === {len(found)}")
        page.value("document.querySelector('input[value=move]').click()")
        start = page.value(f"{at}({found[1].tolist()})")
        page.drag(start, (start[0] + 12, start[1] + 9))
        zoom = page.value("zoom")

        before = page.value("[left, top_]")
        corner = page.value(f"{at}([2, 2])")
        page.drag(corner, (corner[0] + 30, corner[1] + 20))  # the picture, where there is no dot
        assert page.value("[left, top_]") == pytest.approx([before[0] - 30 / zoom, before[1] - 20 / zoom])
        page.value("document.getElementById('in').click()")
        assert page.value("zoom") == pytest.approx(1.5 * zoom)
        page.value("document.getElementById('channel').value = '1'")
        page.value("document.getElementById('channel').dispatchEvent(new Event('change'))")
        page.until("[...tiles.values()].some((t) => t.src.includes('channel=1') && t.naturalWidth > 0)")

        page.value("document.getElementById('save').click()")
        page.until("document.getElementById('message').textContent.includes('corrected')")
        page.value("document.getElementById('counts').click()")
        page.until("document.getElementById('message').textContent.includes('corrected_counts.csv')")
        assert page.console == []
    saved = read_points(server.found.corrected(server.found.images[0]))
    moved = found[1] + np.array([9, 12]) / zoom
    expected = np.concatenate([found[2:], [free], [moved]])
    distance = np.hypot(*(saved[:, None] - expected[None]).transpose(2, 0, 1))
    assert len(saved) == len(found)
    assert distance.min(axis=1).max() < 0.7  # a mouse stands on whole screen pixels
    counts = (server.found.folder / "corrected_counts.csv").read_text()
    assert counts.splitlines()[1].endswith(f",{len(found)},{len(found)}")


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_is_wider_than_the_window(server, tmp_path, width):
    with Chromium(tmp_path, size=(width, 800)) as page:
        page.open(server.url)
        page.until("document.getElementById('count').textContent !== ''")
        assert page.value("document.documentElement.scrollWidth") <= width
        assert page.value("document.getElementById('picture').getBoundingClientRect().height") > 190
        assert page.console == []
