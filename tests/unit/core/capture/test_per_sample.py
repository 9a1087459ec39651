"""Per-sample gradients, Gram matrices and Kronecker sums of every covered layer, against a loop over the samples."""

import pytest
import torch
from torch import nn

from linnet.core import Capture
from linnet.core.capture.gram import plan_gram
from linnet.core.capture.positions import Use, positions_of

F64 = torch.float64
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")


def _conv(kind, *args, shape, **options):
    name = f"{kind.__name__}({', '.join(map(str, args))}, {options})"
    return pytest.param(lambda: kind(*args, **options), shape, id=name)


LAYERS = [
    _conv(nn.Linear, 4, 3, shape=(5, 4)),
    _conv(nn.Linear, 4, 3, shape=(5, 6, 4), bias=False),
    _conv(nn.Linear, 4, 3, shape=(5, 2, 3, 4)),
    _conv(nn.Conv1d, 4, 6, 3, shape=(3, 4, 9), stride=2, padding=2, dilation=2, groups=2),
    _conv(nn.Conv1d, 4, 6, 4, shape=(3, 4, 9), padding="same", dilation=3),
    _conv(nn.Conv1d, 2, 3, 3, shape=(3, 2, 9), padding="valid", bias=False),
    _conv(nn.Conv2d, 4, 6, 3, shape=(3, 4, 6, 7), padding=1),
    _conv(nn.Conv2d, 4, 6, 1, shape=(3, 4, 6, 7), stride=2),
    _conv(nn.Conv2d, 4, 8, (2, 3), shape=(3, 4, 6, 7), padding="same", groups=2, dilation=(1, 2)),
    _conv(nn.Conv2d, 4, 8, 3, shape=(3, 4, 6, 7), groups=4, padding=(1, 0), padding_mode="reflect"),
    _conv(nn.Conv2d, 2, 3, (3, 2), shape=(3, 2, 6, 7), stride=(2, 3), padding=(1, 2), padding_mode="replicate"),
    _conv(nn.Conv2d, 2, 3, (2, 4), shape=(3, 2, 6, 7), padding="same", padding_mode="circular"),
    _conv(nn.Conv3d, 2, 4, (1, 2, 3), shape=(3, 2, 4, 5, 6), stride=(1, 2, 2), padding=(0, 1, 1), groups=2),
    _conv(nn.ConvTranspose1d, 4, 6, 3, shape=(3, 4, 5), stride=2, padding=1, output_padding=1, groups=2),
    _conv(nn.ConvTranspose2d, 4, 6, 3, shape=(3, 4, 5, 4), stride=2, padding=1, dilation=2, output_padding=1),
    _conv(nn.ConvTranspose2d, 4, 8, 2, shape=(3, 4, 5, 4), groups=4, bias=False, dilation=3, output_padding=2),
    _conv(nn.ConvTranspose3d, 2, 4, (1, 2, 3), shape=(3, 2, 3, 4, 2), stride=(1, 2, 2), padding=(0, 1, 1), groups=2),
    _conv(nn.BatchNorm1d, 4, shape=(5, 4)),
    _conv(nn.BatchNorm1d, 4, shape=(5, 4, 3)),
    _conv(nn.BatchNorm2d, 4, shape=(5, 4, 3, 2)),
    _conv(nn.BatchNorm3d, 4, shape=(5, 4, 3, 2, 2)),
    _conv(nn.LayerNorm, 4, shape=(5, 4)),
    _conv(nn.LayerNorm, (3, 4), shape=(5, 2, 3, 4)),
    _conv(nn.LayerNorm, 4, shape=(5, 2, 3, 4), bias=False),
    _conv(nn.GroupNorm, 2, 4, shape=(5, 4, 3, 2)),
    _conv(nn.InstanceNorm1d, 4, shape=(5, 4, 3), affine=True),
    _conv(nn.InstanceNorm2d, 4, shape=(5, 4, 3, 2), affine=True, track_running_stats=True),
    _conv(nn.InstanceNorm3d, 4, shape=(5, 4, 3, 2, 2), affine=True),
    _conv(nn.RMSNorm, (3, 4), shape=(5, 2, 3, 4)),
    _conv(nn.RMSNorm, 4, shape=(5, 2, 4), eps=0.1),
]


