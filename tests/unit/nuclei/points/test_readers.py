import gzip
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from linnet.errors import ImageError, PointsError
from linnet.nuclei.points.readers import centroids, read_points, read_points_of_images


def put(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


class TestTables:
    @pytest.mark.parametrize(
        "text",
        [
            "y,x\n1,2\n3.5,-0.25\n",
            "x,y\n2,1\n-0.25,3.5\n",
            "id,X,area, Y ,name\n1,2,9,1,a\n2,-.25,8,3.5,b\n",
            "\ufeffy,x\r\n1,2\r\n\r\n3.5,-0.25",
            "y;x\n1,0;2\n3,5;-0,25\n",
            "y\tx\n1\t2\n3.5\t-0.25\n",
            "index,axis-0,axis-1\n0,1,2\n1,3.5,-0.25\n",
            '"y","x"\n"1","2"\n"3.5","-2.5e-1"\n',
        ],
    )
    def test_y_and_x_in_any_order_and_company(self, tmp_path, text):
        assert read_points(put(tmp_path, "a.csv", text)).tolist() == [[1, 2], [3.5, -0.25]]

    def test_a_header_alone_is_no_points(self, tmp_path):
        points = read_points(put(tmp_path, "a.csv", "y,x\n"), shape=(5, 5))
        assert points.shape == (0, 2)
        assert points.dtype == np.float64

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "nothing"),
            ("height,width\n1,2\n", "height, width.*y,x"),
            ("y,z\n1,2\n", "y, z"),
            ("1,2\n3,4\n", "1, 2"),
            ("y,x,y\n1,2,3\n", "y, x, y"),
            ("y,x\n1,2\n1,two\n", "line 3.*'two'"),
            ("y,x\n,2\n", r"line 2.*\by\b"),
            ("y,x\nnan,2\n", "line 2.*'nan'"),
            ("y,x\n1,inf\n", "line 2.*'inf'"),
            ("y,x\n1,2,3\n", r"line 2.*\b3\b"),
            ('y,x\n1,"2\n', "CSV"),
        ],
    )
    def test_what_is_no_points(self, tmp_path, text, message):
        with pytest.raises(PointsError, match=message) as caught:
            read_points(put(tmp_path, "a.csv", text))
        assert "a.csv" in str(caught.value)

    def test_bytes_that_are_no_text(self, tmp_path):
        (tmp_path / "a.csv").write_bytes(b"y,x\n\xff\xfe")
        with pytest.raises(PointsError, match=r"a\.csv.*UTF-8"):
            read_points(tmp_path / "a.csv")

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(PointsError, match=r"no\.csv"):
            read_points(tmp_path / "no.csv")
        with pytest.raises(ImageError, match=r"no\.png"):
            read_points(tmp_path / "no.png")

    @pytest.mark.parametrize("inside", [(-0.5, -0.5), (0, 0), (9.49, 19.49)])
    def test_the_image_ends_half_a_pixel_outside_its_last_centre(self, tmp_path, inside):
        y, x = inside
        assert len(read_points(put(tmp_path, "a.csv", f"y,x\n{y},{x}\n"), shape=(10, 20))) == 1

    @pytest.mark.parametrize("outside", [(-0.51, 0), (0, -0.51), (9.5, 0), (0, 19.5), (15, 5)])
    def test_outside_the_image(self, tmp_path, outside):
        y, x = outside
        with pytest.raises(PointsError, match=rf"a\.csv.*y = {y}"):
            read_points(put(tmp_path, "a.csv", f"y,x\n1,1\n{y},{x}\n"), shape=(10, 20))


