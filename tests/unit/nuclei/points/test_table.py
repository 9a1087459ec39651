"""Tables of points as other programs write them; each holds the same true points."""

import logging

import numpy as np
import pytest

from linnet.errors import PointsError
from linnet.nuclei.points.column_names import micrometres, point_columns
from linnet.nuclei.points.readers import read_points, read_points_of_images

TRUE = np.array([[10.25, 20.5], [3.0, 7.75], [100.5, 0.25]])


def rows(pattern):
    return "\n".join(
        pattern.format(i=i, n=i + 1, y=y, x=x, yc=y + 0.5, xc=x + 0.5) for i, (y, x) in enumerate(TRUE.tolist())
    )


def comma(text):
    return text.replace(".", ",")


TRACKMATE = "LABEL,ID,TRACK_ID,QUALITY,POSITION_X,POSITION_Y,POSITION_Z,FRAME"
PROGRAMS = {
    "imagej results": " ,Area,Mean,X,Y\n" + rows("{n},0,100,{x},{y}"),
    "imagej centre of mass": " ,Area,XM,YM\n" + rows("{n},40,{x},{y}"),
    "imagej with tabs": " \tArea\tX\tY\n" + rows("{n}\t0\t{x}\t{y}"),
    "napari": "index,axis-0,axis-1\n" + rows("{i}.0,{y},{x}"),
    "napari, a stack": "index,axis-0,axis-1,axis-2\n" + rows("{i}.0,3.0,{y},{x}"),
    "napari, time and depth": "index,axis-0,axis-1,axis-2,axis-3\n" + rows("{i},1,3,{y},{x}"),
    "pandas": ",y,x\n" + rows("{i},{y},{x}"),
    "semicolon and decimal comma": "y;x\n" + comma(rows("{y};{x}")),
    "tab and decimal comma": "y\tx\n" + comma(rows("{y}\t{x}")),
    "semicolon and decimal point": "y;x\n" + rows("{y};{x}"),
    "excel's sep": "sep=;\ny;x\n" + rows("{y};{x}"),
    "excel's sep, comma": "sep=,\r\ny,x\r\n" + rows("{y},{x}"),
    "spaces between": "y x\n" + rows("{y}   {x}"),
    "spaces after commas": "y, x\n" + rows("{y}, {x}"),
    "comment above": "# annotated by me\n# twice\ny,x\n" + rows("{y},{x}"),
    "numpy.savetxt": "# y,x\n" + rows("{y},{x}"),
    "comma at the end": "y,x\n" + rows("{y},{x},"),
    "empty line of cells": "y,x\n" + rows("{y},{x}") + "\n,\n",
    "qupath measurements in px": "Image\tClass\tROI\tCentroid X px\tCentroid Y px\n"
    + rows("a.tif\tNucleus\tPolygon\t{xc}\t{yc}"),
    "qupath points": "x\ty\tclass\tname\tcolor\n" + rows("{xc}\t{yc}\tNucleus\t\t-65536"),
    "cellprofiler": "ImageNumber,ObjectNumber,Location_Center_X,Location_Center_Y,Location_Center_Z\n"
    + rows("1,{n},{x},{y},0"),
    "cellprofiler shape": "ImageNumber,ObjectNumber,AreaShape_Center_X,AreaShape_Center_Y\n" + rows("1,{n},{x},{y}"),
    "regionprops": "label,centroid-0,centroid-1\n" + rows("{n},{y},{x}"),
    "regionprops of a stack": "label,centroid-0,centroid-1,centroid-2\n" + rows("{n},4,{y},{x}"),
    "regionprops, weighted": "label,weighted_centroid-0,weighted_centroid-1\n" + rows("{n},{y},{x}"),
    "trackmate in pixels": f"{TRACKMATE}\nLabel,Spot ID,Track ID,Quality,X,Y,Z,Frame\n"
    "Label,Spot ID,Track ID,Quality,X,Y,Z,Frame\n,,,(quality),(pixel),(pixel),(pixel),\n"
    + rows("ID{i},{i},0,5,{x},{y},0,0"),
    "trackpy": "y,x,mass,size,frame\n" + rows("{y},{x},1,2,0"),
    "row and col": "row,col\n" + rows("{y},{x}"),
    "row and column": "id,Row,Column\n" + rows("{n},{y},{x}"),
    "capitals": "Y,X\n" + rows("{y},{x}"),
    "brackets": "X [px],Y [px]\n" + rows("{x},{y}"),
    "ilastik": "object_id,Center of the object_0,Center of the object_1\n" + rows("{n},{x},{y}"),
    "imaris": "Position X,Position Y,Position Z,Unit,Category\n" + rows("{x},{y},0,px,Spot"),
    "a title above": "Position\n====================\nPosition X,Position Y,ID\n" + rows("{x},{y},{n}"),
    "centroid": "cell,centroid_x,centroid_y\n" + rows("{n},{x},{y}"),
    "suffix": "X_centroid,Y_centroid\n" + rows("{x},{y}"),
    "inform": "Sample Name,Cell ID,Cell X Position,Cell Y Position\n" + rows("a.tif,{n},{x},{y}"),
    "cosmx": "cell_ID,CenterX,CenterY\n" + rows("{n},{x},{y}"),
    "small and capital": "label,xPos,yPos\n" + rows("{n},{x},{y}"),
    "no gap": "centroidX;centroidY\n" + rows("{x};{y}"),
    "spotiflow": "y,x,intensity,probability\n" + rows("{y},{x},10.0,0.9"),
    "quoted": '"y","x"\n' + rows('"{y}","{x}"'),
    "old mac lines": "y,x\r" + rows("{y},{x}").replace("\n", "\r"),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_columns_of_thirty_programs(tmp_path, program):
    path = tmp_path / "a.csv"
    path.write_bytes(PROGRAMS[program].encode())
    np.testing.assert_allclose(read_points(path), TRUE, atol=1e-9)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes(("y,x,Fläche µm²\n" + rows("{y},{x},3")).encode(encoding))
    np.testing.assert_allclose(read_points(path), TRUE)


def test_boxes_give_their_middle(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Object Id,XMin,XMax,YMin,YMax\n1,10,20,4,5\n")
    assert read_points(path).tolist() == [[4.5, 15]]


def test_ebimage_counts_from_one(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('"x.0.m.cx","x.0.m.cy"\n1,3\n')
    assert read_points(path).tolist() == [[2, 0]]


MICROMETRES = {
    "linnet": "y_um,x_um\n5,10\n",
    "qupath": "Image\tCentroid X µm\tCentroid Y µm\na.tif\t10.25\t5.25\n",
    "qupath, greek letter": "Image\tCentroid X μm\tCentroid Y μm\na.tif\t10.25\t5.25\n",
    "nanometres": "x [nm],y [nm]\n10000,5000\n",
    "trackmate": f"{TRACKMATE}\nLabel,Spot ID,Track ID,Quality,X,Y,Z,Frame\n"
    "Label,Spot ID,Track ID,Quality,X,Y,Z,Frame\n,,,(quality),(micron),(micron),(micron),\nID1,1,0,5,10,5,0,0\n",
}


@pytest.mark.parametrize("program", MICROMETRES)
def test_micrometres_want_the_pixel_size(tmp_path, program):
    path = tmp_path / "a.tsv"
    path.write_text(MICROMETRES[program], encoding="utf-8")
    with pytest.raises(PointsError, match="`pixel_size_um`"):
        read_points(path)
    np.testing.assert_allclose(read_points(path, pixel_size_um=0.5), [[10, 20]])


def test_pixels_go_before_micrometres(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("y_um,x_um,y,x\n5,10,1,2\n")
    assert read_points(path).tolist() == [[1, 2]]


def test_a_third_axis_is_never_y(tmp_path, caplog):
    path = tmp_path / "a.csv"
    path.write_text("axis-0,axis-1,axis-2\n7,1,2\n8,3,4\n")
    with caplog.at_level(logging.WARNING, logger="linnet"):
        assert read_points(path).tolist() == [[1, 2], [3, 4]]
    assert "2 planes" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("189.47\t26.61\n3\t4\n", "189.47.*x first"),
        ('y,x\n"1,234.5",3\n', "'1,234.5'"),
        ("y,x\nNaN,NaN\n", "'NaN'"),
        ("y,x\n1_000,3\n", "'1_000'"),
        ("ymin\tymax\txmin\txmax\tcoords_x\tcoords_y\n1\t2\t3\t4\t1,2,3\t4,5,6\n", "outlines"),
        ("ImageNumber,Location_Center_X,Location_Center_Y\n1,2,3\n2,4,5\n", "2 images.*ImageNumber"),
    ],
)
def test_one_clear_question(tmp_path, text, message):
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(PointsError, match=message):
        read_points(path)


def test_points_of_several_images_are_not_mixed(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("Image\tCentroid X px\tCentroid Y px\na.tif\t1.5\t2.5\nb.tif\t3.5\t4.5\na.tif\t5.5\t6.5\n")
    with pytest.raises(PointsError, match="2 images"):
        read_points(path)
    assert {k: v.tolist() for k, v in read_points_of_images(path).items()} == {"a": [[2, 1], [6, 5]], "b": [[4, 3]]}


@pytest.mark.parametrize(
    ("header", "name"),
    [("Label,X,Y", "w1"), ("Image_FileName_DNA,Location_Center_X,Location_Center_Y", "w1"), ("filename,x,y", "w1")],
)
def test_columns_that_name_the_image(tmp_path, header, name):
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\nw1.tif:0003,5,6\n" if "Label" in header else f"{header}\nw1.tif,5,6\n")
    assert {k: v.tolist() for k, v in read_points_of_images(path).items()} == {name: [[6, 5]]}


def test_names_of_columns_and_units():
    assert point_columns(["a", "b"]) is None
    assert point_columns(["ROI", "Centroid X µm", "Centroid Y µm"]).um_per_unit == 1.0
    assert point_columns(["Nucleus: Centroid X px", "Nucleus: Centroid Y px"]).origin == 0.5
    assert [micrometres(cell) for cell in ("(micron)", "µm", "[nm]", "(pixel)")] == [1, 1, 1e-3, None]