def build(factory):
    """The layer in float64 and eval mode, its parameters and statistics drawn at random."""
    layer = factory().to(F64).eval()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    for name, buffer in layer.named_buffers():
        if name == "running_mean":
            buffer.normal_()
        elif name == "running_var":
            buffer.uniform_(0.5, 2.0)
    return layer


def loss_of(output, target):
    """A loss whose gradient isn't constant and differs between samples."""
    return (output.sin() * target).sum()


def slow_gradients(layer, x, target):
    """{parameter: (N, *shape)}, one backward pass per sample."""
    rows = []
    for n in range(len(x)):
        layer.zero_grad()
        loss_of(layer(x[n : n + 1]), target[n : n + 1]).backward()
        rows.append({name: p.grad.clone() for name, p in layer.named_parameters()})
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def captured(layer, x, target, **options):
    with Capture(layer, **options) as cap:
        loss_of(layer(x), target).backward()
    return cap[""]


def assert_close(actual, expected, bound=1e-10):
    """Equal to `bound` relative to the largest entry."""
    assert actual.shape == expected.shape
    scale = max(1.0, float(expected.detach().abs().max())) if expected.numel() else 1.0
    error = float((actual - expected).detach().abs().max()) if expected.numel() else 0.0
    assert error <= bound * scale, f"off by {error / scale:.3g} relative"


def test_assert_close_sees_a_swapped_axis():
    x = torch.arange(9.0).reshape(3, 3)
    with pytest.raises(AssertionError, match="off by"):
        assert_close(x, x.T)


@pytest.mark.parametrize(("factory", "shape"), LAYERS)
def test_per_sample_gradients_are_those_of_a_loop(factory, shape):
    torch.manual_seed(0)
    layer = build(factory)
    x = torch.randn(shape, dtype=F64)
    target = torch.randn_like(layer(x))
    expected = slow_gradients(layer, x, target)
    layer_capture = captured(layer, x, target)
    assert set(layer_capture.parameters) == set(expected)
    for name, gradient in expected.items():
        assert_close(layer_capture.per_sample(name), gradient)


@pytest.mark.parametrize("max_bytes", [2**28, 700])
@pytest.mark.parametrize(("factory", "shape"), LAYERS)
def test_gram_matrices_are_products_of_the_gradients(factory, shape, max_bytes):
    torch.manual_seed(1)
    layer = build(factory)
    x = torch.randn(shape, dtype=F64)
    target = torch.randn_like(layer(x))
    rows = slow_gradients(layer, x, target)
    layer_capture = captured(layer, x, target)
    each = {name: g.flatten(1) @ g.flatten(1).T for name, g in rows.items()}
    for name, expected in each.items():
        assert_close(layer_capture.gram(params=[name], max_bytes=max_bytes), expected)
    assert_close(layer_capture.gram(max_bytes=max_bytes), sum(each.values()))


@pytest.mark.parametrize("max_bytes", [2**28, 900])
@pytest.mark.parametrize(("factory", "shape"), LAYERS)
def test_rectangular_gram_of_several_passes_is_sample_major(factory, shape, max_bytes):
    torch.manual_seed(2)
    layer = build(factory)
    sides = []
    for samples in (shape[0], 2):
        x = torch.randn(samples, *shape[1:], dtype=F64)
        targets = torch.randn(3, *layer(x).shape, dtype=F64)
        with Capture(layer, keep="all") as cap:
            output = layer(x)
            for target in targets:
                loss_of(output, target).backward(retain_graph=True)
        slow = [slow_gradients(layer, x, target) for target in targets]
        sides.append((cap[""], slow))
    rows = []
    for layer_capture, slow in sides:
        assert layer_capture.g.shape[0] == 3
        for name in layer_capture.parameters:
            assert_close(layer_capture.per_sample(name), torch.stack([s[name] for s in slow]))
        samples = layer_capture.samples
        matrix = [torch.cat([s[name][n].flatten() for name in s]) for n in range(samples) for s in slow]
        rows.append(torch.stack(matrix))
    assert_close(sides[0][0].gram(sides[1][0], max_bytes=max_bytes), rows[0] @ rows[1].T)
    assert_close(sides[0][0].gram(max_bytes=max_bytes), rows[0] @ rows[0].T)


