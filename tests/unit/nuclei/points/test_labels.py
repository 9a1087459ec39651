"""Label images whose numbers don't stand for one nucleus each are refused with the reason."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from linnet.errors import LinnetError, PointsError
from linnet.nuclei.points.readers import read_points


def field(n, step=12, side=7):
    """n square nuclei, numbered from 1, in rows."""
    across = int(np.ceil(np.sqrt(n)))
    labels = np.zeros((across * step, across * step), np.int64)
    for k in range(n):
        y, x = divmod(k, across)
        labels[y * step + 2 : y * step + 2 + side, x * step + 2 : x * step + 2 + side] = k + 1
    return labels


def test_labels_wrapped_at_255(tmp_path):
    labels = field(400)
    tifffile.imwrite(tmp_path / "a.tif", labels.astype(np.uint16))
    assert len(read_points(tmp_path / "a.tif")) == 400
    wrapped = ((labels - 1) % 255 + 1) * (labels > 0)
    Image.fromarray(wrapped.astype(np.uint8)).save(tmp_path / "b.png")
    with pytest.raises(PointsError, match="up to 255 and begin again"):
        read_points(tmp_path / "b.png")
    Image.fromarray(labels.astype(np.uint8)).save(tmp_path / "c.png")  # 256 became background
    with pytest.raises(PointsError, match="up to 255"):
        read_points(tmp_path / "c.png")


def test_labels_wrapped_at_65535(tmp_path):
    labels = field(70_000, step=3, side=2)
    tifffile.imwrite(tmp_path / "a.tif", labels.astype(np.uint16), compression="zlib")
    with pytest.raises(PointsError, match="up to 65,535 and begin again"):
        read_points(tmp_path / "a.tif")


def test_tiles_that_were_numbered_apart(tmp_path):
    tile = field(50)
    tifffile.imwrite(tmp_path / "a.tif", np.tile(tile, (2, 2)).astype(np.uint16))
    with pytest.raises(PointsError, match="tiles"):
        read_points(tmp_path / "a.tif")


def test_classes_are_no_labels(tmp_path):
    labels = field(40)
    Image.fromarray((labels % 3 + (labels > 0)).astype(np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(PointsError, match="classes"):
        read_points(tmp_path / "a.png")


def test_a_nucleus_in_two_near_pieces_and_one_stray_stay_labels(tmp_path):
    labels = field(60)
    labels[2:9, 5] = 0  # the first nucleus is cut
    labels[-1, -1] = 7  # a speck of another
    tifffile.imwrite(tmp_path / "a.tif", labels.astype(np.uint16))
    assert len(read_points(tmp_path / "a.tif")) == 60


def test_stacks_are_refused(tmp_path):
    stack = np.stack([field(9)] * 5).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    with pytest.raises(LinnetError, match="5 pages"):
        read_points(tmp_path / "a.tif")
    np.save(tmp_path / "b.npy", stack)
    with pytest.raises(PointsError, match=r"stack.*5 x 36 x 36"):
        read_points(tmp_path / "b.npy")


def test_the_indices_of_a_palette_are_the_labels(tmp_path):
    labels = field(40).astype(np.uint8)
    palette = np.random.default_rng(0).integers(0, 255, 768, dtype=np.uint8)
    picture = Image.fromarray(labels).convert("P")
    picture.putdata(labels.ravel().tolist())
    picture.putpalette(palette.tobytes())
    picture.save(tmp_path / "a.png")
    tifffile.imwrite(
        tmp_path / "b.tif", labels, photometric="palette", colormap=palette.reshape(3, 256).astype(np.uint16) * 257
    )
    expected = read_points_of(labels, tmp_path)
    for name in ("a.png", "b.tif"):
        assert np.array_equal(read_points(tmp_path / name), expected)


def read_points_of(labels, folder):
    np.save(folder / "plain.npy", labels)
    return read_points(folder / "plain.npy")


def test_arrays_of_numpy(tmp_path):
    np.save(tmp_path / "points.npy", np.array([[1.5, 2.5], [3, 4]]))
    assert read_points(tmp_path / "points.npy").tolist() == [[1.5, 2.5], [3, 4]]
    np.save(tmp_path / "seg.npy", {"masks": field(4)}, allow_pickle=True)
    with pytest.raises(PointsError, match=r"_seg\.npy.*masks alone"):
        read_points(tmp_path / "seg.npy")
    np.save(tmp_path / "three.npy", np.zeros((4, 3, 3)))
    with pytest.raises(PointsError, match="stack"):
        read_points(tmp_path / "three.npy")
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(PointsError, match="array"):
        read_points(tmp_path / "broken.npy")
