"""Per-sample gradients and Gram matrices of random networks equal a loop of `autograd.grad`, in float64."""

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from linnet.core import Capture


@st.composite
def networks(draw):
    """(network, input): a few convolutions of any kind, each with a norm or an activation, and a linear head."""
    spatial = draw(st.integers(1, 2))
    channels, size = draw(st.integers(1, 4)), draw(st.integers(4, 6))
    shape = (draw(st.integers(1, 4)), channels, *[size] * spatial)
    layers: list[nn.Module] = []
    for _ in range(draw(st.integers(1, 3))):
        made, size = draw(layer(spatial, channels, size))
        channels = made[0].out_channels
        layers += made
    layers += [nn.Flatten(), nn.Linear(channels * size**spatial, 2, bias=draw(st.booleans()))]
    torch.manual_seed(draw(st.integers(0, 2**16)))
    model = nn.Sequential(*layers).double().eval()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.7, 0.7)
    return model, torch.randn(shape, dtype=torch.float64)


@st.composite
def layer(draw, spatial, channels, size):
    """([convolution, what follows], size after them)."""
    groups = draw(st.sampled_from([g for g in (1, 2, channels) if channels % g == 0]))
    made = groups * draw(st.integers(1, 3))
    kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    options = {"groups": groups, "bias": draw(st.booleans())}
    if draw(st.booleans()):
        kind = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}[spatial]
        convolution, size = kind(channels, made, kernel, stride=stride, **options), (size - 1) * stride + kernel
    else:
        kind = {1: nn.Conv1d, 2: nn.Conv2d}[spatial]
        mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
        padding = draw(st.integers(0, 1))
        convolution = kind(channels, made, kernel, stride=stride, padding=padding, padding_mode=mode, **options)
        after = (size + 2 * padding - kernel) // stride + 1
        if after < 3:  # too small for what may follow
            convolution, after = kind(channels, made, 1, **options), size
        size = after
    norms = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[spatial](made), nn.GroupNorm(1, made), nn.Tanh(), nn.SiLU()
    return [convolution, draw(st.sampled_from(norms))], size


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(networks())
def test_rows_are_those_of_a_loop(drawn):
    model, x = drawn
    with Capture(model) as cap:
        model(x).square().sum().backward()
    assert cap.uncovered == {}
    names = [(name, param) for name in cap.names for param in cap[name].parameters]
    values = [model.get_submodule(name).get_parameter(param) for name, param in names]
    rows = [torch.autograd.grad(model(x[n : n + 1]).square().sum(), values) for n in range(len(x))]
    largest = max(float(value.abs().max()) for row in rows for value in row)
    for column, (name, param) in enumerate(names):
        expected = torch.stack([row[column] for row in rows])
        size = max(float(expected.abs().max()), 1e-4 * largest)  # a bias in front of a norm has none but rounding
        assert float((cap[name].per_sample(param) - expected).abs().max()) / size <= 1e-10
    for name in cap.names:
        held = [column for column, (owner, _) in enumerate(names) if owner == name]
        flat = torch.stack([torch.cat([row[column].ravel() for column in held]) for row in rows])
        gram = flat @ flat.T
        for budget in (2**28, 2**10):  # in one piece, and in many
            found = cap[name].gram(max_bytes=budget)
            assert float((found - gram).abs().max() / gram.abs().max().clamp_min(1e-12 * largest**2)) <= 1e-10