@pytest.mark.parametrize("padding_idx", [None, 2])
def test_embedding_scatters_gradients_by_token(padding_idx):
    torch.manual_seed(3)
    layer = nn.Embedding(5, 3, padding_idx=padding_idx, dtype=F64)
    tokens = torch.tensor([[0, 2, 2, 4], [1, 0, 0, 0], [2, 3, 1, 4]])
    target = torch.randn(3, 4, 3, dtype=F64)
    expected = slow_gradients(layer, tokens, target)["weight"]
    layer_capture = captured(layer, tokens, target)
    assert_close(layer_capture.per_sample(), expected)
    gram = expected.flatten(1) @ expected.flatten(1).T
    assert_close(layer_capture.gram(), gram)
    assert_close(layer_capture.gram(max_bytes=100), gram)


def test_embedding_of_single_tokens():
    layer = nn.Embedding(3, 2, dtype=F64)
    with Capture(layer) as cap:
        layer(torch.tensor([2, 0])).sum().backward()
    assert cap[""].per_sample().tolist() == [[[0, 0], [0, 0], [1, 1]], [[1, 1], [0, 0], [0, 0]]]
    assert cap[""].gram().tolist() == [[2, 0], [0, 2]]


def test_a_linear_layer_by_hand():
    layer = nn.Linear(2, 1, dtype=F64)
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=F64)
    with Capture(layer) as cap:
        (layer(x) * torch.tensor([[1.0], [10.0]], dtype=F64)).sum().backward()
    assert cap[""].per_sample("weight").tolist() == [[[1, 2]], [[30, 40]]]
    assert cap[""].per_sample("bias").tolist() == [[1], [10]]
    assert cap[""].gram().tolist() == [[5 + 1, 110 + 10], [110 + 10, 2500 + 100]]
    a, g = cap[""].factors(homogeneous=True)
    assert a.tolist() == [[10, 14, 4], [14, 20, 6], [4, 6, 2]]
    assert g.tolist() == [[101]]


def test_factors_of_a_grouped_convolution_are_sums_over_patches():
    torch.manual_seed(4)
    layer = nn.Conv2d(4, 6, 3, groups=2, padding=1, dtype=F64)
    x, target = torch.randn(3, 4, 5, 5, dtype=F64), torch.randn(3, 6, 5, 5, dtype=F64)
    layer_capture = captured(layer, x, target)
    patches = nn.functional.unfold(x, 3, padding=1).reshape(3, 2, 18, 25)
    gradients = layer_capture.g.reshape(3, 2, 3, 25)
    a, g = layer_capture.factors()
    assert_close(a, torch.einsum("ngis,ngjs->gij", patches, patches))
    assert_close(g, torch.einsum("ngos,ngps->gop", gradients, gradients))
    a, g = layer_capture.factors(sharing="reduce")
    assert_close(a, torch.einsum("ngi,ngj->gij", patches.mean(3), patches.mean(3)))
    assert_close(g, torch.einsum("ngo,ngp->gop", gradients.sum(3), gradients.sum(3)))


def test_factors_reproduce_the_gram_trace_of_a_transposed_convolution():
    torch.manual_seed(5)
    layer = nn.ConvTranspose2d(3, 2, 2, stride=2, dtype=F64)
    x, target = torch.randn(1, 3, 1, 1, dtype=F64), torch.randn(1, 2, 2, 2, dtype=F64)
    layer_capture = captured(layer, x, target)
    a, g = layer_capture.factors()
    assert a.shape == (3, 3)
    assert g.shape == (8, 8)
    assert_close(a.trace() * g.trace(), layer_capture.gram(params=["weight"])[0, 0])


