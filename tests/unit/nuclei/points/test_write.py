import csv
import gzip
import json
import uuid

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnet.errors import InputError, PointsError
from linnet.nuclei.points.columns import Count
from linnet.nuclei.points.csv import to_csv
from linnet.nuclei.points.csv_detections import from_csv
from linnet.nuclei.points.detections import Detections
from linnet.nuclei.points.geojson import from_geojson, to_geojson
from linnet.nuclei.points.readers import read_points
from linnet.nuclei.points.write import to_json, write_counts, write_detections, write_failed
from linnet.nuclei.read.find import Failure


def found(points=((1.25, 2.5), (3.0, 4.0)), *, score=None, **options):
    points = np.array(points, dtype=float).reshape(-1, 2)
    score = np.linspace(0.5, 0.9, len(points)) if score is None else np.array(score, dtype=float)
    return Detections(points=points, score=score, shape=(10, 20), count=Count(len(points)), **options)


class TestCsv:
    def test_columns_and_values(self):
        assert to_csv(found(pixel_size_um=0.5, flag="look")) == (
            "id,y,x,y_um,x_um,score,flag\n1,1.25,2.5,0.625,1.25,0.5,look\n2,3.0,4.0,1.5,2.0,0.9,look\n"
        )
        assert to_csv(found()).splitlines()[0] == "id,y,x,score,flag"  # no column that is always empty

    def test_what_is_known_is_filled_in(self):
        text = to_csv(found(confidence=np.array([0.25, 1.0]), sd_px=np.array([0.5, 1.5])))
        assert text.splitlines()[1] == "1,1.25,2.5,0.25,0.5,0.5,ok"
        back = from_csv(text)
        assert back.confidence.tolist() == [0.25, 1.0]
        assert back.sd_px.tolist() == [0.5, 1.5]

    def test_no_nuclei_is_a_header(self):
        text = to_csv(found([]))
        assert text.count("\n") == 1
        assert len(from_csv(text)) == 0
        assert to_csv(from_csv(text)) == text

    @given(
        points=st.lists(st.tuples(*[st.floats(-0.5, 1e5, allow_nan=False)] * 2), max_size=6),
        size=st.one_of(st.none(), st.floats(1e-4, 100)),
        known=st.booleans(),
        rng_seed=st.integers(0, 9),
    )
    def test_there_and_back_is_the_same_to_the_byte(self, points, size, known, rng_seed):
        rng = np.random.default_rng(rng_seed)
        extra = {"confidence": rng.random(len(points)), "sd_px": rng.random(len(points))} if known else {}
        first = found(points, score=rng.random(len(points)), pixel_size_um=size, **extra)
        text = to_csv(first)
        back = from_csv(text, shape=(10, 20))
        assert to_csv(back) == text
        assert np.array_equal(back.points, first.points)
        assert np.array_equal(back.score, first.score)
        assert back.count.n == len(points)
        assert back.shape == (10, 20)

    def test_files_with_all_columns_are_read_as_before(self):
        old = "id,y,x,y_um,x_um,confidence,score,sd_px,flag\n1,1.25,2.5,0.625,1.25,,0.5,,look\n"
        back = from_csv(old)
        assert (back.points.tolist(), back.score.tolist(), back.flag) == ([[1.25, 2.5]], [0.5], "look")
        assert (back.pixel_size_um, back.confidence, back.sd_px) == (0.5, None, None)

    def test_the_pixel_size_comes_back_as_it_was(self):
        assert from_csv(to_csv(found(pixel_size_um=0.325))).pixel_size_um == 0.325

    def test_the_smallest_shape_that_holds_the_points(self):
        assert from_csv(to_csv(found([(3.4, 8.6)]))).shape == (4, 10)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (("id,y,x", "id,x,y"), "id, x, y"),
            (("1.25", "a"), "line 2.*'a'"),
            (("1.25", ""), r"column y\b"),
            (("0.625", "0.7"), "y_um"),
            (("0.625", ""), "y_um"),
            (("1,1.25", "1,1,1.25"), "line 2.*8 cells"),
            (("id,y,x,", "id,y,"), "its columns are id, y"),
        ],
    )
    def test_a_changed_file_is_refused(self, change, message):
        text = to_csv(found(pixel_size_um=0.5))
        with pytest.raises(PointsError, match=message):
            from_csv(text.replace(*change, 1), name="a.csv")


