import gzip
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnet.data import data_root, fashion_mnist, idx, mnist, read_idx
from linnet.errors import DataError, InputError


def packed(array):
    array = np.asarray(array, dtype=np.uint8)
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_set(folder, images, labels, stem="train"):
    folder.mkdir(exist_ok=True)
    (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(packed(images)))
    (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(packed(labels)))
    return folder


@pytest.fixture
def unknown_files(monkeypatch):
    """Takes the checksums away, so that small made-up files can stand for the real ones."""
    monkeypatch.setattr(idx, "_KNOWN", {"mnist": {}, "fashion_mnist": {}})


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reads_values_in_row_order(tmp_path, pack):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(pack(packed(array)))
    assert np.array_equal(read_idx(tmp_path / "a"), array)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "nothing"),
        (b"\x89PNG\r\n", "89 50 4e 47"),
        (b"\0\0\x07\x01\0\0\0\0", "00 00 07 01"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "float32"),
        (b"\0\0\x08\x03\0\0\0\x01", "header"),
        (b"\0\0\x08\x00", "dimensions.*0"),
        (struct.pack(">BBBBII", 0, 0, 8, 2, 3, 4) + b"\0" * 11, "12 bytes.*11"),
        (struct.pack(">BBBBII", 0, 0, 8, 2, 3, 4) + b"\0" * 13, "12 bytes.*13"),
        (struct.pack(">BBBBIII", 0, 0, 8, 3, 2**31, 2**31, 2**31), r"2147483648.*\b0\b"),
    ],
)
def test_refuses_what_is_no_idx_file_of_bytes(tmp_path, content, said):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        read_idx(tmp_path / "bad")
    assert str(tmp_path / "bad") in str(caught.value)


@pytest.mark.parametrize("cut", [5, 12, -9, -1])
def test_refuses_truncated_gzip(tmp_path, cut):
    (tmp_path / "cut.gz").write_bytes(gzip.compress(packed(np.arange(200, dtype=np.uint8)))[:cut])
    with pytest.raises(DataError, match=r"cut\.gz.*gzip"):
        read_idx(tmp_path / "cut.gz")


def test_refuses_gzip_with_a_flipped_bit(tmp_path):
    content = bytearray(gzip.compress(packed(np.arange(200, dtype=np.uint8))))
    content[-6] ^= 1  # in the checksum
    (tmp_path / "flipped.gz").write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"flipped\.gz.*gzip"):
        read_idx(tmp_path / "flipped.gz")


def test_missing_file_says_what_lies_there(tmp_path):
    (tmp_path / "other.gz").touch()
    with pytest.raises(DataError, match=r"none\.gz.*other\.gz"):
        read_idx(tmp_path / "none.gz")
    with pytest.raises(DataError, match="directory"):
        read_idx(tmp_path)


@settings(deadline=None)
@given(st.binary(max_size=64))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "x"
    path.write_bytes(content)
    try:
        array = read_idx(path)
    except DataError:
        return
    assert packed(array) == content


@pytest.mark.usefixtures("unknown_files")
def test_images_and_labels_become_a_set(tmp_path):
    images = np.arange(2 * 3 * 3).reshape(2, 3, 3)
    image_set = mnist("train", root=write_set(tmp_path, images, [7, 1]))
    assert torch.equal(image_set.images[:, 0], torch.from_numpy(images.astype(np.uint8)))
    assert image_set.labels.tolist() == [7, 1]
    assert (image_set.name, image_set.classes[7], image_set.image_shape) == ("mnist", "7", (1, 3, 3))


@pytest.mark.usefixtures("unknown_files")
def test_shorter_test_files_are_preferred(tmp_path):
    write_set(tmp_path, np.zeros((3, 2, 2)), [1, 2, 3], stem="t10k")
    assert fashion_mnist("test", root=tmp_path).labels.tolist() == [1, 2, 3]
    write_set(tmp_path, np.zeros((2, 2, 2)), [4, 5], stem="test8k")
    assert fashion_mnist("test", root=tmp_path).labels.tolist() == [4, 5]


@pytest.mark.usefixtures("unknown_files")
def test_refuses_parts_that_do_not_belong_together(tmp_path):
    with pytest.raises(DataError, match=r"2 images.*3 labels"):
        mnist("train", root=write_set(tmp_path / "a", np.zeros((2, 2, 2)), [1, 2, 3]))
    with pytest.raises(DataError, match=r"train-labels-idx1-ubyte.*dimension"):
        mnist("train", root=write_set(tmp_path / "b", np.zeros((2, 2, 2)), [[1], [2]]))
    with pytest.raises(DataError, match=r"labels.*10"):
        mnist("train", root=write_set(tmp_path / "c", np.zeros((2, 2, 2)), [1, 10]))
    with pytest.raises(InputError, match="`split`"):
        mnist("val", root=tmp_path)


def test_refuses_a_known_name_with_other_content(tmp_path):
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.*SHA-256"):
        mnist("train", root=write_set(tmp_path, np.zeros((2, 2, 2)), [1, 2]))


@pytest.mark.parametrize(("read", "first"), [(mnist, [7, 2, 1, 0]), (fashion_mnist, [9, 2, 1, 1])])
def test_real_test_set(read, first):
    try:
        data_root()
    except DataError as missing:
        pytest.skip(str(missing))
    image_set = read("test")
    assert image_set.labels[:4].tolist() == first  # the well-known first labels of both test sets
    assert len(image_set) in (8000, 10000)
    assert image_set.image_shape == (1, 28, 28)
    assert min(image_set.counts()) > 600