def test_the_cheaper_way_is_chosen_by_the_two_counts():
    conv = nn.Conv2d(64, 64, 3, padding=1)
    small = plan_gram([positions_of(conv, Use(torch.zeros(8, 64, 2, 2), torch.zeros(1, 8, 64, 2, 2)))])
    assert small.by_positions == 16 * (64 * 65 + 64 * 576)
    assert small.by_gradients == 8 * 4 * 576 * 64 + 64 * 576 * 64
    assert small.way == "positions"
    large = plan_gram([positions_of(conv, Use(torch.zeros(8, 64, 32, 32), torch.zeros(1, 8, 64, 32, 32)))])
    assert large.way == "gradients"


def test_a_gram_matrix_keeps_to_its_byte_budget():
    torch.manual_seed(6)
    layer = nn.Conv2d(8, 8, 3, padding=1)
    layer_capture = captured(layer, torch.randn(16, 8, 8, 8), torch.randn(16, 8, 8, 8))
    expected = layer_capture.gram()
    for max_bytes in (2**22, 2**16, 2**12, 1):
        assert_close(layer_capture.gram(max_bytes=max_bytes), expected, 1e-5)


def test_half_precision_is_read_in_float32():
    torch.manual_seed(7)
    layer = nn.Linear(4, 3, dtype=torch.bfloat16)
    x = torch.randn(5, 4, dtype=torch.bfloat16)
    with Capture(layer) as cap:
        layer(x).sum().backward()
    assert cap[""].a.dtype is torch.bfloat16
    assert cap[""].per_sample().dtype is torch.float32
    assert torch.equal(cap[""].per_sample(), x.float().unsqueeze(1).expand(5, 3, 4))
    assert cap[""].gram().dtype is torch.float32


def test_a_layer_used_twice_sums_before_the_product():
    torch.manual_seed(8)
    layer = nn.Linear(3, 3, dtype=F64)
    net = nn.Sequential(layer, nn.Tanh(), layer)
    x, target = torch.randn(4, 3, dtype=F64), torch.randn(4, 3, dtype=F64)
    expected = slow_gradients(net, x, target)
    with Capture(net) as cap:
        loss_of(net(x), target).backward()
    assert len(cap["0"].calls) == 2
    for name in ("weight", "bias"):
        assert_close(cap["0"].per_sample(name), expected[f"0.{name}"])
    rows = torch.cat([g.flatten(1) for g in expected.values()], dim=1)
    assert_close(cap["0"].gram(), rows @ rows.T)
    a, _ = cap["0"].factors()
    assert_close(a, sum(call.a.T @ call.a for call in cap["0"].calls))


@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
@pytest.mark.parametrize("groups", [1, 4])
def test_the_grouped_kernel_gives_what_patches_give(kind, groups):
    torch.manual_seed(9)
    side = {nn.Conv1d: 80, nn.Conv2d: 9, nn.Conv3d: 5}[kind]
    layer = kind(24, 8, 3, padding="same", groups=groups, padding_mode="reflect", dilation=2)
    x = torch.randn(3, 24, *(side,) * (layer.weight.ndim - 2))
    captures = []
    for dtype in (torch.float32, torch.float64):
        twin = kind(24, 8, 3, padding="same", groups=groups, padding_mode="reflect", dilation=2).to(dtype)
        twin.load_state_dict(layer.state_dict())
        with Capture(twin, keep="all") as cap:
            out = twin(x.to(dtype))
            out.sin().sum().backward(retain_graph=True)
            out.square().sum().backward()
        captures.append(cap[""])
    single, double = captures
    use = Use(single.a, single.g)
    assert positions_of(layer, use).grouped_kernel_fits
    assert not positions_of(layer, Use(double.a, double.g)).grouped_kernel_fits
    assert_close(single.per_sample(), double.per_sample(), 1e-5)  # float32: measured 1e-6
