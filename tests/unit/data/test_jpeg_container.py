import io

import numpy as np
import pytest
from PIL import Image

from linnet.data import cifar10_jpeg, data_root, read_jpeg_container
from linnet.errors import DataError


def stream(colour, size=(8, 8), form="JPEG"):
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, form, quality=95, subsampling=0) if form == "JPEG" else Image.new(
        "RGB", size, colour
    ).save(file, form)
    return file.getvalue()


def write(path, streams, labels, **changed):
    arrays = {
        "jpeg": np.frombuffer(b"".join(streams), dtype=np.uint8),
        "offset": np.cumsum([0, *map(len, streams)]).astype(np.int64),
        "label": np.array(labels, dtype=np.uint8),
    } | changed
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def test_images_keep_order_colour_and_label(tmp_path):
    path = write(tmp_path / "two.npz", [stream((255, 0, 0)), stream((0, 0, 255))], [1, 0])
    image_set = read_jpeg_container(path, classes=("blue", "red"))
    wanted = np.array([[255, 0, 0], [0, 0, 255]])
    # JPEG's colour space rounds: two grey levels.
    assert np.abs(image_set.images.numpy().astype(int) - wanted[:, :, None, None]).max() <= 2
    assert image_set.labels.tolist() == [1, 0]
    assert image_set.name == "two"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"offset": None}, "offset"),
        ({"label": np.array([1, 0], dtype=np.int64)}, "`label`.*int64"),
        ({"label": np.array([1], dtype=np.uint8)}, "3 offsets.*1 label"),
        ({"label": np.array([1, 9], dtype=np.uint8)}, r"label.*\b9\b"),
        ({"offset": np.array([0, 10, 9_999_999])}, "offsets"),
        ({"offset": np.array([0, -5, 20])}, "offsets"),
        ({"label": np.array([{}, {}], dtype=object)}, r"bad\.npz.*npz"),
    ],
)
def test_refuses_a_container_that_lies(tmp_path, changed, said):
    path = write(tmp_path / "bad.npz", [stream((255, 0, 0)), stream((0, 0, 255))], [1, 0], **changed)
    with pytest.raises(DataError, match=said) as caught:
        read_jpeg_container(path, classes=("blue", "red"))
    assert "bad.npz" in str(caught.value)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (stream((0, 0, 255), size=(8, 9)), "image 1.*8 x 9"),
        (stream((0, 0, 255), form="PNG"), "image 1.*JPEG"),
        (stream((0, 0, 255))[:300], "image 1.*JPEG"),
        (b"no picture", "image 1.*JPEG"),
    ],
)
def test_names_the_image_that_cannot_be_decoded(tmp_path, second, said):
    path = write(tmp_path / "bad.npz", [stream((255, 0, 0)), second], [1, 0])
    with pytest.raises(DataError, match=said):
        read_jpeg_container(path, classes=("blue", "red"))


@pytest.mark.parametrize("cut", [0, 4, 100, -30])
def test_refuses_a_truncated_file(tmp_path, cut):
    path = write(tmp_path / "whole.npz", [stream((255, 0, 0))], [0])
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"cut\.npz.*npz"):
        read_jpeg_container(tmp_path / "cut.npz", classes=("red",))


def test_refuses_a_known_name_with_other_content(tmp_path):
    write(tmp_path / "test.npz", [stream((255, 0, 0))], [0])
    with pytest.raises(DataError, match=r"test\.npz.*SHA-256"):
        cifar10_jpeg("test", root=tmp_path)


@pytest.mark.slow
def test_real_test_set():
    try:
        data_root()
    except DataError as missing:
        pytest.skip(str(missing))
    image_set = cifar10_jpeg("test")
    assert image_set.counts() == (800,) * 10
    assert image_set.image_shape == (3, 32, 32)
    # Channel means of CIFAR-10's training set are 0.491, 0.482, 0.447.
    assert np.allclose(image_set.channel_statistics()[0], (0.491, 0.482, 0.447), atol=0.01)
