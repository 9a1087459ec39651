"""Images and points on disk, paired by name."""

import numpy as np
import pytest
from PIL import Image

from linnet.errors import ImageError, PointsError
from linnet.nuclei.points.annotations import read_annotated


@pytest.fixture
def plate(tmp_path):
    """Three images a, b, c; points for a (CSV) and b (CSV)."""
    images, points = tmp_path / "images", tmp_path / "points"
    images.mkdir()
    points.mkdir()
    for k, name in enumerate("abc"):
        Image.fromarray(np.full((8, 10), 10 * k, np.uint8)).save(images / f"{name}.png")
    (images / "notes.txt").write_text("not an image")
    (points / "a.csv").write_text("y,x\n1,2\n3,4\n")
    (points / "b.csv").write_text("x,y\n6,5\n")
    return images, points


def test_images_and_points_of_one_name_belong_together(plate):
    pixels, points = read_annotated(*plate)
    assert list(pixels) == ["a", "b"]  # c has no points and is left out
    assert pixels["b"].tolist() == np.full((8, 10), 10).tolist()
    assert points["a"].tolist() == [[1, 2], [3, 4]]
    assert points["b"].tolist() == [[5, 6]]


def test_one_image_and_one_file_of_points_belong_together_whatever_their_names(plate):
    images, points = plate
    pixels, truth = read_annotated(images / "c.png", points / "a.csv")
    assert list(pixels) == list(truth) == ["c"]
    assert truth["c"].tolist() == [[1, 2], [3, 4]]


def test_one_table_may_hold_the_points_of_several_images(plate, tmp_path):
    table = tmp_path / "all.csv"
    table.write_text("image,y,x\nb.png,1,1\nc.png,2,2\nb.png,3,3\n")
    pixels, truth = read_annotated(plate[0], table)
    assert sorted(pixels) == ["b", "c"]
    assert truth["b"].tolist() == [[1, 1], [3, 3]]


def test_label_images_give_their_centroids(plate, tmp_path):
    labels = np.zeros((8, 10), np.uint16)
    labels[1:4, 2:5], labels[6, 8] = 1, 2
    folder = tmp_path / "labels"
    folder.mkdir()
    Image.fromarray(labels).save(folder / "a.png")
    assert read_annotated(plate[0], folder)[1]["a"].tolist() == [[2, 3], [6, 8]]


def test_points_without_an_image_are_named(plate):
    images, points = plate
    (points / "zebra.csv").write_text("y,x\n1,1\n")
    with pytest.raises(PointsError, match="'zebra'"):
        read_annotated(images, points)


def test_a_folder_without_images_and_two_of_one_name_are_refused(plate, tmp_path):
    images, points = plate
    with pytest.raises(ImageError, match=r"\.png"):
        read_annotated(points, points)
    Image.fromarray(np.zeros((8, 10), np.uint8)).save(images / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif.*a\.png"):
        read_annotated(images, points)


def test_files_are_not_paired_by_being_alone(plate, tmp_path):
    images, points = plate
    for file in ("a.png", "b.png"):
        (images / file).unlink()
    with pytest.raises(PointsError, match="'a'"):  # the folder has c.png alone
        read_annotated(images, points / "a.csv")
    (points / "a.csv").rename(points / "c.csv")
    assert list(read_annotated(images, points / "c.csv")[0]) == ["c"]


def test_points_in_micrometres_take_the_pixel_size(plate):
    points = plate[1]
    (points / "a.csv").write_text("y_um,x_um\n1,2\n")
    with pytest.raises(PointsError, match="`pixel_size_um`"):
        read_annotated(*plate)
    assert read_annotated(*plate, pixel_size_um=0.5)[1]["a"].tolist() == [[2, 4]]
