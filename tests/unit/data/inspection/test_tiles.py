import numpy as np
import pytest
from PIL import Image

from linnet.data import magnetic_tiles
from linnet.errors import DataError, InputError

META = """image_id,label,split,duplicate_group
b,free,train,1
a,crack,train,2
c,fray,test,3
"""


def write(folder, meta=META):
    (folder / "images").mkdir()
    (folder / "meta.csv").write_text(meta)
    for k, name in enumerate("abc"):
        Image.fromarray(np.full((40 + k, 60), 50 * k, np.uint8)).save(folder / "images" / f"{name}.jpg")
    return folder


def test_tiles_are_squares_in_the_order_of_their_names(tmp_path):
    found = magnetic_tiles("train", root=write(tmp_path), side=24)
    assert found.labels.tolist() == [1, 0]
    assert found.image_shape == (1, 24, 24)
    assert found.images.flatten(1).float().mean(1).tolist() == pytest.approx([0, 50], abs=1)
    assert found.classes == ("good", "defect")


def test_bad_input_is_named(tmp_path):
    with pytest.raises(InputError, match="`side` must be a whole number"):
        magnetic_tiles("train", root=tmp_path, side=0)
    with pytest.raises(DataError, match=r"needs meta\.csv and images"):
        magnetic_tiles("train", root=tmp_path)
    write(tmp_path, META.replace("c,fray,test,3", "c,fray,test,2"))
    with pytest.raises(DataError, match="duplicate_group '2' must be in one split"):
        magnetic_tiles("test", root=tmp_path)
    (tmp_path / "meta.csv").write_text(META)
    with pytest.raises(DataError, match="lists no image of the split 'val'"):
        magnetic_tiles("val", root=tmp_path)