class TestGeoJson:
    def feature(self, *coordinates, kind="Point"):
        return {"type": "Feature", "geometry": {"type": kind, "coordinates": list(coordinates)}, "properties": {}}

    def test_corner_based_x_y_becomes_centre_based_y_x(self, tmp_path):
        content = {
            "type": "FeatureCollection",
            "features": [self.feature(0.5, 1.5), self.feature([3.0, 4.0], kind="MultiPoint")],
        }
        expected = [[1.0, 0.0], [3.5, 2.5]]
        assert read_points(put(tmp_path, "a.geojson", json.dumps(content))).tolist() == expected
        assert read_points(put(tmp_path, "b.json", json.dumps(content["features"]))).tolist() == expected
        (tmp_path / "c.geojson.gz").write_bytes(gzip.compress(json.dumps(content).encode()))
        assert read_points(tmp_path / "c.geojson.gz").tolist() == expected

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "JSON"),
            ("[" * 100_000, "JSON"),
            ("3", "MultiPoint"),
            ('{"type": "FeatureCollection"}', "MultiPoint"),
            ('{"type": "Polygon", "coordinates": []}', "Polygon"),
            ('{"type": "Polygon", "coordinates": [[]]}', "outline"),
            ('{"type": "MultiPolygon", "coordinates": [3]}', "MultiPolygon"),
            ('{"type": "LineString", "coordinates": [[1, 2]]}', "no nucleus: 1 line"),
            ('{"type": "Point", "coordinates": [1]}', r"\[1\]"),
            ('{"type": "Point", "coordinates": ["1", 2]}', "'1', 2"),
            ('{"type": "Point", "coordinates": [NaN, 2]}', "nan"),
            ('{"type": "Point", "coordinates": [1' + "0" * 400 + ", 2]}", r"\[10+"),
            ('{"type": "MultiPoint", "coordinates": 3}', "MultiPoint.*coordinates"),
        ],
    )
    def test_what_is_no_points(self, tmp_path, content, message):
        with pytest.raises(PointsError, match=message) as caught:
            read_points(put(tmp_path, "a.geojson", content))
        assert "a.geojson" in str(caught.value)

    SQUARE = ([[10, 20], [14, 20], [14, 26], [10, 26], [10, 20]],)

    def of(self, tmp_path, *features):
        return read_points(put(tmp_path, "a.geojson", json.dumps({"type": "FeatureCollection", "features": features})))

    def test_areas_give_their_centroid_and_a_cell_that_of_its_nucleus(self, tmp_path):
        area = self.feature(*self.SQUARE, kind="Polygon")
        cell = self.feature([[0, 0], [9, 0], [9, 9]], kind="Polygon") | {"nucleusGeometry": area["geometry"]}
        hole = [[10, 20], [14, 20], [14, 23], [10, 23]]  # the same way round as its outline, as some programs write it
        holed = self.feature(*self.SQUARE, hole, kind="Polygon")
        several = self.feature([*self.SQUARE], [[[20, 20], [24, 20], [24, 26], [20, 26]]], kind="MultiPolygon")
        points = self.of(tmp_path, area, cell, holed, several)
        assert points.tolist() == [[22.5, 11.5], [22.5, 11.5], [24, 11.5], [22.5, 16.5]]

    def test_annotations_lines_and_empty_features_are_left_out_and_counted(self, tmp_path, caplog):
        region = self.feature(*self.SQUARE, kind="Polygon") | {"properties": {"objectType": "annotation"}}
        old = self.feature(*self.SQUARE, kind="Polygon") | {"id": "PathAnnotationObject"}
        line = self.feature([0, 0], [1, 1], kind="LineString")
        nothing = {"type": "Feature", "geometry": None, "properties": {}}
        marked = self.feature([3.0, 4.0], kind="MultiPoint") | {"properties": {"objectType": "annotation"}}
        points = {"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": [marked["geometry"]]}}
        with caplog.at_level("WARNING", logger="linnet"):
            assert self.of(tmp_path, region, old, line, nothing, marked, points).tolist() == [[3.5, 2.5]] * 2
        assert "2 annotated regions, 1 feature without geometry, 1 line left out; 2 points" in caplog.text
        with pytest.raises(PointsError, match="no nucleus: 1 annotated region"):
            self.of(tmp_path, region)

    def test_a_broken_gzip(self, tmp_path):
        (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(b"{}")[:-9])
        with pytest.raises(PointsError, match="GeoJSON"):
            read_points(tmp_path / "a.geojson.gz")


LABELS = np.array([[1, 1, 0, 0, 300], [1, 1, 0, 7, 0], [0, 0, 0, 7, 7]])
CENTRES = [[0.5, 0.5], [5 / 3, 10 / 3], [0, 4]]  # of 1, 7 and 300


