"""Trained, narrowed, trained on: the loss curve is the masked twin's, on generated images."""

import torch
from torch import nn

from benchmarks.core.training import map_loss, trained
from linnet.models import ResNet, SmallUNet


def drawn(seed, *shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_one_course(course):
    """Both networks learn the same, less was kept, and the file is exact."""
    assert course.apart <= 1e-10
    assert course.kept < 0.8
    assert course.restored == 0.0
    assert len(course.before) == len(course.narrow) == len(course.masked)
    assert len(set(course.narrow)) == len(course.narrow)


def test_a_residual_network_narrowed_while_it_trains():
    def make():
        torch.manual_seed(0)
        return ResNet(input_shape=(1, 8, 8), classes=3, depth=8, width=4).double()

    batches = [(drawn(seed, 6, 1, 8, 8), torch.arange(6) % 3) for seed in range(3)]
    course = trained(make, batches, nn.functional.cross_entropy, steps=6)
    assert_one_course(course)
    [curve, file] = course.rows("digits", "a small network")
    assert curve.value <= curve.context["bound"]
    assert file.value == 0.0


def test_a_u_net_narrowed_while_it_trains():
    def make():
        torch.manual_seed(0)
        return SmallUNet(widths=(8, 8, 8), stem=8).double()

    batches = [(drawn(seed, 2, 3, 32, 32), (drawn(seed + 9, 2, 1, 16, 16) > 0.9).double()) for seed in range(3)]
    assert_one_course(trained(make, batches, map_loss, steps=6))
