"""Sizes, strides and types of the commonest operators, beside torch's own meta forms."""

import pytest
import torch
from torch.utils import _pytree

from linnet.core.program import recorder
from linnet.core.program.meta_kernels import _FORMS, empty_result
from tests.zoo import ZOO

aten = torch.ops.aten


def of(*shape, dtype=torch.float32):
    return torch.empty(shape, dtype=dtype, device="meta")


X, Y = of(2, 6, 9, 8), of(2, 6, 9, 8)
IMAGE_2 = [2, 2]
CALLS = [
    (aten.relu.default, (X,)),
    (aten.gelu.default, (of(3, 5, dtype=torch.float64),)),
    (aten.add.Tensor, (X, Y)),
    (aten.add.Tensor, (of(6, 1, 1), X)),
    (aten.mul.Tensor, (X, of(2, 6, 1, 1))),
    (aten.div.Tensor, (X, of(8))),
    (aten.mul_.Tensor, (X, of(2, 6, 1, 1))),
    (aten.hardtanh_.default, (X, 0.0, 6.0)),
    (aten._softmax.default, (X, 1, False)),
    (aten._prelu_kernel.default, (X, of(1, 6, 1, 1))),
    (aten.convolution.default, (X, of(4, 6, 3, 2), of(4), [2, 1], [1, 0], [1, 2], False, [0, 0], 1)),
    (aten.convolution.default, (X, of(4, 3, 3, 3), None, [1, 1], [1, 1], [1, 1], False, [0, 0], 2)),
    (aten.convolution.default, (X, of(6, 2, 3, 3), of(4), [3, 2], [1, 0], [2, 1], True, [1, 0], 2)),
    (aten.convolution.default, (of(2, 3, 7), of(4, 3, 3), None, [1], [1], [1], False, [0], 1)),
    (
        aten.convolution.default,
        (of(2, 3, 5, 6, 7), of(4, 3, 3, 3, 3), None, [1] * 3, [0] * 3, [1] * 3, False, [0] * 3, 1),
    ),
    (aten.native_layer_norm.default, (X, [9, 8], of(9, 8), None, 1e-5)),
    (aten.mean.dim, (X, [2, -1], False)),
    (aten.mean.dim, (X, [1], True)),
    (aten.sum.dim_IntList, (X, [0])),
    (aten.cat.default, ([X, of(2, 3, 9, 8)], 1)),
    (aten.cat.default, ([X, Y], -1)),
    (aten.max_pool2d_with_indices.default, (X, [3, 3], [2, 2], [1, 1], [1, 1], False)),
    (aten.max_pool2d_with_indices.default, (X, [2, 2])),
    (aten.avg_pool2d.default, (X, [3, 2], [], [1, 0])),
    (aten._adaptive_avg_pool2d.default, (X, [3, 4])),
    (aten.upsample_bilinear2d.default, (X, [18, 17], False, None, None)),
    (aten.upsample_nearest2d.default, (X, [18, 16], 2.0, 2.0)),
    (aten.mm.default, (of(3, 4), of(5, 4).t())),
    (aten.bmm.default, (of(2, 3, 4), of(2, 4, 5))),
    (aten.addmm.default, (of(5), of(3, 4), of(5, 4).t())),
]


def assert_same_result(mine, theirs):
    for ours, other in zip(_pytree.tree_leaves(mine), _pytree.tree_leaves(theirs), strict=True):
        assert (ours.shape, ours.stride(), ours.dtype, ours.device) == (
            other.shape, other.stride(), other.dtype, other.device,
        )  # fmt: skip


@pytest.mark.parametrize(("func", "args"), CALLS, ids=lambda value: value.name() if hasattr(value, "name") else "")
def test_a_result_is_torchs_own(func, args):
    mine = empty_result(func, args, {})
    assert mine is not None
    assert_same_result(mine, func(*args))


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (aten.relu.default, (X.to(memory_format=torch.channels_last),)),
        (aten.relu.default, (of(3, dtype=torch.int64),)),
        (aten.relu.default, (torch.zeros(3),)),
        (aten.add.Tensor, (X, 1.0)),
        (aten.add.Tensor, (X, of(2, 6, 9, 8, dtype=torch.float64))),
        (aten.add.Tensor, (X, of(3, 6, 9, 8))),
        (aten.add.Tensor, (of(2, 1), of(1, 3))),
        (aten.convolution.default, (X, of(4, 5, 3, 3), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)),
        (aten.convolution.default, (X, of(4, 6, 10, 3), None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)),
        (aten.convolution.default, (X, of(4, 6, 3, 3), of(5), [1, 1], [0, 0], [1, 1], False, [0, 0], 1)),
        (aten.native_batch_norm.default, (X, of(6), of(6), of(6), of(6), True, 0.1, 1e-5)),
        (aten.native_layer_norm.default, (X, [8, 9], None, None, 1e-5)),
        (aten.cat.default, ([X, of(2, 6, 9, 7)], 1)),
        (aten.max_pool2d_with_indices.default, (X, [3, 3], [2, 2], [1, 1], [1, 1], True)),
        (aten.avg_pool2d.default, (X, [3, 3], [2, 2], [0, 0], True)),
        (aten.mm.default, (of(3, 4), of(5, 4))),
        (aten.addmm.default, (of(4), of(3, 4), of(4, 5))),
        (aten.sin.default, (X,)),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_torch(func, args):
    assert empty_result(func, args, {}) is None


def test_a_norm_in_eval_mode_keeps_the_size_of_its_input():
    out, *_ = empty_result(aten.native_batch_norm.default, (X, of(6), of(6), of(6), of(6), False, 0.1, 1e-5), {})
    assert_same_result(out, X)


def test_every_form_gives_what_torch_gives_on_the_zoo(monkeypatch):
    used = set()

    def both(func, args, kwargs):
        mine = empty_result(func, args, kwargs)
        if mine is not None:
            used.add(func)
            first = func is aten.native_batch_norm.default  # eval mode: its other outputs are never used
            theirs = func(*args, **kwargs)
            assert_same_result(mine[0] if first else mine, theirs[0] if first else theirs)
        return mine

    monkeypatch.setattr(recorder, "empty_result", both)
    for entry in ZOO.values():
        recorder.record(entry.make(), entry.example())
    assert len(used & set(_FORMS)) > 20


def test_sizes_that_do_not_fit_get_torchs_own_message():
    net = torch.nn.Conv2d(3, 4, 3)
    with pytest.raises(Exception, match=r"example.*\(1, 5, 8, 8\)"):
        recorder.record(net, torch.zeros(1, 5, 8, 8))
