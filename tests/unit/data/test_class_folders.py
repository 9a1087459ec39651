import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from linnet.data import image_folder
from linnet.errors import DataError, InputError


def save(path, value, size=(4, 3), mode="L"):
    path.parent.mkdir(exist_ok=True, parents=True)
    Image.new(mode, size, value).save(path)


@pytest.fixture
def folder(tmp_path):
    save(tmp_path / "set/dog/b.png", 20)
    save(tmp_path / "set/dog/a.png", 10)
    save(tmp_path / "set/cat/z.PNG", 30)
    return tmp_path / "set"


def test_sorted_classes_and_pictures(folder):
    (folder / ".hidden").mkdir()
    (folder / "dog/.DS_Store").touch()
    (folder / "dog/notes.txt").write_text("not a picture")
    image_set = image_folder(folder)
    assert image_set.classes == ("cat", "dog")
    assert image_set.labels.tolist() == [0, 1, 1]
    assert image_set.images[:, 0, 0, 0].tolist() == [30, 10, 20]
    assert image_set.image_shape == (1, 3, 4)
    assert image_set.name == "set"


def test_one_colour_picture_makes_all_three_channels(folder):
    save(folder / "cat/a.png", (1, 2, 3, 0), mode="RGBA")
    image_set = image_folder(folder)
    assert image_set.images[:, :, 0, 0].tolist() == [[1, 2, 3], [30, 30, 30], [10, 10, 10], [20, 20, 20]]


def test_digest_follows_content_and_names(folder):
    before = image_folder(folder).digest
    assert image_folder(folder).digest == before
    (folder / "dog/b.png").rename(folder / "dog/c.png")
    renamed = image_folder(folder).digest
    save(folder / "dog/c.png", 21)
    assert len({before, renamed, image_folder(folder).digest}) == 3


def test_other_sizes_are_named_or_resized(folder):
    save(folder / "dog/big.png", 40, size=(8, 6))
    with pytest.raises(DataError, match=r"big\.png.*6 x 8\n.*z\.PNG.*3 x 4.*`size`"):
        image_folder(folder)
    image_set = image_folder(folder, size=(3, 4))
    assert image_set.images[:, 0].amax((1, 2)).tolist() == [30, 10, 20, 40]
    with pytest.raises(InputError, match="`size`"):
        image_folder(folder, size=(0, 4))


def test_shrinking_averages_the_area(tmp_path):
    checks = (np.indices((8, 8)).sum(0) % 2 * 200).astype(np.uint8)
    (tmp_path / "a").mkdir()
    Image.fromarray(checks).save(tmp_path / "a/checks.png")
    image_set = image_folder(tmp_path, size=(2, 2))
    assert (image_set.images.int() - 100).abs().max() <= 8  # a nearest pixel would be 0 or 200


def bomb():
    """A PNG header of 100,000 x 100,000 pixels and the beginning of its first piece."""
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    check = struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + b"IHDR"
        + header
        + check
        + struct.pack(">I", 8)
        + b"IDAT"
        + bytes(12)
    )


def test_all_unreadable_pictures_are_named_at_once(folder):
    whole = (folder / "dog/a.png").read_bytes()
    (folder / "dog/cut.png").write_bytes(whole[:-25])
    (folder / "dog/empty.png").touch()
    (folder / "dog/text.png").write_text("hello, world")
    (folder / "dog/bomb.png").write_bytes(bomb())
    save(folder / "dog/deep.png", 1000, mode="I;16")
    with pytest.raises(DataError) as caught:
        image_folder(folder)
    said = str(caught.value)
    assert "5 of 8" in said
    assert "cut.png" in said
    assert "empty.png" in said
    assert "b'hello, w'" in said
    assert "bomb.png" in said
    assert "deep.png" in said


def test_a_long_list_is_cut(folder):
    for index in range(20):
        (folder / f"cat/{index:02}.png").write_text("no")
    with pytest.raises(DataError, match=r"(?s)20 of 23.*07\.png.*12 more") as caught:
        image_folder(folder)
    assert "08.png" not in str(caught.value)


def test_folders_without_classes_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"/none\b"):
        image_folder(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"/file\b"):
        image_folder(tmp_path / "file")
    with pytest.raises(DataError, match="sub-folder"):
        image_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"/empty\b"):
        image_folder(tmp_path)