class TestGeoJson:
    def test_a_feature_as_qupath_reads_it(self):
        content = json.loads(to_geojson(found(confidence=np.array([0.25, np.nan])), "abc"))
        assert content["type"] == "FeatureCollection"
        first, second = content["features"]
        assert first["geometry"] == {"type": "Point", "coordinates": [3.0, 1.75]}
        assert first["properties"]["objectType"] == "detection"
        assert first["properties"]["classification"] == {"name": "Nucleus", "color": [33, 145, 140]}
        assert first["properties"]["measurements"] == {"confidence": 0.25, "score": 0.5}
        assert second["properties"]["measurements"] == {"score": 0.9}

    def test_ids_follow_from_the_image_and_the_index(self):
        ids = [[f["id"] for f in json.loads(to_geojson(found(), d))["features"]] for d in ("abc", "abc", "abd", "")]
        assert ids[0] == ids[1]
        assert len({i for some in ids[1:] for i in some}) == 6
        assert all(uuid.UUID(i).version == 5 for some in ids for i in some)

    @given(points=st.lists(st.tuples(*[st.floats(-0.5, 1e5, allow_nan=False)] * 2), max_size=6))
    def test_points_come_back(self, points):
        back = from_geojson(to_geojson(found(points)))
        assert back.shape == (len(points), 2)
        assert np.abs(back - np.array(points).reshape(-1, 2)).max(initial=0) <= 1e-9

    def test_a_point_that_is_not_finite_is_refused_and_nothing_is_left(self, tmp_path):
        with pytest.raises(PointsError, match="NaN"):
            write_detections(found([(np.nan, 1)]), tmp_path / "a.geojson")
        assert list(tmp_path.iterdir()) == []


class TestFiles:
    @pytest.mark.parametrize("name", ["a.csv", "a.CSV", "a.geojson", "a.geojson.gz", "a.json"])
    def test_the_suffix_names_the_format(self, tmp_path, name):
        path = found(pixel_size_um=0.5).write(tmp_path / name)
        assert path == tmp_path / name
        content = gzip.decompress(path.read_bytes()).decode() if name.endswith("gz") else path.read_text()
        expected = {"csv": to_csv, "json": to_json, "geo": to_geojson}["geo" if "geojson" in name else name[2:].lower()]
        assert content == expected(found(pixel_size_um=0.5))
        assert [p.name for p in tmp_path.iterdir()] == [name]
        before = path.read_bytes()
        assert found(pixel_size_um=0.5).write(path).read_bytes() == before

    @pytest.mark.parametrize("name", ["a.csv", "a.geojson", "a.geojson.gz"])
    def test_what_is_written_can_be_read(self, tmp_path, name):
        assert np.allclose(read_points(found().write(tmp_path / name)), found().points, atol=1e-9)

    @pytest.mark.parametrize("name", ["a", "a.xlsx"])
    def test_another_suffix_is_refused(self, tmp_path, name):
        with pytest.raises(InputError, match=r"\.csv, \.geojson"):
            found().write(tmp_path / name)

    def test_a_failing_write_leaves_what_was_there(self, tmp_path, monkeypatch):
        path = found().write(tmp_path / "a.csv")
        before = path.read_bytes()

        def full(*_):
            yield "half a line"
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("linnet.nuclei.points.write.csv_lines", full)
        with pytest.raises(OSError, match="No space left"):
            found([]).write(path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_json_holds_everything(self):
        content = json.loads(to_json(found(pixel_size_um=0.5, flag="look", flag_reasons=("tiny",), scale=2.0)))
        assert content["points"] == [[1.25, 2.5], [3.0, 4.0]]
        assert content["count"] == {"n": 2, "lo": None, "hi": None, "level": None}
        assert (content["flag"], content["flag_reasons"], content["scale"], content["shape"]) == (
            "look",
            ["tiny"],
            2,
            [10, 20],
        )

    def test_counts(self, tmp_path):
        awkward = 'a,"b".tif'
        calibrated = Detections(
            points=np.zeros((2, 2)),
            score=np.ones(2),
            shape=(100, 50),
            count=Count(2, 1, 4, 0.9),
            pixel_size_um=2.0,
            diameter_px=24.04,
        )
        write_counts(
            tmp_path / "counts.csv", [(awkward, calibrated), ("b.png", found([], flag="look", flag_reasons=("x", "y")))]
        )
        rows = list(csv.reader((tmp_path / "counts.csv").read_text().splitlines()))
        assert rows[0] == ["image", "count", "lo", "hi", "level", "density_per_mm2", "flag", "reasons", "diameter_px"]
        assert rows[1] == [awkward, "2", "1", "4", "0.9", "100.0", "ok", "", "24.0"]  # 2 in 0.2 mm x 0.1 mm
        assert rows[2] == ["b.png", "0", "", "", "", "", "look", "x; y", ""]

    def test_counts_name_each_path_and_have_no_column_that_is_always_empty(self, tmp_path):
        path = write_counts(tmp_path / "counts.csv", [("a.png", found()), ("b.png", found([]))], ["in/a.png", "b.png"])
        assert path.read_text() == "image,path,count,flag\na.png,in/a.png,2,ok\nb.png,b.png,0,ok\n"
        assert write_counts(path, []).read_text() == "image,count,flag\n"

    def test_failed(self, tmp_path):
        write_failed(tmp_path / "failed.csv", [Failure("a.png", "is, alas,\nempty")])
        with (tmp_path / "failed.csv").open(newline="") as file:
            assert list(csv.reader(file)) == [["image", "error"], ["a.png", "is, alas,\nempty"]]
