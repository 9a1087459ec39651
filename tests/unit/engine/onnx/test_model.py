import pytest
import torch
from torch import nn

from linnet.core import resize
from linnet.core.channels.graph import ChannelGraph
from linnet.core.program.example import Example
from linnet.engine.onnx.model import batch_of, example_of, still
from linnet.errors import InputError


def test_a_still_network_is_a_copy_in_eval_mode_and_float32():
    net = nn.Sequential(nn.Linear(3, 2), nn.Dropout(), nn.BatchNorm1d(2)).double()
    x = torch.randn(5, 3, dtype=torch.float64)
    plain = still(net)
    assert net.training
    assert all(p.requires_grad and p.dtype == torch.float64 for p in net.parameters())
    assert not any(module.training for module in plain.modules())
    assert not any(p.requires_grad for p in plain.parameters())
    assert plain[2].num_batches_tracked.dtype == torch.int64  # whole numbers stay what they are
    torch.testing.assert_close(plain(x.float()).double(), net.eval()(x), rtol=1e-5, atol=1e-6)


def test_hooks_come_along():
    net = nn.Linear(3, 2)
    net.register_forward_hook(lambda module, given, out: 2 * out)
    x = torch.randn(4, 3)
    assert torch.equal(still(net)(x), net(x))


def test_a_batch_has_drawn_floats_and_repeats_the_first_sample_of_the_rest():
    example = Example.of((torch.zeros(1, 3, dtype=torch.float64), torch.tensor([[7, 8]]), torch.tensor(2.0)))
    floats, tokens, scale = batch_of(example, 4, torch.ones).args
    assert torch.equal(floats, torch.ones(4, 3))
    assert tokens.tolist() == [[7, 8]] * 4
    assert scale.shape == ()
    assert scale.dtype == torch.float32


def test_the_example_is_the_given_one_or_that_of_the_edit():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1))
    x = torch.zeros(1, 3, 5, 5)
    small = resize(net, ChannelGraph(net, x), {"0": [1, 0, 1, 0]})
    assert example_of(net, torch.zeros(1, 3, 8, 8)).args[0].shape == (1, 3, 8, 8)
    assert example_of(small, None).args[0].shape == (1, 3, 5, 5)
    with pytest.raises(InputError, match="`example`"):
        example_of(net, None)
