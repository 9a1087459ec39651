"""Full float32 inside a block, and what was chosen before afterwards."""

import pytest
import torch

from linnet.core.linalg.precision import full_float32

products, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn.conv


@pytest.fixture
def chosen():
    before = products.fp32_precision, convolutions.fp32_precision
    products.fp32_precision = convolutions.fp32_precision = "tf32"
    yield
    products.fp32_precision, convolutions.fp32_precision = before


def test_the_choice_from_before_comes_back(chosen):
    seen = []

    def fails():
        with full_float32():
            seen.append((products.fp32_precision, convolutions.fp32_precision))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert seen == [("ieee", "ieee")]
    assert (products.fp32_precision, convolutions.fp32_precision) == ("tf32", "tf32")


def test_a_choice_by_torchs_older_names_comes_back_too(chosen):
    torch.set_float32_matmul_precision("medium")
    with full_float32():
        assert products.fp32_precision == "ieee"
    assert torch.get_float32_matmul_precision() == "medium"
    assert torch.backends.cuda.matmul.allow_tf32
    torch.set_float32_matmul_precision("highest")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_products_on_a_gpu_are_in_full_float32(chosen):
    a = torch.randn(256, 256, device="cuda")
    with full_float32():
        exact = a @ a
    wanted = (a.double() @ a.double()).float()
    assert (exact - wanted).abs().max() < 1e-4
