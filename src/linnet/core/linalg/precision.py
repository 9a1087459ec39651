"""Full float32 on CUDA, where torch may shorten the mantissas of products to 10 bits (TF32)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def full_float32() -> Iterator[None]:
    """Matrix products and convolutions are computed in full float32 inside the block, without TF32."""
    products: Any = torch.backends.cuda.matmul
    convolutions: Any = torch.backends.cudnn.conv  # pyright: ignore[reportAttributeAccessIssue]  it is made at run time
    before = products.fp32_precision, convolutions.fp32_precision
    products.fp32_precision = convolutions.fp32_precision = "ieee"
    try:
        yield
    finally:
        products.fp32_precision, convolutions.fp32_precision = before
