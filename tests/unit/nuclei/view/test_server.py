"""The server of `linnet nuclei view`: what it gives, what it keeps, and what it refuses."""

import csv
import http.client
import io
import json
import threading

import numpy as np
import pytest
import tifffile
from PIL import Image

from linnet.errors import InputError
from linnet.nuclei.batch.batch import detect
from linnet.nuclei.points.columns import Count
from linnet.nuclei.points.detections import Detections
from linnet.nuclei.points.readers import read_points
from linnet.nuclei.view.results import _inside, read_found
from linnet.nuclei.view.server import ViewServer, open_view


def bright_pixels(image, pixel_size_um=None, **_options):
    """Stands in for a detector: each pixel of 255 is a nucleus."""
    pixels = np.asarray(image[:, :])
    points = np.argwhere((pixels if pixels.ndim == 2 else pixels[..., 0]) == 255).astype(float)
    return Detections(points, np.full(len(points), 0.5), pixels.shape[:2], Count(len(points)), flag="ok")


@pytest.fixture
def found(tmp_path):
    """A folder of results of a gray picture of 40 x 60 pixels and a colour picture of 300 x 700."""
    gray = np.zeros((40, 60), np.uint8)
    gray[[10, 20, 30], [5, 25, 45]] = 255
    Image.fromarray(gray).save(tmp_path / "a.png")
    color = np.random.default_rng(0).integers(0, 255, (300, 700, 3), dtype=np.uint8)
    Image.fromarray(color).save(tmp_path / "b.png")
    return detect([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "found", weights=bright_pixels).out


@pytest.fixture
def server(found):
    with open_view(found) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server, path, body=None, *, token=None, host=None, **headers):
    """(status, content type, body) of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    given = {"Host": host or f"127.0.0.1:{server.port}", "X-Linnet-Token": server.token if token is None else token}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        given.setdefault("Content-Type", "application/json")
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    connection.request("GET" if body is None else "POST", path, body=data, headers=given)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def ask_json(server, path, body=None):
    status, _, content = ask(server, path, body)
    assert status == 200, content
    return json.loads(content)


class TestAnswers:
    def test_the_page_its_script_and_its_style_carry_the_token(self, server):
        status, headers, page = ask(server, f"/?token={server.token}", token="")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert f"/view.js?token={server.token}".encode() in page
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert ask(server, f"/view.js?token={server.token}", token="")[1]["Content-Type"].startswith("text/javascript")
        assert ask(server, f"/view.css?token={server.token}", token="")[1]["Content-Type"].startswith("text/css")

    def test_images_and_points(self, server):
        listed = ask_json(server, "/api/images")["images"]
        assert [(i["name"], i["count"], i["flag"]) for i in listed] == [("a.png", 3, "ok"), ("b.png", 0, "ok")]
        one = ask_json(server, "/api/image/0")
        assert one["points"] == [[10, 5], [20, 25], [30, 45]]
        assert (one["height"], one["width"], one["levels"], one["channels"]) == (40, 60, 1, [])
        assert ask_json(server, "/api/image/1")["channels"] == ["red", "green", "blue"]

    def test_tiles_cover_the_picture_at_each_level(self, server, found):
        color = np.asarray(Image.open(found.parent / "b.png")).astype(float)
        levels = ask_json(server, "/api/image/1")["levels"]
        assert levels == 3  # 700 px: 256, 512, 1024
        status, headers, content = ask(server, "/api/tile/1/0/0/1")
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        tile = np.asarray(Image.open(io.BytesIO(content))).astype(float)
        assert tile.shape == (256, 256, 3)
        assert abs(tile.mean() - color[:256, 256:512].mean()) < 3
        sizes = [Image.open(io.BytesIO(ask(server, f"/api/tile/1/{k}/0/0")[2])).size for k in range(3)]
        assert sizes == [(256, 256), (256, 150), (175, 75)]
        red = np.asarray(Image.open(io.BytesIO(ask(server, "/api/tile/1/0/1/2?channel=0")[2]))).astype(float)
        assert red.shape == (44, 188)
        assert abs(red.mean() - color[256:, 512:, 0].mean()) < 3

    def test_saved_points_are_ready_for_training_and_come_back(self, server, found):
        points = [[10.25, 5], [1, 2], [39.4, 59.4]]
        answer = ask_json(server, "/api/points/0", {"points": points})
        assert answer["points"] == 3
        assert read_points(found / "corrected" / "a.csv").tolist() == sorted(points)
        assert ask_json(server, "/api/image/0")["points"] == sorted(points)
        assert read_points(found / "a.csv").tolist() == [[10, 5], [20, 25], [30, 45]]  # what was found stays
        ask_json(server, "/api/points/1", {"points": []})
        ask_json(server, "/api/counts", {})
        with (found / "corrected_counts.csv").open() as file:
            rows = list(csv.reader(file))
        assert rows[0] == ["image", "path", "found", "corrected"]
        assert [row[2:] for row in rows[1:]] == [["3", "3"], ["0", "0"]]

    def test_channels_of_a_file_with_several(self, tmp_path):
        planes = np.random.default_rng(0).integers(0, 255, (2, 30, 40), dtype=np.uint8)
        tifffile.imwrite(tmp_path / "s.tif", planes, metadata={"axes": "CYX"}, photometric="minisblack")
        out = detect(tmp_path / "s.tif", tmp_path / "found", weights=bright_pixels, channel=1).out
        with open_view(out) as server:
            assert server.pyramids.channels(server.found.images[0]) == ["channel 0", "channel 1"]

    def test_each_page_of_a_file_is_an_image(self, tmp_path):
        pages = np.zeros((2, 30, 40), np.uint8)
        pages[1, 5, 6] = 255
        tifffile.imwrite(tmp_path / "s.tif", pages, photometric="minisblack")
        Image.fromarray(pages[1]).save(tmp_path / "one.png")
        out = detect(
            [tmp_path / "s.tif", tmp_path / "one.png"], tmp_path / "all", weights=bright_pixels, page="all"
        ).out
        with open_view(out) as server:
            images = server.found.images
            assert [dict(i.options) for i in images] == [{"page": 0}, {"page": 1}, {}]
            assert [len(server.found.points(i)) for i in images] == [0, 1, 1]
            assert [server.pyramids.of(i).shape for i in images] == [(30, 40)] * 3
        out = detect(tmp_path / "s.tif", tmp_path / "max", weights=bright_pixels, project="max").out
        with open_view(out) as server:
            assert dict(server.found.images[0].options) == {"project": "max"}
            assert server.pyramids.of(server.found.images[0]).shape == (30, 40)

    def test_results_in_folders_inside_folders(self, tmp_path):
        for name, n in (("a.png", 1), ("x/a.png", 2)):
            pixels = np.zeros((30, 40), np.uint8)
            pixels[5, 4 : 10 * n : 10] = 255
            (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "in" / name)
        out = detect(tmp_path / "in", tmp_path / "found", weights=bright_pixels, recursive=True).out
        with open_view(out) as server:
            by_stem = {image.stem: image for image in server.found.images}
            assert {stem: len(server.found.points(image)) for stem, image in by_stem.items()} == {"a": 1, "x/a": 2}
            server.found.save_points(by_stem["x/a"], np.array([[1.0, 2.0]]))
            assert (out / "corrected" / "x" / "a.csv").exists()
            assert len(server.found.points(by_stem["a"])) == 1

    @pytest.mark.parametrize("stem", ["../a", "/a", "x/../../a"])
    def test_a_name_that_leads_out_of_the_folder_is_only_a_name(self, stem):
        assert _inside(stem) == "a"


class TestRefusals:
    @pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "0.0.0.0", ""])
    def test_other_hosts(self, server, host):
        assert ask(server, "/api/images", host=host or " ")[0] == 403

    def test_other_pages(self, server):
        assert ask(server, "/api/counts", {}, Origin="http://evil.example")[0] == 403
        assert ask(server, "/api/counts", {}, Origin=f"http://127.0.0.1:{server.port}")[0] == 200

    @pytest.mark.parametrize("path", ["/", "/view.js", "/api/images", "/api/image/0", "/api/tile/0/0/0/0"])
    @pytest.mark.parametrize("token", ["wrong", "", "ä"])
    def test_requests_without_the_token(self, server, path, token):
        assert ask(server, path, token=token.encode().decode("latin-1"))[0] == 403
        assert ask(server, f"{path}?token=wrong", token="")[0] == 403

    @pytest.mark.parametrize(
        "path",
        [
            "/../run.json",
            "/%2e%2e/run.json",
            "/run.json",
            "/etc/passwd",
            "//etc/passwd",
            "/api/image/../0",
            "/api/image/7",
            "/api/image/-1",
            "/api/points/0",
            "/page/index.html",
        ],
    )
    def test_paths_outside(self, server, path):
        assert ask(server, path)[0] == 404

    @pytest.mark.parametrize(("path", "status"), [("9/0/0", 422), ("0/9/0", 422), ("0/0/0?channel=2", 422)])
    def test_tiles_that_are_not_there(self, server, path, status):
        assert ask(server, f"/api/tile/0/{path}")[0] == status

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            {"points": [[1, 2], [3, 999]]},
            {"points": [[-3, 2]]},
            {"points": [["a", 2]]},
            {"points": [[1, None]]},
            {"points": 3},
            {"points": None},
            [],
            b"[" * 100_000,
        ],
    )
    def test_what_is_no_points(self, server, found, body):
        assert ask(server, "/api/points/0", body)[0] == 400
        assert not (found / "corrected").exists()

    def test_bodies_of_another_kind_or_size(self, server, found):
        assert ask(server, "/api/points/0", {"points": []}, Content_Type="text/plain")[0] == 415
        assert ask(server, "/api/points/0", {"points": []}, Content_Length="999999999999")[0] == 413
        assert not (found / "corrected").exists()

    def test_a_name_in_the_list_leads_nowhere_else(self, found):
        run = json.loads((found / "run.json").read_text())
        run["done"][0]["stem"] = "../../outside"
        (found / "run.json").write_text(json.dumps(run))
        folder = read_found(found)
        assert folder.corrected(folder.images[0]) == found / "corrected" / "outside.csv"

    def test_an_image_that_is_gone_is_said(self, server, found):
        (found.parent / "a.png").unlink()
        status, _, content = ask(server, "/api/image/0")
        assert (status, "a.png" in json.loads(content)["error"]) == (422, True)

    def test_what_cannot_be_written_is_said(self, server, found):
        (found / "corrected").write_text("a file in the way of the folder")
        status, _, content = ask(server, "/api/points/0", {"points": [[1, 2]]})
        assert (status, "corrected" in json.loads(content)["error"]) == (507, True)

    def test_it_listens_on_this_computer_alone(self, server):
        assert server.server_address[0] == "127.0.0.1"

    def test_folders_that_are_none(self, tmp_path, found):
        for folder, message in ((tmp_path / "no", "no such folder"), (tmp_path, "holds no results")):
            with pytest.raises(InputError, match=message):
                read_found(folder)
        (found / "run.json").write_text("{}")
        with pytest.raises(InputError, match="earlier version"):
            read_found(found)
        (found / "run.json").write_text("{")
        with pytest.raises(InputError, match="can't be read"):
            read_found(found)

    def test_a_port_that_is_taken(self, server):
        for port in (server.port, 99_999):
            with pytest.raises(InputError, match="`port`"):
                ViewServer(server.found, port=port)
