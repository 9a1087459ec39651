import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from linnet.errors import InputError
from linnet.jet import BinaryConv2d, BinaryLinear, JetConv2d, Sign, kernel_family


def dense_kernels(layer):
    """Slow twin: every kernel from its taps, by numpy's convolution."""
    bits = np.where(layer.latents.detach().numpy() >= 0, 1, -1)
    out = np.empty((layer.cout, layer.cin, layer.kernel_size, layer.kernel_size), int)
    for o in range(layer.cout):
        for c in range(layer.cin):
            rows = []
            for axis in range(2):
                row = np.ones(1, int)
                for tap in bits[o, c, axis]:
                    row = np.convolve(row, tap if layer.taps == "free" else [1, *tap])
                rows.append(row)
            out[o, c] = np.outer(*rows)
    return out


@pytest.mark.parametrize("size", kernel_family.SIZES)
@pytest.mark.parametrize("taps", ["free", "first_one"])
def test_kernels_are_the_product_of_their_taps_and_kinds_name_them(size, taps):
    layer = JetConv2d(3, 7, size, taps)
    kernels = layer.kernels()
    assert kernels.dtype == torch.int8
    np.testing.assert_array_equal(kernels.numpy(), dense_kernels(layer))
    for kernel, (qy, qx, sign) in zip(
        kernels.reshape(-1, size, size), layer.kinds().reshape(-1, 3).tolist(), strict=True
    ):
        np.testing.assert_array_equal(kernel.numpy(), sign * kernel_family.kernel(size, qy, qx))
    assert taps == "free" or (layer.kinds()[..., 2] == 1).all()


def test_free_3x3_taps_make_18_kernels_and_constrained_ones_9():
    for taps, count in (("free", 18), ("first_one", 9)):
        kernels = JetConv2d(40, 40, 3, taps).kernels().reshape(-1, 9)
        assert len(torch.unique(kernels, dim=0)) == count


def test_shift_gives_every_kernel_one_gain():
    layer = JetConv2d(8, 8, 3, normalise="shift")
    assert set(layer.kernels().abs().sum((2, 3)).flatten().tolist()) == {16}
    assert set(JetConv2d(8, 8, 3).kernels().abs().sum((2, 3)).flatten().tolist()) == {4, 8, 16}


@pytest.mark.parametrize(
    "layer", [JetConv2d(3, 5, 3, stride=2, padding=1, pad_value=1), BinaryConv2d(3, 5, 3, padding=2)]
)
def test_forward_is_the_correlation_with_the_padded_map(layer):
    x = torch.randn(2, 3, 9, 8).sign()
    padded = nn.functional.pad(x, (layer.padding,) * 4, value=layer.pad_value)
    expected = nn.functional.conv2d(padded.double(), layer.kernels().double(), stride=layer.stride)
    assert torch.equal(layer(x).double(), expected)


@pytest.mark.parametrize("layer", [JetConv2d(64, 8, 5), BinaryConv2d(64, 8, 7), BinaryLinear(900, 8)])
def test_sums_are_exact_in_float32_even_under_autocast(layer):
    x = torch.randint(0, 256, (1, 64, 9, 9) if not isinstance(layer, BinaryLinear) else (1, 900)).float()
    exact = copy.deepcopy(layer).double()(x.double())
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
    assert found.dtype == torch.float32
    assert torch.equal(found.double(), exact)


def small_net():
    return nn.Sequential(
        JetConv2d(1, 6, padding=1), nn.BatchNorm2d(6), Sign(), BinaryConv2d(6, 4), nn.BatchNorm2d(4), Sign(),
        nn.Flatten(), BinaryLinear(144, 3),
    )  # fmt: skip


def test_state_dict_and_deepcopy_carry_the_latents():
    net, other = small_net(), small_net()
    assert set(net[0].state_dict()) == {"latents"}
    other.load_state_dict(net.state_dict())
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(net.eval()(x), other.eval()(x))
    assert torch.equal(copy.deepcopy(net)(x), net(x))


