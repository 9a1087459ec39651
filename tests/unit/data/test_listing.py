import numpy as np
import pytest
from PIL import Image

from linnet.data.listing import grey, rows
from linnet.errors import DataError


def test_lines_are_read_by_the_names_of_their_columns(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    assert rows(tmp_path / "a.csv", ("y",), "") == [{"x": "1", "y": "2"}]
    with pytest.raises(DataError, match="must have the column z"):
        rows(tmp_path / "a.csv", ("z",), "")
    with pytest.raises(DataError, match=r"No such file or directory.*It needs a\.csv"):
        rows(tmp_path / "b.csv", (), "It needs a.csv.")


def test_one_bit_pictures_are_black_and_white(tmp_path):
    Image.fromarray(np.eye(3, dtype=bool)).save(tmp_path / "a.png")
    assert grey(tmp_path / "a.png").tolist() == (255 * np.eye(3, dtype=int)).tolist()
