import numpy as np
import pytest
from PIL import Image

from linnet.data import data_root, read_nucleus_set, split_digest
from linnet.errors import DataError

META = """image_id,split,group,mosaic_id
b,train,small_fluo,m1
a,train,small_fluo,m1
c,test,gray_tissue,m2
"""
CENTROIDS = """image_id,label,y,x
a,1,1.5,2.25
b,1,3,4
a,2,0,0
zzz,1,9,9
"""


def write(folder, meta=META, centroids=CENTROIDS, images="abc"):
    (folder / "images").mkdir()
    (folder / "meta.csv").write_text(meta)
    (folder / "centroids.csv").write_text(centroids)
    for k, name in enumerate(images):
        Image.fromarray(np.full((4, 5), k, np.uint8)).save(folder / "images" / f"{name}.png")
    return folder


def test_images_are_read_sorted_with_their_points(tmp_path):
    images = read_nucleus_set(write(tmp_path))
    assert [(i.image_id, i.split, i.group, i.mosaic_id) for i in images] == [
        ("a", "train", "small_fluo", "m1"),
        ("b", "train", "small_fluo", "m1"),
        ("c", "test", "gray_tissue", "m2"),
    ]
    assert [i.points.tolist() for i in images] == [[[1.5, 2.25], [0, 0]], [[3, 4]], []]
    assert images[2].points.shape == (0, 2)
    assert images[1].pixels().tolist() == np.full((4, 5), 1).tolist()
    assert [i.image_id for i in read_nucleus_set(tmp_path, "test")] == ["c"]


def test_the_digest_tells_splits_apart_and_not_their_order(tmp_path):
    images = read_nucleus_set(write(tmp_path))
    assert split_digest(images) == split_digest(images[::-1])
    assert split_digest(images) != split_digest(images[:2])
    assert len(split_digest(images)) == 64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"meta": META.replace("mosaic_id", "mosaic")}, r"meta\.csv.*mosaic_id"),
        ({"meta": ""}, r"meta\.csv.*image_id, split, group, mosaic_id"),
        ({"meta": META.replace("c,test,gray_tissue,m2", "c,test,gray_tissue,m1")},
         "'m1'.*'train'.*'test'"),
        ({"images": "ab"}, r"c\.png.*meta\.csv"),
        ({"centroids": CENTROIDS.replace("3,4", "3,four")},
         r"centroids\.csv.*'four'"),
        ({"centroids": CENTROIDS.replace("3,4", "3")}, r"centroids\.csv.*None"),
        ({"centroids": CENTROIDS.replace("3,4", "nan,4")}, r"centroids\.csv.*'nan'"),
    ],
)  # fmt: skip
def test_a_bad_set_is_refused(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        read_nucleus_set(write(tmp_path, **options))


def test_files_that_are_missing_or_no_text_are_named(tmp_path):
    with pytest.raises(DataError, match=r"meta\.csv.*No such file or directory"):
        read_nucleus_set(tmp_path)
    write(tmp_path)
    (tmp_path / "meta.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match=r"meta\.csv.*utf-8"):
        read_nucleus_set(tmp_path)


def test_an_unknown_split_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(DataError, match=r"split.*'dev'"):
        read_nucleus_set(write(tmp_path), "dev")


def test_an_image_that_is_none_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / "images" / "a.png").write_text("no image")
    with pytest.raises(DataError, match=r"a\.png"):
        read_nucleus_set(tmp_path)[0].pixels()


def test_the_real_set():
    try:
        root = data_root()
    except DataError as error:
        pytest.skip(str(error))
    sides = {side: read_nucleus_set(root / "nuclei_dsb2018", side) for side in ("train", "val", "test")}
    assert {side: len(images) for side, images in sides.items()} == {"train": 467, "val": 65, "test": 110}
    mosaics = {side: {i.mosaic_id for i in images} for side, images in sides.items()}
    assert {side: len(m) for side, m in mosaics.items()} == {"train": 152, "val": 39, "test": 58}
    for image in sides["val"][:5]:
        pixels = image.pixels()
        assert pixels.dtype == np.uint8
        assert ((image.points >= -0.5) & (image.points < np.array(pixels.shape[:2]) - 0.5)).all()