def test_gradient_accumulation_and_a_layer_used_twice_give_the_sum_of_gradients():
    layer = JetConv2d(2, 2, padding=1)
    x = torch.randn(4, 2, 6, 6)
    layer(layer(x)).square().sum().backward()  # the second backward through one parameter
    layer.zero_grad()
    for part in x.split(2):
        (layer(part) ** 2).sum().backward()
    parts = layer.latents.grad.clone()
    layer.zero_grad()
    (layer(x) ** 2).sum().backward()
    torch.testing.assert_close(parts, layer.latents.grad)


def test_an_ordinary_loop_learns_under_autocast():
    torch.manual_seed(0)
    net = small_net()
    x = torch.randn(64, 1, 8, 8)
    x[32:, :, :, :4] += 2
    y = (torch.arange(64) >= 32).long()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(30):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = nn.functional.cross_entropy(net(x) / 12, y)
        loss.backward()
        optimizer.step()
    assert (net(x).argmax(1) == y).float().mean() > 0.9


@pytest.mark.compile
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")  # torch's own, while it traces
def test_the_compiler_sees_one_graph_and_export_the_same_function():
    net = small_net()
    x = torch.randn(2, 1, 8, 8)
    compiled = torch.compile(net, fullgraph=True, backend="aot_eager")
    compiled(x).sum().backward()
    found = net[0].latents.grad.clone()
    net.zero_grad()
    net(x).sum().backward()
    torch.testing.assert_close(found, net[0].latents.grad)
    net.eval()
    exported = torch.export.export(net, (x,))
    assert torch.equal(exported.module()(x), net(x))


DDP = """
import sys, torch
from torch import nn
from linnet.jet import JetConv2d, Sign
torch.distributed.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=0, world_size=1)
net = nn.parallel.DistributedDataParallel(nn.Sequential(JetConv2d(1, 2), nn.BatchNorm2d(2), Sign(), JetConv2d(2, 2)))
net(torch.randn(2, 1, 8, 8)).square().sum().backward()
print(bool(net.module[0].latents.grad.abs().sum() > 0), flush=True)
"""


def test_ddp_trains_it(tmp_path):
    words = [sys.executable, "-c", DDP, str(tmp_path / "store")]  # a process of its own: gloo's threads end with it
    run = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert run.stdout.split() == ["True"], run.stderr


def test_checkpointing_recomputes_the_same():
    layer = JetConv2d(2, 2)
    x = torch.randn(1, 2, 6, 6, requires_grad=True)
    torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False).square().sum().backward()
    found = layer.latents.grad.clone()
    layer.zero_grad()
    layer(x).square().sum().backward()
    assert torch.equal(found, layer.latents.grad)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: JetConv2d(1, 1, 6), r"`kernel_size` must be one of 2, 3, 4, 5 \(got 6\)"),
        (lambda: JetConv2d(1, 1, 3.0), r"`kernel_size` must be one of 2, 3, 4, 5 \(got 3\.0\)"),
        (lambda: BinaryConv2d(1, 1, 8), r"`kernel_size` must be one of 1, .* \(got 8\)"),
        (lambda: JetConv2d(0, 1), r"`cin` must be a whole number >= 1 \(got 0\)"),
        (lambda: JetConv2d(1, 1, stride=0), r"`stride`"),
        (lambda: JetConv2d(1, 1, padding=-1), r"`padding`"),
        (lambda: JetConv2d(1, 1, pad_value=float("nan")), r"`pad_value`"),
        (lambda: JetConv2d(1, 1, taps="fre"), r"Did you mean 'free'"),
        (lambda: JetConv2d(1, 1, 5, normalise="shift"), r"`normalise` must be None for kernel_size=5"),
        (lambda: BinaryLinear(3, 0), r"`nout`"),
    ],
)
def test_bad_arguments_are_named(make, words):
    with pytest.raises(InputError, match=words):
        make()
