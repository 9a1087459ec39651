import numpy as np
import pytest
from PIL import Image

from linnet.data import circuit_boards
from linnet.data.inspection.boards import GROUPS, board_patches
from linnet.errors import DataError, InputError


def write(folder, *, box="10,20,40,50"):
    """Three boards, one of each side, striped, with one defect each: a grey square that occurs nowhere else."""
    (folder / "images").mkdir()
    stripes = np.tile(np.repeat(np.array([0, 255], np.uint8), 8), 20)[None].repeat(320, 0)
    stripes[10:40, 20:50] = 77
    meta, boxes = ["image_id,board_group"], ["image_id,y1,x1,y2,x2,label"]
    for name, groups in GROUPS.items():
        Image.fromarray(stripes).save(folder / "images" / f"{name}_test.png")
        meta.append(f"{name},{groups[0]}")
        boxes.append(f"{name},{box},open")
    (folder / "meta.csv").write_text("\n".join(meta) + "\n")
    (folder / "boxes.csv").write_text("\n".join(boxes) + "\n")
    return folder


def test_a_patch_with_a_defect_holds_all_of_it_and_a_good_one_none(tmp_path):
    found = circuit_boards("train", root=write(tmp_path), side=64)
    assert found.counts() == (1, 1)
    assert (found.images[found.labels == 1] == 77).sum() == 30 * 30
    assert not (found.images[found.labels == 0] == 77).any()


def test_pixels_are_means_of_the_board():
    picture = np.zeros((64, 64), np.uint8)
    picture[:, 32:] = 255
    good, defect = board_patches(picture, [(0, 0, 64, 64), (0, 0, 70, 10)], np.random.default_rng(0))
    assert np.array_equal(defect[0], picture)  # the second box is too large
    assert (len(defect), good) == (1, [])  # there is no clean place


def test_no_group_of_boards_is_on_two_sides():
    groups = [group for side in GROUPS.values() for group in side]
    assert len(groups) == len(set(groups)) == 8


def test_patches_are_the_same_at_every_call_and_reduced(tmp_path):
    write(tmp_path)
    first, second = (circuit_boards("val", root=tmp_path, side=16) for _ in range(2))
    assert first.digest == second.digest
    assert (first.images == second.images).all()
    assert first.image_shape == (1, 16, 16)
    assert (circuit_boards("test", root=tmp_path, side=16).images != first.images).any()  # other places


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InputError, match="`split` must be one of"):
        circuit_boards("validation", root=tmp_path)
    with pytest.raises(InputError, match="`side` must divide 64"):
        circuit_boards("train", root=tmp_path, side=24)
    with pytest.raises(DataError, match=r"needs meta\.csv, boxes\.csv and images"):
        circuit_boards("train", root=tmp_path)
    with pytest.raises(DataError, match="y1 < y2 and x1 < x2"):
        circuit_boards("train", root=write(tmp_path, box="40,20,10,50"))
    (tmp_path / "images" / "train_test.png").unlink()
    write_again = (tmp_path / "boxes.csv").read_text().replace("40,20,10,50", "10,20,40,50")
    (tmp_path / "boxes.csv").write_text(write_again)
    with pytest.raises(DataError, match="isn't a readable image"):
        circuit_boards("train", root=tmp_path)
    (tmp_path / "meta.csv").write_text("image_id,board_group\na,groupX\n")
    with pytest.raises(DataError, match="has no boards"):
        circuit_boards("train", root=tmp_path)
