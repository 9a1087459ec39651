"""scikit-learn's digits: small real images without a download."""

import numpy as np
import torch

from linnet.data.files import sha256
from linnet.data.image_set import ImageSet
from linnet.errors import MissingExtra


def digits() -> ImageSet:
    """1,797 handwritten digits, 8x8, one channel, as they come with scikit-learn.

    The stored values 0 .. 16 become 0 .. 255. The set has no official split; see `hold_out`.

    Raises:
        MissingExtra: scikit-learn isn't installed.

    Source:
        Alpaydin & Kaynak 1998 (the test part of their optical digits), distributed with scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as fault:
        raise MissingExtra(
            "The data set `digits` comes with scikit-learn, which isn't installed. Install it: pip install "
            '"linnet[digits]"'
        ) from fault
    pixels, labels = load_digits(return_X_y=True)
    images = np.round(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    return ImageSet(
        images=torch.from_numpy(images),
        labels=torch.from_numpy(labels.astype(np.int64)),
        classes=tuple("0123456789"),
        name="digits",
        digest=sha256(images.tobytes(), labels.astype(np.int64).tobytes()),
    )
