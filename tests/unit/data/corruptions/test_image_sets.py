"""Corrupted data sets: items in any order, image sets, and what is refused."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from linnet.data import Corrupted, ImageSet, corrupt, corrupt_set
from linnet.errors import InputError

IMAGES = torch.randint(0, 256, (6, 3, 10, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6) % 2


def test_items_are_corrupted_when_taken_and_the_order_does_not_matter():
    items = [(image.float() / 255, int(label)) for image, label in zip(IMAGES, LABELS, strict=True)]
    seen = Corrupted(items, "gaussian_noise", 3, rng_seed=2)
    whole = corrupt(IMAGES.float() / 255, "gaussian_noise", 3, rng_seed=2)
    assert len(seen) == 6
    for k in (5, 0, 3):
        image, label = seen[k]
        assert torch.equal(image, whole[k])
        assert label == LABELS[k]
    batches = list(DataLoader(seen, batch_size=4))
    assert torch.equal(torch.cat([images for images, _ in batches]), whole)


def test_an_image_set_keeps_its_labels_and_says_what_was_done():
    clean = ImageSet(IMAGES, LABELS, ("a", "b"), "six", "abc")
    found = corrupt_set(clean, "fog", 2)
    assert found.name == "six, generated fog 2"
    assert torch.equal(found.labels, LABELS)
    assert np.array_equal(found.images.permute(0, 2, 3, 1), corrupt(IMAGES.permute(0, 2, 3, 1), "fog", 2))
    assert len({found.digest, clean.digest, corrupt_set(clean, "fog", 2, rng_seed=1).digest}) == 3
    assert torch.equal(clean.images, IMAGES)


def test_bad_names_are_refused_at_once_and_bad_items_when_taken():
    with pytest.raises(InputError, match="`name`"):
        Corrupted([], "mist", 1)
    with pytest.raises(InputError, match="`severity`"):
        Corrupted([], "fog", 9)
    with pytest.raises(InputError, match=r"`items`.*list"):
        Corrupted([[1, 2, 3]], "fog", 1)[0]
    with pytest.raises(InputError, match="`images`"):
        Corrupted([(torch.zeros(4, 8, 8), 1)], "fog", 1)[0]