class TestLabelImages:
    @pytest.mark.parametrize("dtype", ["uint16", "int32", "uint32", "float32"])
    def test_tiff(self, tmp_path, dtype):
        tifffile.imwrite(tmp_path / "a.tif", LABELS.astype(dtype))
        assert np.allclose(read_points(tmp_path / "a.tif"), CENTRES, atol=1e-12)

    def test_png(self, tmp_path):
        Image.fromarray(LABELS.astype(np.uint16)).save(tmp_path / "a.png")
        Image.fromarray((LABELS % 256).astype(np.uint8)).save(tmp_path / "b.png")
        assert np.allclose(read_points(tmp_path / "a.png"), CENTRES)
        assert np.allclose(read_points(tmp_path / "b.png", shape=(3, 5)), [CENTRES[0], CENTRES[1], CENTRES[2]])

    def test_labels_without_background_and_without_labels(self):
        assert centroids(np.array([[3, 3, 5]])).tolist() == [[0, 0.5], [0, 2]]
        assert centroids(np.zeros((2, 2), int)).tolist() == []

    def test_one_piece_of_a_mask_is_one_nucleus(self, tmp_path):
        Image.fromarray(np.eye(3, dtype=np.uint8) * 255).save(tmp_path / "a.png")
        assert read_points(tmp_path / "a.png").tolist() == [[1, 1]]

    @pytest.mark.parametrize(
        ("pixels", "message"),
        [
            (np.array([[255, 0, 255]], np.uint8), "mask"),
            (np.array([[True, False, True]]), "mask"),
            (np.zeros((4, 4, 3), np.uint8), "colour"),
            (np.array([[0, 1.5]], np.float32), "labels"),
            (np.array([[0, -1]], np.int16), "labels"),
        ],
    )
    def test_what_is_no_label_image(self, tmp_path, pixels, message):
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb" if pixels.ndim == 3 else None)
        with pytest.raises(PointsError, match=message):
            read_points(tmp_path / "a.tif")

    def test_a_label_image_of_another_size(self, tmp_path):
        tifffile.imwrite(tmp_path / "a.tif", LABELS.astype(np.uint16))
        with pytest.raises(PointsError, match="label image"):
            read_points(tmp_path / "a.tif", shape=(3, 6))


class TestManyImages:
    def test_a_folder_of_results_is_read_by_its_tables(self, tmp_path):
        put(tmp_path, "a.csv", "y,x\n1,2\n")
        put(tmp_path, "b.csv", "y,x\n")
        put(tmp_path, "counts.csv", "image,count\n")
        put(tmp_path, "failed.csv", "image,error\n")
        put(tmp_path, "run.json", "{}")
        put(tmp_path, "a.geojson", "{}")
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "a.overlay.png")
        assert {k: v.tolist() for k, v in read_points_of_images(tmp_path).items()} == {"a": [[1, 2]], "b": []}

    def test_a_folder_of_label_images(self, tmp_path):
        tifffile.imwrite(tmp_path / "w.ome.tif", LABELS.astype(np.uint16))
        assert np.allclose(read_points_of_images(tmp_path)["w"], CENTRES)

    def test_a_table_of_many_images(self, tmp_path):
        path = put(tmp_path, "a.csv", "image,y,x\nw1.png,1,2\nw2.ome.tif,3,4\nw1.png,5,6\n")
        assert {k: v.tolist() for k, v in read_points_of_images(path).items()} == {
            "w1": [[1, 2], [5, 6]],
            "w2": [[3, 4]],
        }

    def test_a_single_file_is_one_image(self, tmp_path):
        assert list(read_points_of_images(put(tmp_path, "truth.csv", "y,x\n1,2\n"))) == ["image"]

    def test_a_folder_without_points_and_one_with_two_of_a_name(self, tmp_path):
        with pytest.raises(PointsError, match="GeoJSON"):
            read_points_of_images(tmp_path)
        put(tmp_path, "a.csv", "y,x\n")
        put(tmp_path, "a.tsv", "y\tx\n")
        with pytest.raises(PointsError, match="'a'"):
            read_points_of_images(tmp_path)
