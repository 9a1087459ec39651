"""Sets of ROIs and Cell Counter files of ImageJ."""

import logging
import zipfile

import numpy as np
import pytest

from linnet.errors import PointsError
from linnet.nuclei.points.readers import read_points, read_points_of_images

MARKERS = """<?xml version="1.0" encoding="UTF-8"?>
<CellCounter_Marker_File><Image_Properties><Image_Filename>a.tif</Image_Filename></Image_Properties>
<Marker_Data><Current_Type>1</Current_Type><Marker_Type><Type>1</Type>
<Marker><MarkerX>20</MarkerX><MarkerY>10</MarkerY><MarkerZ>1</MarkerZ></Marker></Marker_Type><Marker_Type><Type>2</Type>
<Marker><MarkerX>7</MarkerX><MarkerY>3</MarkerY><MarkerZ>{z}</MarkerZ></Marker></Marker_Type></Marker_Data>
</CellCounter_Marker_File>"""


def test_cell_counter(tmp_path, caplog):
    (tmp_path / "a.xml").write_text(MARKERS.replace("{z}", "1"))
    assert read_points(tmp_path / "a.xml").tolist() == [[10, 20], [3, 7]]
    assert read_points_of_images(tmp_path)["a"].tolist() == [[10, 20], [3, 7]]
    assert caplog.text == ""
    (tmp_path / "a.xml").write_text(MARKERS.replace("{z}", "2").replace("UTF-8", "ISO-8859-1"), encoding="latin-1")
    with caplog.at_level(logging.WARNING, logger="linnet"):
        assert len(read_points(tmp_path / "a.xml")) == 2
    assert "slices" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<a", "no XML"),
        ("<annotation/>", "another kind .annotation"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "entities"),
        (MARKERS.replace("<MarkerX>20</MarkerX>", ""), "MarkerX"),
        (MARKERS.replace("20", "nan"), "'nan'"),
    ],
)
def test_what_is_no_file_of_markers(tmp_path, text, message):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(PointsError, match=message):
        read_points(tmp_path / "a.xml")


@pytest.mark.parametrize("content", [b"PK\x03\x04xxxx", b"", b"Iout"])
def test_a_damaged_set(tmp_path, content):
    pytest.importorskip("roifile", reason="roifile is not installed")
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(PointsError, match=r"a\.zip.*ROI"):
        read_points(tmp_path / "a.zip")


class TestRois:
    @pytest.fixture
    def roifile(self):
        return pytest.importorskip("roifile", reason="roifile is not installed")

    def test_sub_pixel_points_count_from_the_corner_and_whole_ones_are_pixels(self, tmp_path, roifile):
        true = np.array([[10.25, 20.5], [3.0, 7.75]])
        fine = roifile.ImagejRoi.frompoints(true[:, ::-1] + 0.5)
        fine.roitype = roifile.ROI_TYPE.POINT
        fine.tofile(tmp_path / "a.roi")
        np.testing.assert_allclose(read_points(tmp_path / "a.roi"), true, atol=1e-3)
        whole = roifile.ImagejRoi.frompoints(np.array([[20, 10], [7, 3]]))
        whole.roitype = roifile.ROI_TYPE.POINT
        whole.tofile(tmp_path / "b.roi")
        assert read_points(tmp_path / "b.roi").tolist() == [[10, 20], [3, 7]]

    def test_a_set_of_outlines_gives_centroids_and_lines_are_counted(self, tmp_path, roifile, caplog):
        square = roifile.ImagejRoi.frompoints(np.array([[10, 20], [14, 20], [14, 26], [10, 26]]))
        square.roitype = roifile.ROI_TYPE.POLYGON
        line = roifile.ImagejRoi.frompoints(np.array([[1, 1], [9, 9]]))
        line.roitype = roifile.ROI_TYPE.POLYLINE
        point = roifile.ImagejRoi.frompoints(np.array([[5, 6]]))
        with zipfile.ZipFile(tmp_path / "RoiSet.zip", "w") as archive:
            for name, roi in (("0001.roi", square), ("0002.roi", line), ("0003.roi", point)):
                archive.writestr(name, roi.tobytes())
            archive.writestr("__MACOSX/._0001.roi", b"junk")
        with caplog.at_level(logging.WARNING, logger="linnet"):
            points = read_points(tmp_path / "RoiSet.zip")
        assert points.tolist() == [[22.5, 11.5], [6, 5]]  # the square covers pixels 20..25 and 10..13
        assert "1 line was left out" in caplog.text

    def test_a_zip_of_something_else(self, tmp_path, roifile):
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("notes.txt", "nothing")
        with pytest.raises(PointsError, match=r"no \.roi"):
            read_points(tmp_path / "a.zip")
