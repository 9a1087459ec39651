import numpy as np
import pytest
import torch

from linnet.data import ImageSet, digits, hold_out
from linnet.errors import DataError, InputError, MissingExtra


def make(labels, classes=3):
    count = len(labels)
    images = torch.arange(count * 4, dtype=torch.uint8).reshape(count, 1, 2, 2)
    return ImageSet(images, torch.tensor(labels), tuple("abcdef"[:classes]), "made", "0")


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (torch.zeros(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64), "images.*float32"),
        (torch.zeros(2, 2, 2, dtype=torch.uint8), torch.zeros(2, dtype=torch.int64), r"images.*\(2, 2, 2\)"),
        (torch.zeros(0, 1, 2, 2, dtype=torch.uint8), torch.zeros(0, dtype=torch.int64), r"images.*\(0, 1, 2, 2\)"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(2), "labels.*float32"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.zeros(3, dtype=torch.int64), r"labels.*\(3,\)"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.tensor([0, 3]), "labels.*0 to 3"),
        (torch.zeros(2, 1, 2, 2, dtype=torch.uint8), torch.tensor([-1, 0]), "labels.*-1"),
    ],
)
def test_refuses_what_is_no_set(images, labels, said):
    with pytest.raises(DataError, match=said):
        ImageSet(images, labels, ("a", "b", "c"), "made", "0")


def test_channel_statistics_are_exact():
    images = torch.randint(0, 256, (5, 2, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    image_set = ImageSet(images, torch.zeros(5, dtype=torch.int64), ("a",), "made", "0")
    mean, deviation = image_set.channel_statistics()
    wanted = images.double().numpy() / 255
    assert np.allclose(mean, wanted.mean(axis=(0, 2, 3)), rtol=0, atol=1e-12)
    assert np.allclose(deviation, wanted.std(axis=(0, 2, 3)), rtol=0, atol=1e-12)


def test_take_keeps_order_and_changes_the_digest():
    image_set = make([0, 1, 2, 1])
    taken = image_set.take([3, 0])
    assert taken.labels.tolist() == [1, 0]
    assert taken.images[:, 0, 0, 0].tolist() == [12, 0]
    assert len({image_set.digest, taken.digest, image_set.take([0, 3]).digest}) == 3


def test_hold_out_divides_each_class():
    labels = [0] * 10 + [1] * 4 + [2]
    rest, held = hold_out(make(labels), 0.25, rng_seed=3)
    assert rest.counts() == (8, 3, 1)
    assert held.counts() == (2, 1, 0)
    pixels = torch.cat([rest.images, held.images])[:, 0, 0, 0].sort().values
    assert pixels.tolist() == make(labels).images[:, 0, 0, 0].tolist()
    assert held.images[:, 0, 0, 0].tolist() == sorted(held.images[:, 0, 0, 0].tolist())


def test_hold_out_follows_its_seed():
    image_set = make([0, 1] * 30)
    again = [hold_out(image_set, 0.5, rng_seed=seed)[1].digest for seed in (1, 1, 2)]
    assert again[0] == again[1] != again[2]


def test_hold_out_refuses_what_it_cannot_do():
    with pytest.raises(InputError, match="`fraction`"):
        hold_out(make([0, 0]), 1, rng_seed=0)
    with pytest.raises(InputError, match="class"):
        hold_out(make([0, 1, 2]), 0.5, rng_seed=0)


def test_digits_are_scikit_learns():
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn isn't installed")
    image_set = digits()
    stored = datasets.load_digits()
    assert np.abs(image_set.images[:, 0].numpy() / 255 * 16 - stored.images).max() <= 16 / 255 / 2
    assert image_set.labels.tolist() == stored.target.tolist()
    assert (int(image_set.images.max()), len(image_set)) == (255, 1797)


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(MissingExtra, match=r"pip install \"linnet\[digits\]\""):
        digits()
